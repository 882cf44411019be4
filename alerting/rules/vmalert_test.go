package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestVMAlertReads has vmalert check the rules of SLOs of every shape, and those
// under the names of other tools.
func TestVMAlertReads(t *testing.T) {
	for name, slos := range files(t) {
		if len(slos) == 0 {
			continue // vmalert asks for rules
		}
		checkVMAlert(t, name, slos, "")
	}
	for _, n := range []Naming{Sloth, Pyrra} {
		checkVMAlert(t, string(n), namedSLOs(t), n)
	}
}

func checkVMAlert(t *testing.T, name string, slos []*slo.SLO, n Naming) {
	t.Helper()
	text, err := File(name+".yaml", slos, Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: n, VMAlert: true})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), name+".yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	servers.VMAlert(t, "-dryRun", "-rule="+file)
}

// TestVMAlertLongExpression is refused, because VictoriaMetrics would answer an error
// each minute.
func TestVMAlertLongExpression(t *testing.T) {
	s := example(t, "", `errors_total{path="`+strings.Repeat("x", 2000)+`"}`, "all_total")
	for vmalert, why := range map[bool]string{false: "", true: "making rules of checkout/availability: an expression has "} {
		_, err := File("slo.yaml", []*slo.SLO{s}, Options{Policies: alerting.BuiltIn(), VMAlert: vmalert})
		if why == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, why)
			require.ErrorContains(t, err, "VictoriaMetrics reads up to 16384")
		}
	}
}

// TestVMAlertAgrees holds the evaluator against the rules for vmalert, evaluated by
// it in VictoriaMetrics, on some series of TestAgree, TestKindsAgree and
// TestGroupsAgree.
func TestVMAlertAgrees(t *testing.T) {
	worlds := map[uint64]string{2: servers.NewestVictoriaMetrics(t), 3: ""}
	if !testing.Short() {
		worlds[0], worlds[7] = "", servers.NewestVictoriaMetrics(t)
	}
	for seed, bin := range worlds {
		w := newWorld(t, worldBytes(seed))
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			agree(t, w, func(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time) {
				replayed(t, bin, db, s, from, to)
			}, 0)
		})
	}
	newest := func(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time) {
		replayed(t, servers.NewestVictoriaMetrics(t), db, s, from, to)
	}
	t.Run("groups", func(t *testing.T) { groupsAgree(t, tenants(t, 8), newest) })
	some := []string{"probe without data", "threshold", "runs by time", "long slices without data that are bad", "worst of without data"}
	for _, tt := range kindCases() {
		if slices.Contains(some, tt.name) {
			t.Run(tt.name, func(t *testing.T) { kindAgrees(t, tt, newest) })
		}
	}
}

// TestVMAlertMetricsQL has a query that only VictoriaMetrics reads, of which rules for
// Prometheus are refused: 60 where there is no queue is too much.
func TestVMAlertMetricsQL(t *testing.T) {
	s := kindCase{text: []string{`{name: last, sli: {threshold: {query: 'max(queue) default 60 # a comment', op: "<", value: 50}}}`}}.slo(t)
	require.NotEmpty(t, Refusal(s))
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), epoch.Add(7*time.Second), 30*time.Second, `queue{name="a"} 5 5 5 5 stale`))
	replayed(t, servers.NewestVictoriaMetrics(t), db, s, epoch, at(6))
	c := &comparison{t: t, world: &world{slo: s}, db: db}
	c.readSlots()
	for end, bad := range map[int]float64{1: 0, 2: 0, 3: 1, 4: 1} {
		require.Equal(t, [2]float64{1, bad}, [2]float64{c.total[end], c.bad[end]}, "the slot that ends at minute %d", end)
	}
}

// TestVMAlertIncident is TestIncident's page of the default policy by the rules for
// vmalert. An alert is evaluated from 87 s after the end of a slot on, and in the 8 s
// in which the groups of SLOs are spread.
func TestVMAlertIncident(t *testing.T) {
	db := incidentDay(t)
	s := withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 2*day)
	s.Alerting.Policy = slo.DefaultPolicy
	from, to := at(1437), at(1480)
	alertsReplayed(t, replayed(t, servers.NewestVictoriaMetrics(t), db, s, epoch, to), db, s, alerting.BuiltIn(), from, to)
	alerts := recorded(t, db, `ALERTS{alertstate="firing",severity="page"}`)
	require.NotEmpty(t, alerts)
	first, last := alerts[0].Time, alerts[len(alerts)-1].Time
	require.Len(t, alerts, 1+int(last.Sub(first)/time.Minute), "one episode")
	between(t, at(1441).Add(87*time.Second), first, 8*time.Second)
	between(t, at(1475-1).Add(87*time.Second), last, 8*time.Second)
}

