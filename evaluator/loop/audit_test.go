package loop

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// auditing is an evaluator of one SLO, and what counters of a day count each minute.
type auditing struct {
	*state
	t     *testing.T
	job   *job
	start timeline.Minute
}

const auditedFile = `apiVersion: slowburn/v1
service: shop
slos:
  - {name: a, window: 1d, objective: 99, sli: {events: {bad: bad_total, total: all_total}}}
`

// newAuditing has for each series its value at each minute of ten hours, and is there
// after some.
func newAuditing(t *testing.T, series map[string]func(minute int) float64, hours int) *auditing {
	t.Helper()
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(db.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, db.Close())
	})
	begin := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for text, value := range series {
		name, err := parser.NewParser(parser.Options{}).ParseMetric(text)
		require.NoError(t, err)
		var samples []memprom.Sample
		for i := range 601 {
			if v := value(i); !math.IsNaN(v) {
				samples = append(samples, memprom.Sample{Time: begin.Add(time.Duration(i) * time.Minute), Value: v})
			}
		}
		require.NoError(t, db.Add(t.Context(), name, samples...))
	}
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(auditedFile)}})
	require.Empty(t, set.Findings)
	st := newState(New(Options{
		Backends: []backend.Config{{Name: "default", URL: server.URL, HTTP: http.DefaultClient, Timeout: time.Minute, MaxConcurrency: 1, MaxSamples: 5e7, Settle: 2 * time.Minute, TargetLabels: []string{"job", "instance"}}},
		Windows:  func(s *slo.SLO) []slo.Window { return []slo.Window{s.Window.Length} },
		Log:      slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: func() time.Time { return begin.Add(time.Duration(hours) * time.Hour) },
	}))
	_, err = st.evaluateOnce(t.Context(), set.SLOs, begin.Add(time.Duration(hours)*time.Hour))
	require.NoError(t, err)
	for _, j := range st.jobs {
		j.auditLog = nil
		return &auditing{st, t, j, timeline.MinuteOf(begin)}
	}
	return nil
}

// wrong takes what was counted for what a wrong rule would count.
func (a *auditing) wrong(slot func(minute int) (total, bad float64)) *auditing {
	tl := timeline.NewTimeline(a.start)
	for i := 1; i <= 600; i++ {
		total, bad := slot(i)
		tl.Append(timeline.Slot{Total: total, Bad: bad, Known: true})
	}
	a.job.record.Timeline, a.job.record.Inputs[0].Surpluses, a.job.record.Inputs[0].Hours = tl, nil, nil
	return a
}

// audits does the audits of hours that end so many minutes after the start, and returns
// the doubts that there are after each.
func (a *auditing) audits(ends ...int) (doubts []bool) {
	a.t.Helper()
	p := &a.job.record.Inputs[0]
	for _, end := range ends {
		h, ok := a.job.record.Hour(0, a.start+timeline.Minute(end))
		require.True(a.t, ok)
		p.Hours = append(p.Hours, h)
		due := a.job.auditLog.Due(a.job.record)
		require.Len(a.t, due, 1)
		audit.Run(a.t.Context(), a.job.lane.Reader, due)
		require.NoError(a.t, due[0].Err)
		a.takeAudits(a.job.lane, due)
		doubts = append(doubts, a.job.auditLog.Doubt(a.job.record) != nil)
	}
	return doubts
}

func perMinute(events float64) func(int) float64 {
	return func(minute int) float64 { return 1000 + events*float64(minute) }
}

// TestAuditAgrees: what is right is in no doubt, with births, restarts and bursts.
func TestAuditAgrees(t *testing.T) {
	for hours := 3; hours <= 10; hours++ {
		a := newAuditing(t, map[string]func(int) float64{
			`all_total{job="j",instance="i"}`:              perMinute(60),
			`bad_total{job="j",instance="i"}`:              perMinute(6),
			`all_total{job="j",instance="k"}`:              func(minute int) float64 { return 60 * float64(minute%45) }, // restarts
			`bad_total{job="j",instance="k"}`:              func(minute int) float64 { return 6 * float64(minute%45) },
			`all_total{job="j",instance="i",path="burst"}`: func(minute int) float64 { return 9000 * float64((minute+30)/60) },
			`all_total{job="j",instance="i",path="new"}`: func(minute int) float64 {
				if minute < 290 {
					return math.NaN()
				}
				return 3000
			},
		}, hours)
		due := a.job.auditLog.Due(a.job.record)
		require.NotEmpty(t, due, "after %d hours", hours)
		audit.Run(t.Context(), a.job.lane.Reader, due)
		for i := range due {
			require.NoError(t, due[i].Err)
			require.False(t, due[i].Differs(1, backend.KindPrometheus) || due[i].Differs(2, backend.KindPrometheus), "after %d hours: %+v", hours, due[i])
		}
	}
}

// TestAuditFindsWrongRules counts as rules did that were wrong: each is in doubt after
// two hours in a row, and no longer when an hour agrees.
func TestAuditFindsWrongRules(t *testing.T) {
	const all, bad = `all_total{job="j",instance="i"}`, `bad_total{job="j",instance="i"}`
	for name, tt := range map[string]struct {
		all, bad func(int) float64
		slot     func(minute int) (total, bad float64)
	}{
		// A sum lost a member in the fourth hour, and was taken for a dip until it was back.
		"a fall is a dip for ever": {
			all:  func(minute int) float64 { return 1e6*b2f(minute < 200) + 60*float64(minute) + 5e5 },
			bad:  perMinute(6),
			slot: func(minute int) (float64, float64) { return 60 * b2f(minute < 200 || minute > 540), 6 },
		},
		// The text of a label changed with an upgrade, and what has the new one is not read.
		"the bad ones are lost": {
			all: perMinute(60), bad: perMinute(30),
			slot: func(minute int) (float64, float64) { return 60, 30 * b2f(minute < 200 || minute > 480) },
		},
		// A process that restarts each 45 minutes, and whose label sets go on at their last values.
		"restarts count nothing": {
			all:  func(minute int) float64 { return 60 * float64(minute%45) },
			bad:  func(minute int) float64 { return 6 * float64(minute%45) },
			slot: func(minute int) (float64, float64) { return 60 * b2f(minute%45 > 30 || minute > 480), 6 },
		},
		// Events are counted twice, by two replicas.
		"all counts twice": {
			all: perMinute(60), bad: perMinute(6),
			slot: func(minute int) (float64, float64) { return 60 + 60*b2f(minute < 480), 6 + 6*b2f(minute < 480) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuditing(t, map[string]func(int) float64{all: tt.all, bad: tt.bad}, 10).wrong(tt.slot)
			doubts := a.audits(287, 354, 421, 488)
			require.False(t, doubts[0], "one hour alone")
			require.True(t, doubts[1] && doubts[3])
			require.False(t, a.audits(600)[0], "an hour that agrees")
		})
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
