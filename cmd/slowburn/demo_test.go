package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/dashboards/grafana"
	"github.com/slowburn-slo/slowburn/dashboards/grafana/queries"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/ruler"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/shop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// shopSLOs are the SLOs of the demo.
func shopSLOs(t *testing.T, live time.Time) []*slo.SLO {
	t.Helper()
	var files []spec.File
	for name, text := range shop.Specs(live) {
		files = append(files, spec.File{Name: name, Text: text})
	}
	set := spec.Load(files)
	require.Empty(t, set.Findings)
	return set.SLOs
}

// shopDays is a shop with some days of history before live, gone on until end.
func shopDays(t *testing.T, days int, live, end time.Time) (db *memprom.DB, url string) {
	t.Helper()
	db = servers.Embedded(t)
	s := shop.New(shop.Options{Seed: 1, HistoryStart: live.AddDate(0, 0, -days), LiveStart: live})
	require.NoError(t, s.Advance(context.Background(), db, end))
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	return db, server.URL
}

func shopReport(t *testing.T, url string, slos []*slo.SLO, at time.Time) *evaluator.Report {
	t.Helper()
	cfg := config.Default()
	b, err := config.NewBackend("demo", url)
	require.NoError(t, err)
	cfg.Backends = []config.Backend{b}
	options, err := evaluatorOptions(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	r, err := loop.New(options).EvaluateAt(context.Background(), slos, at)
	require.NoError(t, err)
	return r
}

// TestDemoHasAnSLOOfEveryKind of what an SLO file can say.
func TestDemoHasAnSLOOfEveryKind(t *testing.T) {
	has := map[string]bool{}
	live := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, text := range shop.Specs(live) {
		has["by $window"] = has["by $window"] || bytes.Contains(text, []byte("$window"))
	}
	for _, s := range shopSLOs(t, live) {
		has[fmt.Sprintf("%s by %T", s.Indicator.Kind(), s.Indicator.Measure())] = true
		has["defaults of a directory"] = has["defaults of a directory"] || s.Labels["environment"] == "demo"
		has["calendar"] = has["calendar"] || !s.Window.IsRolling()
		has["slices"] = has["slices"] || s.Slice != nil
		has["groups"] = has["groups"] || s.Groups != nil
		has["past objectives"] = has["past objectives"] || len(s.PastObjectives) > 0
		has["budget policy"] = has["budget policy"] || len(s.BudgetPolicy) > 0
		states, _ := s.Indicator.Measure().(slo.States)
		has["absence is bad"] = has["absence is bad"] || states.Absent
		for _, x := range s.Exclusions {
			has["exclusion recurring"] = has["exclusion recurring"] || x.From.IsZero() && !x.OperatingHours
			has["operating hours"] = has["operating hours"] || x.OperatingHours
			has["exclusion in a file of its own"] = has["exclusion in a file of its own"] || x.Origin.File != s.Origin.File
			has["correction"] = has["correction"] || !x.From.IsZero() && x.Ticket != ""
		}
	}
	for _, want := range []string{
		"events by slo.Counters", "events by slo.Rates", "by $window", "latency by slo.Counters", "probe by slo.States", "threshold by slo.Levels",
		"freshness by slo.Levels", "runs by slo.Counters", "runs by slo.Runs", "worst_of by slo.Parts", "calendar", "slices",
		"groups", "past objectives", "budget policy", "absence is bad", "exclusion recurring", "correction", "exclusion in a file of its own",
		"operating hours", "defaults of a directory",
	} {
		require.True(t, has[want], want)
	}
}

// TestDemoIncident follows the demo's incident by its own clock: the page fires
// while one watches, and resolves a quarter of an hour after the last of its slots,
// of which it has two, as it begins within a minute.
func TestDemoIncident(t *testing.T) {
	t.Parallel()
	live := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	_, url := shopDays(t, 2, live, live.Add(25*time.Minute))
	fired, resolved := time.Duration(0), time.Duration(0)
	for _, s := range shopSLOs(t, live) {
		if s.ID() != "checkout/availability" {
			continue
		}
		for after := time.Duration(0); after < 25*time.Minute; after += time.Minute {
			alerts := shopReport(t, url, []*slo.SLO{s}, live.Add(after)).SLOs[0].Alerts
			switch pages := len(alerts) > 0 && alerts[0].Severity == slo.Page; {
			case pages && fired == 0:
				fired = after
			case !pages && fired > 0 && resolved == 0:
				resolved = after
			}
		}
	}
	require.NotZero(t, fired)
	require.LessOrEqual(t, fired, 5*time.Minute)
	require.NotZero(t, resolved)
	require.LessOrEqual(t, resolved, fired+17*time.Minute)
}

// TestDashboardsOnTheDemo runs each query of both dashboards on the demo's
// data, recorded from the evaluator's metrics and from generated rules: none
// gives nothing.
func TestDashboardsOnTheDemo(t *testing.T) {
	t.Parallel()
	live := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	end := live.Add(3 * time.Minute)
	slos := shopSLOs(t, live)
	sources := map[string]func(*memprom.DB, string){
		"evaluator": func(db *memprom.DB, url string) {
			for at := live; !at.After(end); at = at.Add(time.Minute) {
				scrape(t, db, shopReport(t, url, slos, at), at)
			}
		},
		"rules": func(db *memprom.DB, _ string) {
			carried := slices.DeleteFunc(slices.Clone(slos), func(s *slo.SLO) bool { return rules.Refusal(s) != "" })
			text, err := rules.File("demo", carried, rules.Options{Alerts: true, Policies: alerting.BuiltIn()})
			require.NoError(t, err)
			require.NoError(t, ruler.Eval(context.Background(), db, text, live.Add(-35*time.Minute), end))
		},
	}
	for name, record := range sources {
		t.Run(name, func(t *testing.T) {
			db, url := shopDays(t, 2, live, end)
			record(db, url)
			for _, text := range grafana.Dashboards() {
				for service, id := range map[string]string{"checkout": "checkout/availability", "merchants": `merchants/requests{tenant="globex"}`, "shipping": "shipping/availability"} {
					if name == "rules" && service == "shipping" {
						continue // they refuse exclusions
					}
					found, err := queries.Of(text, map[string]string{"service": service, "slo_id": id, "window": "1h"})
					require.NoError(t, err)
					require.NotEmpty(t, found)
					for _, q := range found {
						if strings.Contains(q, "slo_excluded") && service != "shipping" {
							continue // nothing is excluded
						}
						require.NotZero(t, resultSize(t, url, q, end), "%s: %s", name, q)
					}
				}
			}
		})
	}
}

// scrape writes a report's metrics as a Prometheus would that scrapes them.
func scrape(t *testing.T, db *memprom.DB, r *evaluator.Report, at time.Time) {
	t.Helper()
	for f := range evaluator.Metrics(r) {
		for _, m := range f.GetMetric() {
			b := labels.NewScratchBuilder(8)
			b.Add(model.MetricNameLabel, f.GetName())
			b.Add("job", "slowburn")
			b.Add("instance", "slowburn:9099")
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					b.Add(l.GetName(), l.GetValue())
				}
			}
			b.Sort()
			require.NoError(t, db.Add(context.Background(), b.Labels(), memprom.Sample{Time: at, Value: m.GetGauge().GetValue()}))
		}
	}
}

