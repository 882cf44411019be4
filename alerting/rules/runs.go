package rules

import (
	"slices"

	"github.com/slowburn-slo/slowburn/alerting"
)

// badRuns is how many runs were bad since the last good one. The next evaluation reads
// it; an hour without evaluations forgets it.
const badRuns = "slo:bad_runs:count"

// row writes the rule of the bad runs in a row. Of a slot with good and bad runs nobody
// knows which came last: one counts, as in the evaluator. Of groups it goes on while they
// are there.
func (w *ruleWriter) row() {
	total, counted := w.now(eventsOf("slot"), totalOnly), call("sum without (result) ", w.now(eventsOf("slot"), badOnly))
	bad := call("round", counted).notNegative()
	succeeded := total.is(">", counted).zero().plus(bad.is("> bool", raw("0")))
	before := overTime("last", badRuns+"{"+w.sel+"}", "1h")
	goesOn := before
	if len(w.split.labels) > 0 {
		goesOn = goesOn.andOn(w.same(), w.present())
	}
	w.record(badRuns, succeeded.
		orOn(w.same(), bad.plus(before)).
		orOn(w.same(), bad).
		orOn(w.same(), goesOn))
}

// runsOnly and runsToo report whether all tiers, or any, count runs in a row.
func runsOnly(tiers []firingTier) bool {
	return !slices.ContainsFunc(tiers, func(f firingTier) bool { return f.Runs == 0 })
}

func runsToo(tiers []firingTier) bool {
	return slices.ContainsFunc(tiers, func(f firingTier) bool { return f.Runs > 0 })
}

// runsWords are the summary of an alert about runs, after the name, and its first
// sentence. Where it may be about a burn rate as well, its value is no number of runs.
func (w *ruleWriter) runsWords(tiers []firingTier) (summary, text string) {
	one, more := alerting.RunsText(w.s, 1), alerting.RunsText(w.s, 2)
	if !runsOnly(tiers) {
		return "too many runs are bad", "Too many runs in a row, or of all, are bad."
	}
	words := func(one string) string {
		return "{{ if gt $value 1.0 }}{{ $value | printf \"%.0f\" }}" + more[1:] + "{{ else }}" + one + "{{ end }}"
	}
	return words(one), words("A"+one[1:]) + ". The alert ends with the next good run."
}
