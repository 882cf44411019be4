package loop

import (
	"runtime"
	"testing"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// BenchmarkEvaluate1000 adds a slot to the timelines of 1,000 SLOs over 30 d
// and computes all that is published of each.
func BenchmarkEvaluate1000(b *testing.B) {
	const month = 30 * 24 * 60
	objective, err := slo.ParseObjective("99.9")
	if err != nil {
		b.Fatal(err)
	}
	spec := &slo.SLO{Service: "shop", Name: "availability", Objective: objective, Window: slo.Rolling(spec.DefaultWindow)}
	windows := []slo.Window{}
	for _, d := range []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour, 72 * time.Hour, 30 * 24 * time.Hour} {
		windows = append(windows, slo.Window(d))
	}
	start := timeline.MinuteOf(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	timelines := make([]*timeline.Timeline, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range timelines {
		t := timeline.NewTimeline(start)
		for m := range month {
			t.Append(timeline.Slot{Total: 2400, Bad: float64((m + i) % 3), Known: true})
		}
		t.Fold(start, t.End()-timeline.FineAge)
		timelines[i] = t
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		for _, t := range timelines {
			t.Append(timeline.Slot{Total: 2400, Bad: 1, Known: true})
			t.Fold(t.End()-month, t.End()-timeline.FineAge)
			s := evaluator.NewStatus(spec, "default")
			s.Compute(t, t.End(), windows)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1000, "B/timeline")
}
