package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// runsAtRandom are n slots of which few have runs: mostly good ones, sometimes bad ones,
// or both.
func runsAtRandom(r *rand.Rand, n int) []timeline.Slot {
	out := make([]timeline.Slot, n)
	for i := range out {
		out[i].Known = true
		switch k := r.IntN(40); {
		case k < 6:
			out[i].Total = float64(1 + r.IntN(3))
		case k < 11:
			out[i].Total = float64(1 + r.IntN(2))
			out[i].Bad = out[i].Total
		case k < 12:
			out[i].Total, out[i].Bad = 3, 2
		}
	}
	return out
}

// ofRuns is an SLO of runs by counters, and a policy whose tiers count one, two and four.
func ofRuns(t *testing.T, more string) (*slo.SLO, alerting.Policies) {
	p := alerting.BuiltIn()
	p["patient"] = alerting.Policy{Name: "patient", Tiers: []alerting.Tier{
		{Name: "again", Severity: slo.Page, Runs: 2}, {Name: "worse", Severity: slo.Page, Runs: 4}, {Name: "third", Severity: slo.Ticket, Runs: 3},
	}}
	s := kindCase{text: []string{`{name: last, sli: {runs: {succeeded: 'requests_total{code="200"}', failed: 'requests_total{code="500"}'}}` + more + `}`}}.slo(t)
	return s, p
}

// TestRunsInARowAgree holds the alerts about runs by the rules against those by the
// evaluator, minute by minute, over runs at random.
func TestRunsInARowAgree(t *testing.T) {
	n := 600
	if testing.Short() {
		n = 300
	}
	for seed, policy := range []string{"", "patient"} {
		t.Run("policy "+policy, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 3))
			s, p := ofRuns(t, ", group_by: [tenant]")
			s.Alerting.Policy = policy
			slots := map[string][]timeline.Slot{"a": runsAtRandom(r, n), "b": runsAtRandom(r, n)}
			b := newBackend(t)
			all := make([]timeline.Slot, n)
			for tenant, of := range slots {
				b.slotsOf(fmt.Sprintf(`job="j",instance="i",tenant=%q`, tenant), of)
				for i, slot := range of {
					all[i] = timeline.Slot{Total: all[i].Total + slot.Total, Bad: all[i].Bad + slot.Bad, Known: true}
				}
			}
			b.run(s, Options{Alerts: true, Policies: p}, 45*time.Second, time.Duration(n+2)*time.Minute)
			group := *s
			group.Groups = nil
			want := judged(&group, p, all)
			require.Greater(t, len(spans(want[slo.Page])), 3)
			require.Greater(t, len(spans(want[slo.Ticket])), 3)
			b.requireFired(want, `tenant=""`)
			b.requireFired(judged(&group, p, slots["a"]), `tenant="a"`)
			b.requireFired(judged(&group, p, slots["b"]), `tenant="b"`)
		})
	}
}

// TestRunsInARowOfANightlyJob that is missed twice, by the time of its last success: a
// ticket at the first, a page at the second, with the words of the service.
func TestRunsInARowOfANightlyJob(t *testing.T) {
	s := kindCase{text: []string{`{name: last, window: 30d, sli: {runs: {last_success: job_timestamp_seconds, every: 1h, grace: 5m}}}`}}.slo(t)
	b := newBackend(t)
	epoch := b.epoch.Unix()
	// A success at 0:00 and one that is seen in the slot that ends at 3:11: runs are
	// missed at 1:05 and 2:05.
	b.load(20*time.Second, time.Minute, fmt.Sprintf("job_timestamp_seconds %dx189 %dx50", epoch, epoch+190*60))
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn()}, 45*time.Second, 4*time.Hour)
	b.requireFired(map[string][]int{slo.Ticket: minutes(65, 190), slo.Page: minutes(125, 190)}, `slo="last"`)
	text, err := File("x", []*slo.SLO{s}, Options{Alerts: true, Policies: alerting.BuiltIn()})
	require.NoError(t, err)
	require.Contains(t, string(text), `summary: "s last: {{ if gt $value 1.0 }}{{ $value | printf \"%.0f\" }} runs in a row were missed{{ else }}a run was missed{{ end }}"`)
	require.NotContains(t, string(text), "burns its error budget")

	s.Alerting.Annotations = map[string]string{"note": "{{ .BurnRate }}"}
	require.Contains(t, Options{Policies: alerting.BuiltIn()}.refusal(s), ".BurnRate, which rules don't know")
}

// TestBadRunsAreCountedOnceAMinute, whatever interval the server has for groups without
// one: a group that is evaluated each 15 s counts each bad run four times.
func TestBadRunsAreCountedOnceAMinute(t *testing.T) {
	s, p := ofRuns(t, ", group_by: [tenant]")
	for _, vmalert := range []bool{false, true} {
		text, err := File("x", []*slo.SLO{s}, Options{Alerts: true, Policies: p, VMAlert: vmalert})
		require.NoError(t, err)
		var file struct {
			Groups []struct {
				Name, Interval string
				Rules          []struct{ Record string }
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		records := 0
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.Record == badRuns || strings.HasPrefix(r.Record, "slo:slot:") {
					records++
					require.Equal(t, "1m", g.Interval, "%s of %s", r.Record, g.Name)
				}
			}
		}
		require.GreaterOrEqual(t, records, 3)
	}
}

func minutes(from, to int) []int {
	var out []int
	for m := from; m <= to; m++ {
		out = append(out, m)
	}
	return out
}

// TestRunsInARowOutliveAGap of the job's own series, and of the rules for up to an hour.
func TestRunsInARowOutliveAGap(t *testing.T) {
	s, p := ofRuns(t, "")
	for gap, fires := range map[time.Duration]bool{10 * time.Minute: true, 50 * time.Minute: true, 70 * time.Minute: false} {
		b := newBackend(t)
		for _, code := range []string{"200", "500"} {
			b.load(-gap, time.Minute, fmt.Sprintf(`slo:bad_runs:count{slo_id="s/last",slo_service="s",slo="last"} %d`, 2), fmt.Sprintf(`requests_total{code=%q,job="j",instance="i"} 5`, code))
		}
		b.run(s, Options{Alerts: true, Policies: p}, 45*time.Second, 5*time.Minute)
		require.Equal(t, fires, len(b.fired(`severity="page"`)) > 0, gap)
	}
}

// TestVMAlertRunsAgree is TestRunsInARowAgree by the rules for vmalert.
func TestVMAlertRunsAgree(t *testing.T) {
	const n = 170
	s, p := ofRuns(t, "")
	slots := runsAtRandom(rand.New(rand.NewPCG(5, 3)), n)
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), epoch.Add(20*time.Second), time.Minute, strings.Join(countersOf(`job="j",instance="i"`, slots), "\n")))
	vm := replayed(t, servers.NewestVictoriaMetrics(t), db, s, epoch, at(n+2))
	alertsReplayed(t, vm, db, s, p, at(2), at(n+3))
	for severity, want := range judged(s, p, slots) {
		var got []int
		for _, a := range recorded(t, db, labels.FromStrings("__name__", "ALERTS", "alertstate", "firing", "severity", severity).String()) {
			got = append(got, int(a.Time.Add(-82*time.Second).Sub(epoch)/time.Minute))
		}
		require.NotEmpty(t, want)
		require.Equal(t, spans(want), spans(got), severity)
	}
}
