package rules

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// kindCases are one case at least for each kind of SLO that is more than two
// counters over a rolling window.
func kindCases() []kindCase {
	of := func(name string, series []string, total, bad []float64, text ...string) kindCase {
		return kindCase{slotCase{name: name, series: series, wantTotal: total, wantBad: bad}, text}
	}
	u := unknown
	const up = `sli: {probe: {metric: 'up'}}`
	const queue = `sli: {threshold: {query: 'queue', op: "<", value: 50}}`
	const backup = `sli: {freshness: {timestamp: 'backup_timestamp_seconds', max_age: 3m}}`
	const events = `sli: {events: {bad: 'bad_total', total: 'all_total'}}`
	probed := []string{`up{job="j",instance="a"} 1 1 1 0 1 1 1 1 stale _ _ _ 1 1`}
	queues := []string{`queue{name="a"} 5 5 5 50 5 5 5 5 stale _ _ _ 5 5`, `queue{name="b"} 5 5 5 5 5 51 5 5 stale _ _ _ 5 5`}
	// All events of a slot are 20 of a good and of a bad minute by turns, of
	// slots 1 to 9: one of them bad, or three.
	turns := []string{
		`all_total{job="j",instance="a"} 0+10x21`,
		`bad_total{job="j",instance="a"} 0 0 0 1 1 4 4 5 5 8 8 9 9 12 12 13 13 16 16 17 17 20`,
	}
	gap := []string{`all_total{job="j",instance="a"} 0+10x5 stale`, `bad_total{job="j",instance="a"} 0x5 stale`}
	return []kindCase{
		of("sums of counters with weights", []string{
			`all_total{job="j",instance="a",path="/"} 0+10x7`, `all_total{job="j",instance="a",path="/health"} 0+1x7`,
			`errors_total{job="j",instance="a"} 0+1x7`, `timeouts_total{job="j",instance="a"} _ _ _ _ 3 3 4 4`,
		}, []float64{u, 20, 20, 20}, []float64{u, 2, 2 + 6, 2 + 2},
			`{name: last, sli: {events: {bad: 'sum(increase(errors_total[$window])) + 2 * sum(increase(timeouts_total[$window]))', `+
				`total: 'sum(increase(all_total[$window])) - sum(increase(all_total{path="/health"}[$window]))'}}}`),
		of("increments", []string{
			`all_sum{job="j",instance="a"} 5 5 6 6 0 0 7 7`, `bad_sum{job="j",instance="a"} 1 0 2 0 0 0 1 1`, `late_sum{job="j",instance="a"} _ _ _ _ _ _ 1 0`,
		}, []float64{10, 12, 0, 14}, []float64{1, 2, 0, 2 + 3},
			`{name: last, sli: {events: {type: delta, bad: 'bad_sum + 3 * late_sum', total: 'sum(all_sum)'}}}`),
		of("good and bad with weights", []string{`ok_total{job="j",instance="a"} 0+9x7`, `bad_total{job="j",instance="a"} 0+1x7`},
			[]float64{u, 24, 24, 24}, []float64{u, 6, 6, 6},
			`{name: last, sli: {events: {good: 'sum(increase(ok_total[$window]))', bad: '3 * sum(increase(bad_total[$window]))'}}}`),
		of("one series twice", []string{`ok_total{job="j",instance="a",code="200"} 0+9x7`, `ok_total{job="j",instance="a",code="500"} 0+1x7`},
			[]float64{u, 40, 40, 40}, []float64{u, 2, 2, 2},
			`{name: last, sli: {events: {bad: 'ok_total{code="500"}', total: 'sum(increase(ok_total[$window])) + sum(increase(ok_total[$window]))'}}}`),
		of("runs by counters", []string{`ok_total{job="j",instance="a"} 0 0 0 1 1 1`, `failed_total{job="j",instance="a"} 0 0 0 0 0 1`},
			[]float64{u, 1, 1}, []float64{u, 0, 1}, `{name: last, sli: {runs: {succeeded: 'ok_total', failed: 'failed_total'}}}`),
		of("probe", append([]string{`up{job="j",instance="b"} 1x13`}, probed...),
			[]float64{2, 2, 2, 2, 1, 1, 2}, []float64{0, 1, 0, 0, 0, 0, 0}, `{name: last, `+up+`}`),
		of("probe alone", probed, []float64{1, 1, 1, 1, u, u, 1}, []float64{0, 1, 0, 0, u, u, 0}, `{name: last, `+up+`}`),
		of("probe of slow scrapes", []string{`up{job="j",instance="a"} 1 _x7 0 _x7 1`},
			[]float64{1, 0, 0, 0, 1, 0, 0, 0, 1}, []float64{0, 0, 0, 0, 1, 0, 0, 0, 0}, `{name: last, `+up+`}`),
		// The last scrape of a is at 3:07. Two scrapes later it is gone.
		of("probe without data", []string{`up{job="j",instance="a"} 1 _ 1 _ 1 _ 1 _ stale _ _ _ _ _ 1 _`, `up{job="j",instance="b"} 1 _ 1 _ 1 _ 1 _ 0 _ 1 _ 1 _ 1 _`},
			[]float64{2, 2, 2, 2, 1, 2, 2, 2}, []float64{0, 0, 0, 0, 1, 1, 1, 0}, `{name: last, on_no_data: bad, `+up+`}`),
		of("probe alone without data", []string{`up{job="j",instance="a"} 1 _ 1 _ 1 _ 1 _ stale _ _ _ _ _ 1 _`},
			[]float64{1, 1, 1, 1, u, 1, 1, 1}, []float64{0, 0, 0, 0, u, 1, 1, 0}, `{name: last, on_no_data: bad, `+up+`}`),
		of("threshold", queues, []float64{1, 1, 1, 1, u, u, 1}, []float64{0, 1, 1, 0, u, u, 0}, `{name: last, `+queue+`}`),
		of("threshold without data", queues, []float64{1, 1, 1, 1, 1, 1, 1}, []float64{0, 1, 1, 0, 1, 1, 0}, `{name: last, on_no_data: bad, `+queue+`}`),
		of("threshold of a scalar", nil, []float64{1, 1}, []float64{1, 1}, `{name: last, sli: {threshold: {query: 'scalar(vector(-3)) # a comment', op: "==", value: -2.5}}}`),
		// The first host succeeds at 0 and 5:00, the other at 1:00 and is gone.
		of("freshness", []string{
			`backup_timestamp_seconds{host="a"} {0}x9 {300}x11`, `backup_timestamp_seconds{host="b"} {60}x5 stale`,
		}, []float64{1, 1, 1, 1, 1, 1, 1}, []float64{0, 0, 0, 1, 1, 1, 1}, `{name: last, `+backup+`}`),
		of("freshness of one", []string{`backup_timestamp_seconds{host="a"} {0}x9 {300}x3 stale`},
			[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1}, []float64{0, 0, 0, 1, 1, 0, 0, 0, 1}, `{name: last, `+backup+`}`),
		of("rates", []string{`all{shard="a"} 10x9`, `all{shard="b"} 5x9`, `failed _ _ _ _ 2 2 2 2 -90 -90`},
			[]float64{15, 30, 30, 30, 30}, []float64{0, 0, 2, 4, 0},
			`{name: last, sli: {events: {bad: 'sum_over_time(failed[$window])', total: 'sum_over_time(all[$window])'}}}`),
		of("rates by nothing", []string{`all 10x8`, `failed 1x8`, `parts 1 1 0 0 2x4`}, []float64{10, u, 20, 20}, []float64{1, u, 1, 1},
			`{name: last, sli: {events: {bad: 'sum_over_time(failed[$window]) / parts', total: 'sum_over_time(all[$window])'}}}`),
		of("rates of good and bad", []string{`ok 10x7`, `failed _ _ 2x5`}, []float64{10, 22, 24, 24}, []float64{0, 2, 4, 4},
			`{name: last, sli: {events: {good: 'sum_over_time(ok[$window])', bad: 'sum_over_time(failed[$window])'}}}`),
		// Due each 3 m and 1 m of grace: after 0:00 it succeeds at 2:00, and
		// is missed at 6:00 and 9:00, though it is gone since 3:00.
		of("runs by time", []string{`job_timestamp_seconds{job="a"} {0}x3 {120}x1 stale`},
			[]float64{1, 0, 1, 0, 0, 1, 0, 0, 1}, []float64{0, 0, 0, 0, 0, 1, 0, 0, 1},
			`{name: last, sli: {runs: {last_success: job_timestamp_seconds, every: 3m, grace: 1m}}}`),
		// Due at 4:00, 7:00 and 10:00, and first seen in the slot that ends at 8:00.
		of("runs of an old job", []string{`job_timestamp_seconds{job="a"} _x14 {0}x5 {600}x1`},
			[]float64{u, u, u, u, u, u, u, 0, 0, 1, 1}, []float64{u, u, u, u, u, u, u, 0, 0, 1, 0},
			`{name: last, sli: {runs: {last_success: job_timestamp_seconds, every: 3m, grace: 1m}}}`),
		of("slices of a minute", turns, []float64{u, 1, 1, 1, 1}, []float64{u, 0, 1, 0, 1},
			`{name: last, budgeting: timeslices, slice: {length: 1m, target: 95}, `+events+`}`),
		// 4 of 60 until 0:04 are bad, 8 of 80 until 0:08.
		of("slices of four minutes", turns, []float64{u, 0, 0, 1, 0, 0, 0, 1}, []float64{u, 0, 0, 0, 0, 0, 0, 1},
			`{name: last, budgeting: timeslices, slice: {length: 4m, target: 91}, `+events+`}`),
		of("slices without data", gap, []float64{u, 0, 0, 1, u, u, u}, []float64{u, 0, 0, 0, u, u, u},
			`{name: last, budgeting: timeslices, slice: {length: 4m, target: 91}, `+events+`}`),
		of("slices without data that are bad", gap, []float64{u, 1, 1, 1, 1}, []float64{u, 0, 0, 1, 1},
			`{name: last, budgeting: timeslices, slice: {length: 1m, target: 90}, on_no_data: bad, `+events+`}`),
		of("long slices without data that are bad", gap, []float64{u, 1, 0, 1, 0, 1}, []float64{u, 0, 0, 0, 0, 1},
			`{name: last, budgeting: timeslices, slice: {length: 2m, target: 90}, on_no_data: bad, `+events+`}`),
		// Slot 1 fails by a, slot 2 and 4 by b; c is gone in slots 4 and 5.
		of("worst of", append(queues, turns...), []float64{u, 1, 1, 1, 1, u, 1}, []float64{u, 1, 1, 0, 1, u, 1},
			`{name: a, `+queue+`}`, `{name: b, objective: 90, `+events+`}`, `{name: c, worst_of: [s/a]}`, `{name: last, worst_of: [s/a, s/b, s/c]}`),
		of("worst of without data", append(queues, turns...), []float64{u, 1, 1, 1, 1, 1, 1}, []float64{u, 1, 1, 0, 1, 1, 1},
			`{name: a, `+queue+`}`, `{name: b, objective: 90, `+events+`}`, `{name: last, on_no_data: bad, worst_of: [s/a, s/b]}`),
		of("worst of by age", []string{`backup_timestamp_seconds{host="a"} {0}x9`, `up{job="j",instance="a"} 1x9`},
			[]float64{1, 1, 1, 1, 1}, []float64{0, 0, 0, 1, 1}, `{name: a, `+backup+`}`, `{name: b, `+up+`}`, `{name: last, worst_of: [s/a, s/b]}`),
	}
}