// TestVMAlertTiersAgree is TestTiersAgree by the rules for vmalert, over fewer slots.
func TestVMAlertTiersAgree(t *testing.T) {
	const calm, n = 72, 170
	r, p := rand.New(rand.NewPCG(28, 7)), demanding()
	s := grouped(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 6*hour), "tenant")
	s.Alerting.Policy = "demanding"
	s.Groups.Objectives["b"] = objective(t, "99")
	db := servers.Embedded(t)
	want := map[string]map[string][]int{}
	for _, tenant := range []string{"a", "b"} {
		slots, own := slotsAtRandom(r, n), *s
		own.Objective = objective(t, map[string]string{"a": "99.9", "b": "99"}[tenant])
		want[tenant] = judged(&own, p, slots)
		require.NoError(t, db.Load(t.Context(), epoch.Add(20*time.Second), time.Minute, strings.Join(countersOf(fmt.Sprintf("tenant=%q", tenant), slots), "\n")))
	}
	require.Greater(t, len(spans(want["a"][slo.Page])), 1)
	require.NotEmpty(t, want["a"][slo.Ticket])
	vm := replayed(t, servers.NewestVictoriaMetrics(t), db, s, epoch, at(n+2))
	alertsReplayed(t, vm, db, s, p, at(calm), at(n+3))
	for tenant, by := range want {
		for severity, minutes := range by {
			var got []int
			for _, a := range recorded(t, db, fmt.Sprintf(`ALERTS{alertstate="firing",tenant=%q,severity=%q}`, tenant, severity)) {
				got = append(got, int(a.Time.Add(-87*time.Second).Sub(epoch)/time.Minute))
			}
			require.Equal(t, spans(minutes), spans(got), "%s of %s", severity, tenant)
		}
	}
}

// alertsReplayed writes to a database when alerts fire by what VictoriaMetrics has.
func alertsReplayed(t *testing.T, vm *servers.Server, db *memprom.DB, s *slo.SLO, p alerting.Policies, from, to time.Time) {
	t.Helper()
	for _, g := range vmalertGroups(t, s, p) {
		switch g.name {
		case "tiers":
			g.step(t, vm, from, to)
		case "alerts":
			g.replay(t, vm, from, to)
		}
	}
	receive(t, vm, db, `ALERTS{alertname="ErrorBudgetBurn"}`, to)
}

// replayed writes to a database what vmalert records in a VictoriaMetrics that has
// the same samples, but for tiers and alerts. The VictoriaMetrics is left running.
// vmalert evaluates some instants twice, as two of them would.
func replayed(t *testing.T, bin string, db *memprom.DB, s *slo.SLO, from, to time.Time) *servers.Server {
	t.Helper()
	vm := servers.VictoriaMetrics(t, servers.VictoriaMetricsOptions{Bin: bin, Flags: []string{"-dedup.minScrapeInterval=1ms"}})
	send(t, vm, db)
	for _, g := range vmalertGroups(t, s, alerting.BuiltIn()) {
		switch g.name {
		case "memory", "known", "runs":
			g.step(t, vm, from, to)
		case "tiers", "alerts":
		default:
			g.replay(t, vm, from, to)
		}
	}
	receive(t, vm, db, `{__name__=~"slo.*"}`, to)
	return vm
}

// vmalertGroup are the groups of rules for vmalert that are evaluated at the same
// instants.
type vmalertGroup struct {
	name             string // without the SLO's
	interval, offset time.Duration
	text             []byte // of a rule file
}

// vmalertGroups are the groups of an SLO's rules, in the order in which they read
// each other: that of the sums in two, as the long windows read some of them, and
// are read by others.
func vmalertGroups(t *testing.T, s *slo.SLO, p alerting.Policies) []vmalertGroup {
	t.Helper()
	text, err := File("slo.yaml", []*slo.SLO{s}, Options{Alerts: true, Policies: p, VMAlert: true})
	require.NoError(t, err)
	var file struct{ Groups []map[string]any }
	require.NoError(t, yaml.Unmarshal(text, &file))
	var out []vmalertGroup
	for _, rank := range []string{"memory", "slots", "bad", "minutes", "derived: slo:known", "derived: slo:slot", "sums: slo:quarter", "sums: slo:bad_runs", "windows", "sums: slo:window", "rates", "tiers", "alerts"} {
		name, prefix, _ := strings.Cut(rank, ": ")
		var groups []map[string]any
		for _, of := range file.Groups {
			if !strings.HasSuffix(of["name"].(string), "/"+name) {
				continue
			}
			of = maps.Clone(of)
			of["rules"] = slices.DeleteFunc(slices.Clone(of["rules"].([]any)), func(r any) bool {
				record, _ := r.(map[string]any)["record"].(string)
				return !strings.HasPrefix(record, prefix)
			})
			groups = append(groups, of)
		}
		if len(groups) == 0 {
			continue
		}
		g := vmalertGroup{name: name}
		switch prefix { // these read themselves
		case "slo:bad_runs":
			g.name = "runs"
		case "slo:known":
			g.name = "known"
		}
		for _, of := range groups {
			require.Equal(t, groups[0]["eval_offset"], of["eval_offset"])
		}
		g.text, err = yaml.Marshal(map[string]any{"groups": groups})
		require.NoError(t, err)
		g.interval, err = time.ParseDuration(groups[0]["interval"].(string))
		require.NoError(t, err)
		g.offset, err = time.ParseDuration(groups[0]["eval_offset"].(string))
		require.NoError(t, err)
		out = append(out, g)
	}
	return out
}

