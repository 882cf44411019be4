package loop

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestDoubtsAreLoggedOnce has a line when a doubt begins and one when it ends, whatever
// its message says in between, and none while history is read.
func TestDoubtsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	e := &state{Loop: &Loop{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}}
	x := &followed{slo: &slo.SLO{Service: "checkout", Name: "availability"}, job: &job{newestOnly: true}}
	x.status.Doubts = []evaluator.Doubt{{Code: evaluator.DoubtEstimated, Message: "while its history is read"}}
	e.logDoubts(x)
	x.job.newestOnly = false
	for _, doubts := range [][]evaluator.Doubt{
		nil,
		{{Code: evaluator.DoubtAmbiguous, Message: "3 events"}, {Code: evaluator.DoubtAudit, OfBackend: true}}, // which has a line of its own
		{{Code: evaluator.DoubtAmbiguous, Message: "4 events"}, {Code: evaluator.DoubtPartlyKnown, Message: "half is known"}},
		{{Code: evaluator.DoubtPartlyKnown, Message: "more is known"}},
	} {
		x.status.Doubts = doubts
		e.logDoubts(x)
	}
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), "level=")
		lines = append(lines, line)
	}
	require.Equal(t, []string{
		`WARN msg="SLO's number is in doubt" slo_id=checkout/availability code=ambiguous reason="3 events"`,
		`WARN msg="SLO's number is in doubt" slo_id=checkout/availability code=partly_known reason="half is known"`,
		`INFO msg="SLO's number is in doubt no longer" slo_id=checkout/availability code=ambiguous`,
	}, lines)
}

// TestShareOfWhatIsUndecided: 5 of 1,005 events are little, and 5 of 15 bad ones are not.
func TestShareOfWhatIsUndecided(t *testing.T) {
	type share struct {
		n, of   float64
		tooMuch bool
	}
	of := func(l counting.UndecidedSlot, s timeline.Sum) (out share) {
		out.n, out.of, out.tooMuch = l.Share(s)
		return out
	}
	require.Equal(t, share{5, 1005, false}, of(counting.UndecidedSlot{Total: 5}, timeline.Sum{Total: 1000, Bad: 10}))
	require.Equal(t, share{5, 15, true}, of(counting.UndecidedSlot{Total: 5, Bad: 5}, timeline.Sum{Total: 1000, Bad: 10}))
	require.Equal(t, share{11, 1011, true}, of(counting.UndecidedSlot{Total: 11}, timeline.Sum{Total: 1000}))
}

// TestADoubtIsAReason of a state that has none.
func TestADoubtIsAReason(t *testing.T) {
	var s evaluator.Status
	s.AddDoubt(nil)
	s.AddDoubt(&evaluator.Doubt{Code: evaluator.DoubtEstimated, Message: "first"})
	s.AddDoubt(&evaluator.Doubt{Code: evaluator.DoubtAmbiguous, Message: "second"})
	require.Equal(t, "first", s.StateReason)
	require.Equal(t, []evaluator.Doubt{{Code: evaluator.DoubtAmbiguous, Message: "second"}, {Code: evaluator.DoubtEstimated, Message: "first"}}, s.Doubts, "in the order of the codes")
}
