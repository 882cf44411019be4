package backtest

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Suggestion is the strictest usual objective that an SLO's history supports.
type Suggestion struct {
	Objective *float64  `json:"objective"` // ratio; null when none is
	Reason    string    `json:"reason"`
	Worst     *Suffered `json:"worst"` // of the windows that were looked at; null without any
}

// Suffered is a window with the numbers of a suggestion.
type Suffered struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Total    float64   `json:"total"`
	Bad      float64   `json:"bad"`
	Coverage float64   `json:"coverage"`
	Consumed *float64  `json:"budget_consumed"` // at the objective that is suggested, or at the lowest
}

// What a history must have for an objective.
const (
	// headroom is how much of the budget the worst window may take.
	headroom = 0.8
	// wellKnown is the share of known slots that a window needs to count. Half of all
	// windows must count.
	wellKnown = 0.9
	// leastAllowed is how many bad events an objective must allow in any window. With
	// fewer, one failure is more than a tenth of the budget.
	leastAllowed = 10
)

// promises returns the usual objectives, from the lowest.
func promises() []slo.Objective {
	var out []slo.Objective
	for _, text := range []string{"90", "95", "99", "99.5", "99.9", "99.95", "99.99", "99.995", "99.999"} {
		if o, err := slo.ParseObjective(text); err == nil {
			out = append(out, o)
		}
	}
	return out
}

// outlook sums up the windows of a history.
type outlook struct {
	worst   timeline.Sum // the one with the largest share of bad events
	least   float64      // the events of that with the fewest
	known   int          // windows that are well known
	windows int
}

// outlookOf sums up all windows of (from, to] whose ends are quarters of an hour apart. One
// that is not well known can still be the worst, with as many events as if all were known.
func outlookOf(t *timeline.Timeline, w time.Duration, from, to timeline.Minute) outlook {
	var out outlook
	for end := to; end.Add(-w) >= from; end -= 15 {
		out.windows++
		sum := t.Sum(end.Add(-w), end)
		sum.Total = sum.Events()
		known := sum.Coverage() >= wellKnown
		if sum.Total <= 0 || !known && sum.Bad <= 0 {
			continue
		}
		if !known {
			sum.Total /= max(sum.Coverage(), 1/float64(sum.End-sum.Start)) // events counted after a gap are of minutes that are not known
		} else if out.known++; out.known == 1 || sum.Total < out.least {
			out.least = sum.Total
		}
		if out.worst.Total == 0 || sum.Bad*out.worst.Total > out.worst.Bad*sum.Total {
			out.worst = sum
		}
	}
	return out
}

// firstKnown returns the beginning of the first known slot of (from, to].
func firstKnown(t *timeline.Timeline, from, to timeline.Minute) timeline.Minute {
	return from + timeline.Minute(sort.Search(int(to-from), func(i int) bool {
		return t.Sum(from, from+timeline.Minute(i)+1).Known > 0
	}))
}

// suggest finds the strictest objective at which every window since the first known slot
// would have kept a part of its budget. Unknown time supports nothing. Calendar windows use
// their nominal length.
func suggest(s *slo.SLO, t *timeline.Timeline, from, to timeline.Minute) Suggestion {
	w := s.Window.Length
	from = firstKnown(t, from, to)
	l := outlookOf(t, w.Duration(), from, to)
	switch {
	case from == to:
		return Suggestion{Reason: "nothing is known"}
	case l.windows == 0:
		return Suggestion{Reason: fmt.Sprintf("the history since %s is shorter than a window of %s", from.Time().Format(dayAndTime), w)}
	case 2*l.known < l.windows || l.known == 0:
		return Suggestion{Reason: fmt.Sprintf("too little is known: only %d of %d windows of %s since %s have events and %s of their minutes known",
			l.known, l.windows, w, from.Time().Format(dayAndTime), alerting.Share(wellKnown))}
	}
	bad := max(l.worst.Bad, 0)
	out := Suggestion{Worst: &Suffered{
		Start: l.worst.Start.Time(), End: l.worst.End.Time(), Total: l.worst.Total, Bad: bad, Coverage: l.worst.Coverage(),
	}}
	takes := func(o slo.Objective) float64 { return o.BurnRate(bad, l.worst.Total) }
	all := promises()
	fits := func(o slo.Objective) bool { return takes(o) <= headroom && o.Allowed(l.least) >= leastAllowed }
	best := -1
	for i, o := range all {
		if fits(o) {
			best = i
		}
	}
	chosen, limit := all[max(best, 0)], all[min(best+1, len(all)-1)]
	consumed := takes(chosen)
	out.Worst.Consumed = &consumed
	worst := fmt.Sprintf("in the worst %s, until %s, %s of %s events were bad", w, l.worst.End.Time().Format(dayAndTime), humanize.Decimal(math.Round(bad)), humanize.Decimal(math.Round(l.worst.Total)))
	if coverage := l.worst.Coverage(); coverage < wellKnown {
		worst += fmt.Sprintf(" (of which %s are known; the others are taken to be good)", alerting.Share(coverage))
	}
	tooStrict := fmt.Sprintf("%s %% would have taken %s", limit.Percent(), alerting.Share(takes(limit)))
	if takes(limit) <= headroom {
		tooStrict = fmt.Sprintf("%s %% allows %s bad events in the quietest %s, fewer than %d", limit.Percent(), humanize.Digits(limit.Allowed(l.least), 2), w, leastAllowed)
	}
	switch {
	case best < 0:
		out.Reason = fmt.Sprintf("%s: %s", worst, tooStrict)
	case best == len(all)-1:
		out.Reason = fmt.Sprintf("%s, %s of the budget", worst, alerting.Share(consumed))
	default:
		out.Reason = fmt.Sprintf("%s, %s of the budget; %s", worst, alerting.Share(consumed), tooStrict)
	}
	if best >= 0 {
		ratio := chosen.Ratio()
		out.Objective = &ratio
	}
	return out
}

const dayAndTime = "2006-01-02 15:04"