// replay evaluates the group at all its instants of a time.
func (g vmalertGroup) replay(t *testing.T, vm *servers.Server, from, to time.Time) {
	t.Helper()
	vm.Replay(g.text, g.first(from), to)
}

// first is the first instant of the group that is not before from.
func (g vmalertGroup) first(from time.Time) time.Time {
	first := from.Truncate(g.interval).Add(g.offset)
	for first.Before(from) {
		first = first.Add(g.interval)
	}
	return first
}

// step is replay for a group of which the rules read what they recorded a minute
// before. A process of vmalert for each minute would take minutes, so the test sends
// the queries that vmalert sends, and writes what vmalert would write.
func (g vmalertGroup) step(t *testing.T, vm *servers.Server, from, to time.Time) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []vmalertRule }
	}
	require.NoError(t, yaml.Unmarshal(g.text, &file))
	for at := g.first(from); at.Before(to); at = at.Add(g.interval) {
		var recorded []prompb.TimeSeries
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				recorded = append(recorded, r.eval(t, vm, at, g.interval)...)
			}
		}
		remoteWrite(t, vm, recorded)
	}
}

type vmalertRule struct {
	Record, Expr string
	Labels       map[string]string
}

// eval are the samples that a rule records at an instant.
func (r vmalertRule) eval(t *testing.T, vm *servers.Server, at time.Time, interval time.Duration) []prompb.TimeSeries {
	t.Helper()
	resp, err := http.PostForm(vm.URL+"/api/v1/query_range", url.Values{
		"query": {r.Expr}, "start": {at.Format(time.RFC3339)}, "end": {at.Format(time.RFC3339)}, "step": {interval.String()}, "nocache": {"1"},
	})
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values []model.SamplePair
			}
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", r.Expr, answer.Error)
	var out []prompb.TimeSeries
	for _, series := range answer.Data.Result {
		require.Len(t, series.Values, 1)
		l := labels.NewBuilder(labels.FromMap(series.Metric)).Set(model.MetricNameLabel, r.Record)
		for name, text := range r.Labels {
			l.Set(name, text)
		}
		out = append(out, prompb.TimeSeries{Labels: prompb.FromLabels(l.Labels(), nil),
			Samples: []prompb.Sample{{Timestamp: at.UnixMilli(), Value: float64(series.Values[0].Value)}}})
	}
	return out
}

// send writes all samples of a database to VictoriaMetrics.
func send(t *testing.T, vm *servers.Server, db *memprom.DB) {
	t.Helper()
	q, err := db.Queryable().Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	var all []prompb.TimeSeries
	for set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")); set.Next(); {
		ts := prompb.TimeSeries{Labels: prompb.FromLabels(set.At().Labels(), nil)}
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			millis, v := it.At()
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: millis, Value: v})
		}
		all = append(all, ts)
	}
	remoteWrite(t, vm, all)
}

// remoteWrite writes samples to VictoriaMetrics, which has them when it returns.
func remoteWrite(t *testing.T, vm *servers.Server, series []prompb.TimeSeries) {
	t.Helper()
	r := prompb.WriteRequest{Timeseries: series}
	body, err := r.Marshal()
	require.NoError(t, err)
	resp, err := http.Post(vm.URL+"/api/v1/write", "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, body)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	resp, err = http.Get(vm.URL + "/internal/force_flush")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

// receive writes what rules recorded in VictoriaMetrics to a database. vmalert
// replays without the markers of the ends of series.
func receive(t *testing.T, vm *servers.Server, db *memprom.DB, selector string, to time.Time) {
	t.Helper()
	resp, err := http.PostForm(vm.URL+"/api/v1/export", url.Values{"match[]": {selector}, "reduce_mem_usage": {"1"}})
	require.NoError(t, err)
	defer resp.Body.Close()
	type sampled struct {
		Metric     map[string]string
		Values     []float64
		Timestamps []int64
	}
	values, metrics := map[string]map[int64]float64{}, map[string]map[string]string{} // a series may be on several lines
	for lines := json.NewDecoder(resp.Body); lines.More(); {
		var line sampled
		require.NoError(t, lines.Decode(&line))
		name := labels.FromMap(line.Metric).String()
		if values[name] == nil {
			values[name], metrics[name] = map[int64]float64{}, line.Metric
		}
		for i, millis := range line.Timestamps {
			values[name][millis] = line.Values[i]
		}
	}
	for name, of := range values {
		interval := time.Minute
		if strings.HasPrefix(name, `{__name__="slo:long`) {
			interval = 15 * time.Minute
		}
		require.NoError(t, db.Add(t.Context(), labels.FromMap(metrics[name]), ended(of, interval, to)...))
	}
}