func resultSize(t *testing.T, url, query string, at time.Time) int {
	t.Helper()
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	form := neturl.Values{"query": {query}, "time": {fmt.Sprint(at.Unix())}}
	require.NoError(t, getJSON(context.Background(), url+"/api/v1/query?"+form.Encode(), &answer))
	require.Empty(t, answer.Error, query)
	return len(answer.Data.Result)
}

// TestDemo runs the command as a new user does, until every SLO has a budget,
// and ends it.
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	listener := newPort(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, errs bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"demo", "--listen", listener}, streams{strings.NewReader(""), &out, &errs})
	}()
	require.Eventually(t, func() bool {
		var r evaluator.Report
		return getJSON(ctx, "http://"+listener+"/api/v1/slos", &r) == nil && len(r.SLOs) >= 8 && budgets(r)
	}, 3*time.Minute, 200*time.Millisecond)
	stop()
	require.Equal(t, 0, <-exit, errs.String())
	require.Contains(t, out.String(), "http://"+listener)
	left, err := filepath.Glob(filepath.Join(temp, "slowburn-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = os.Stat(temp)
	require.NoError(t, err)
}

func budgets(r evaluator.Report) bool {
	for _, s := range r.SLOs {
		if s.Budget.Remaining == nil {
			return false
		}
	}
	return true
}

// newPort is an address that was free a moment ago.
func newPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}
