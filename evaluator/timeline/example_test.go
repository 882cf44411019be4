package timeline_test

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A timeline has one slot a minute. Sums over any window are exact, and contain how much
// of the window is known.
func ExampleTimeline_Sum() {
	start := timeline.MinuteOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	t := timeline.NewTimeline(start)
	for range 50 {
		t.Append(timeline.Slot{Total: 600, Bad: 3, Known: true})
	}
	for range 10 {
		t.Append(timeline.Slot{}) // nothing was scraped
	}
	sum := t.Sum(start, t.End())
	fmt.Printf("%.0f of %.0f events are bad, %.0f %% of the hour is known\n", sum.Bad, sum.Total, 100*sum.Coverage())
	// Output: 150 of 30000 events are bad, 83 % of the hour is known
}