// TestKindsAgree holds the rules of each kind against the evaluator: each slot
// but the first, of which rules do not know what counters grew by.
func TestKindsAgree(t *testing.T) {
	for _, tt := range kindCases() {
		t.Run(tt.name, func(t *testing.T) { kindAgrees(t, tt, runGroups) })
	}
}

func kindAgrees(t *testing.T, tt kindCase, run runner) {
	t.Helper()
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), epoch.Add(7*time.Second), 30*time.Second, strings.Join(tt.seriesAt(epoch.Unix()), "\n")))
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	s, n := tt.slo(t), len(tt.wantTotal)
	run(t, db, s, epoch, epoch.Add(time.Duration(n+2)*time.Minute))
	c := &comparison{t: t, world: &world{slo: s}, db: db, url: server.URL}
	c.readSlots()
	status, _ := c.evaluate(n)
	_, tl := c.evaluate(n + 3) // when the slots are settled
	for m := 2; m <= n; m++ {
		to := timeline.MinuteOf(at(m))
		got := tl.Sum(to-1, to)
		total, known := c.total[m]
		// A slice that ends without data is an event in a slot that only rules know.
		require.Equal(t, got.Known == 1 || got.Total > 0, known, "whether the slot is known that ends at minute %d", m)
		require.InDelta(t, got.Total, total, 1e-9, "events of the slot that ends at minute %d", m)
		require.InDelta(t, got.Bad, c.bad[m], 1e-9, "bad events of the slot that ends at minute %d", m)
	}
	one := 1.0
	now := at(n).Add(90*time.Second - time.Millisecond)
	c.equal(&one, `slo_data_state{state="`+string(status.State)+`"}`, now)
	c.equal(&one, `count(slo_data_state)`, now)
}

