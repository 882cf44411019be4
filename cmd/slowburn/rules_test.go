package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// TestGeneratedRulesSayWhatTheEvaluatorSays loads generated rules into a real
// Prometheus and holds what they record against the evaluator's numbers of the
// same slots.
func TestGeneratedRulesSayWhatTheEvaluatorSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "slos/prometheus.yaml", realSLOs)
	write(t, dir, "slos/node.yaml", nodeSLOs)
	code, _, stderr := command(t, "generate", "rules", dir+"/slos", "-o", dir+"/rules")
	require.Equal(t, 0, code, stderr)
	files := map[string][]byte{}
	for _, name := range []string{"prometheus.rules.yaml", "node.rules.yaml"} {
		path := filepath.Join(dir, "rules", name)
		servers.Promtool(t, "check", "rules", path)
		var err error
		files[name], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	// Rules don't look at when a process began, and so not at what it counted
	// before it was scraped. Without that metric the evaluator can't either.
	const unstarted = `metric_relabel_configs: [{source_labels: [__name__], regex: process_start_time_seconds, action: drop}]`
	for name, bin := range map[string]string{"oldest": "", "newest": servers.Newest(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireRulesAgree(t, scraping(t, servers.PrometheusOptions{Bin: bin, Rules: files, ConfigYAML: unstarted}), dir+"/slos")
		})
	}
}

func requireRulesAgree(t *testing.T, prom *servers.Server, slos string) {
	if _, text := get(t, prom.URL+"/metrics"); !strings.Contains(text, `handler="/api/v1/query_range"`) {
		askRange(t, prom, true) // else the series would be born in the slot that is compared first
	}
	until(t, waitLimit, "a scrape", func() bool { return len(ask(t, prom, `up{job="self"}`, time.Now())) > 0 })
	// The rules can't know the slot in which scraping began: nothing happens in it.
	began := time.Now().Truncate(time.Minute)
	until(t, 2*time.Minute, "the next slot", func() bool { return time.Since(began) > 62*time.Second })
	n := 0
	until(t, 9*time.Minute, "three recorded slots", func() bool {
		n++
		if n%4 == 0 {
			askRange(t, prom, n%20 != 0)
		}
		r := ask(t, prom, `min(count_over_time(slo:slot:events{result="",slo_id=~"prometheus/.*|node/scrapes"}[1h]))`, time.Now())
		return len(r) == 1 && r[0][0][1] >= 3
	})
	requireHealthyRules(t, prom)
	e := &slots{t: t, slos: slos, prom: prom, reports: map[time.Time]api{}}
	for _, id := range []string{"prometheus/ranges", "prometheus/all", "prometheus/latency", "node/scrapes"} {
		e.requireEqual(id)
	}
	require.Empty(t, ask(t, prom, `{__name__=~"slo_(burn_rate|sli_ratio|error_budget_remaining_ratio)",slo_id="node/nothing"}`, time.Now()),
		"what is undefined is absent")
	require.Len(t, ask(t, prom, `slo_info{slo_id="prometheus/all",slo_service="prometheus",slo="all",source="rules",owner="team-platform",tier="1",window="1h"}`, time.Now()), 1)
}

// slots compares what rules recorded with what `slowburn status` says.
type slots struct {
	t       *testing.T
	slos    string
	prom    *servers.Server
	reports map[time.Time]api
}

// requireEqual compares each recorded slot and each burn rate over 5 m of an
// SLO. What is recorded at a time is of the newest slot that ended 30 s before.
func (e *slots) requireEqual(id string) {
	total, bad := e.recorded("slo:slot:events", `result=""`, id), e.recorded("slo:slot:events", `result="bad"`, id)
	burn := e.recorded("slo_burn_rate", `window="5m"`, id)
	require.GreaterOrEqual(e.t, len(total), 3)
	require.Len(e.t, bad, len(total))
	events := 0.0
	for end, n := range total {
		wantTotal, wantBad := e.slot(id, end)
		require.InDelta(e.t, wantTotal, n, 1e-6, "events of %s in the slot that ended at %s", id, end)
		require.InDelta(e.t, wantBad, bad[end], 1e-6, "bad events of %s in the slot that ended at %s", id, end)
		events += n
	}
	require.Greater(e.t, events, 0.0)
	compared := 0
	for end, rate := range burn {
		var sumTotal, sumBad, unknown float64
		for m := range 5 {
			slot := end.Add(-time.Duration(m) * time.Minute)
			n, b := e.slot(id, slot)
			if _, known := total[slot]; !known {
				unknown += n
				continue
			}
			sumTotal, sumBad = sumTotal+n, sumBad+b
		}
		st := e.at(end).slo(id)
		want := 0.0
		if sumTotal > 0 {
			want = sumBad / sumTotal / (1 - st.Objective)
		}
		require.InDelta(e.t, want, rate, 1e-6, "burn rate of %s at %s", id, end)
		if unknown == 0 {
			compared++
			require.Equal(e.t, "5m", st.Windows[0].Name)
			require.InDelta(e.t, *st.Windows[0].BurnRate, rate, 1e-6, "burn rate of %s at %s", id, end)
		}
	}
	if id == "prometheus/ranges" {
		require.Positive(e.t, compared, "all slots of a window are known to both")
	}
}

// recorded are the samples of a recorded series by the end of their slot.
func (e *slots) recorded(name, matchers, id string) map[time.Time]float64 {
	e.t.Helper()
	out := map[time.Time]float64{}
	for _, series := range ask(e.t, e.prom, name+`{slo_id="`+id+`",`+matchers+`}[1h]`, time.Now()) {
		for _, s := range series {
			at := time.UnixMilli(int64(s[0] * 1000)).UTC()
			out[at.Add(-30*time.Second).Truncate(time.Minute)] = s[1]
		}
	}
	return out
}

// slot returns what the evaluator counted in one slot: by how much the SLO's own
// window, which began before any data, holds more at the slot's end than before.
func (e *slots) slot(id string, end time.Time) (total, bad float64) {
	now, before := e.at(end).slo(id).Windows, e.at(end.Add(-time.Minute)).slo(id).Windows
	a, b := now[len(now)-1], before[len(before)-1]
	return a.Total - b.Total, a.Bad - b.Bad
}

// at returns what `slowburn status` reports for an instant.
func (e *slots) at(end time.Time) api {
	e.t.Helper()
	r, known := e.reports[end]
	if !known {
		code, stdout, stderr := command(e.t, "status", e.slos, "--backend", e.prom.URL, "--at", strconv.FormatInt(end.Unix(), 10), "-o", "json")
		require.Equal(e.t, 0, code, stderr)
		r = decodeReport(e.t, stdout)
		require.Equal(e.t, end, r.EvaluatedAt)
		e.reports[end] = r
	}
	return r
}

// requireHealthyRules asks the Prometheus whether each rule was evaluated.
func requireHealthyRules(t *testing.T, prom *servers.Server) {
	t.Helper()
	code, body := get(t, prom.URL+"/api/v1/rules")
	require.Equal(t, http.StatusOK, code, body)
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			require.Empty(t, r.LastError, r.Name)
			if r.Health == "ok" {
				n++
			}
		}
	}
	require.Greater(t, n, 20)
}
