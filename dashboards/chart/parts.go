package chart

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// part is a part of an SLO's window.
type part struct {
	Start, End time.Time
	Total, Bad float64
	Coverage   float64 // mean of the merged parts
	Excluded   float64 // share of the time, likewise
}

// merged joins neighbours so that at most n parts remain.
func merged(history []evaluator.Bucket, n int) []part {
	if len(history) == 0 {
		return nil
	}
	each := (len(history) + n - 1) / n
	var length time.Duration
	if len(history) > 1 {
		length = history[1].End.Sub(history[0].End)
	}
	out := make([]part, 0, n)
	for i := 0; i < len(history); i += each {
		group := history[i:min(i+each, len(history))]
		p := part{Start: group[0].End.Add(-length), End: group[len(group)-1].End}
		for _, b := range group {
			p.Total += b.Total
			p.Bad += b.Bad
			p.Coverage += b.Coverage * (1 - b.Excluded)
			p.Excluded += b.Excluded / float64(len(group))
		}
		if counts := (1 - p.Excluded) * float64(len(group)); counts > 0 {
			p.Coverage /= counts
		}
		out = append(out, p)
	}
	return out
}

func fixed(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// partBurn returns the burn rate within a part of the window, 0 without events.
func partBurn(p part, allowed float64) float64 {
	return slo.BadShare(p.Bad, p.Total) / allowed
}

// logScale returns the height of a burn rate between 0 (0) and most (1). It is logarithmic,
// so that an outage does not flatten slow burning, and nearly linear below a quarter, where
// rates don't matter.
func logScale(burn, most float64) float64 {
	return math.Min(math.Log1p(4*burn)/math.Log1p(4*most), 1)
}