// TestMemory begins with what rules recorded before: how long ago, and a time
// that is forgotten in 5 minutes. Nothing is there any more.
func TestMemory(t *testing.T) {
	const week = 7 * 24 * 3600
	u := unknown
	for _, tt := range []struct {
		name, series string
		keep         int64 // in seconds
		total, bad   []float64
		slo          string
	}{
		{
			"freshness", `slo:remembered:timestamp{slo_id="s/last",slo_service="s",slo="last",host="a"}`, 180 + week,
			[]float64{1, 1, 1, 1, 1, u}, []float64{1, 1, 1, 1, 1, u},
			`{name: last, sli: {freshness: {timestamp: backup_timestamp_seconds, max_age: 3m}}}`,
		}, {
			"runs", `slo:remembered:timestamp{slo_id="s/last",slo_service="s",slo="last",host="a"}`, 240 + week,
			// The success was 604,740 s before the first slot. With 60 s of grace
			// run 3,360 after it is due 120 s into that, and the next at 300 s.
			[]float64{0, 1, 0, 0, 1, u}, []float64{0, 1, 0, 0, 1, u},
			`{name: last, sli: {runs: {last_success: backup_timestamp_seconds, every: 3m, grace: 1m}}}`,
		}, {
			"threshold", `slo:remembered:timestamp{slo_id="s/last",slo_service="s",slo="last"}`, week,
			[]float64{1, 1, 1, 1, 1, u}, []float64{1, 1, 1, 1, 1, u},
			`{name: last, on_no_data: bad, sli: {threshold: {query: queue, op: "<", value: 5}}}`,
		}, {
			"probe", `slo:remembered:timestamp{slo_id="s/last",slo_service="s",slo="last",job="j",instance="a"}`, week,
			[]float64{1, 1, 1, 1, 1, u}, []float64{1, 1, 1, 1, 1, u},
			`{name: last, on_no_data: bad, sli: {probe: {metric: up}}}`,
		}, {
			"slices", `slo:known:timestamp{slo_id="s/last",slo_service="s",slo="last"}`, week,
			[]float64{0, 1, 0, 1, 0, u}, []float64{0, 1, 0, 1, 0, u},
			`{name: last, on_no_data: bad, budgeting: timeslices, slice: {length: 2m, target: 90}, sli: {events: {bad: errors_total, total: all_total}}}`,
		},
	} {
		for ago, kept := range map[time.Duration]bool{time.Minute: true, 58 * time.Minute: true, 61 * time.Minute: false} {
			t.Run(tt.name+" "+ago.String(), func(t *testing.T) {
				b := newBackend(t)
				b.load(-ago, time.Minute, tt.series+" "+strconv.FormatInt(b.epoch.Unix()-tt.keep+300, 10))
				b.run(kindCase{text: []string{tt.slo}}.slo(t), Options{Policies: alerting.BuiltIn()}, 45*time.Second, 10*time.Minute)
				none := []float64{u, u, u, u, u, u}
				wantTotal, wantBad := none, none
				if kept {
					wantTotal, wantBad = tt.total, tt.bad
				}
				require.Equal(t, texts(wantTotal), texts(b.slots(totalSlots, 6)))
				require.Equal(t, texts(wantBad), texts(b.slots(badSlots, 6)))
			})
		}
	}
}
