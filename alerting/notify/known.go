package notify

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Windows that are less known than when an alert began don't end it. If a backend loses a
// part of its data and answers without it, bad events vanish.

const (
	// ownWindow is the key of the SLO's own window in shares.
	ownWindow = ""
	// coverageLoss is by how much the coverage of a window must fall to be less known. A
	// backend that was down for a day of 30 keeps no ticket open.
	coverageLoss = 0.05
)

// shares contains the known shares of windows, by the names of the windows.
type shares map[string]float64

// decidingWindows returns the names of the windows that decide an alert.
func decidingWindows(s *evaluator.Status, f evaluator.FiringAlert) []string {
	switch {
	case f.Burns():
		return f.Windows
	case f.Name == slo.ForecastAlert && len(s.Windows) > 1:
		return []string{ownWindow, s.Windows[len(s.Windows)-2].Name}
	case f.Name == slo.ExhaustedAlert || f.Name == slo.PolicyAlert || f.Name == slo.ForecastAlert:
		return []string{ownWindow}
	}
	return nil
}

// coverageNow returns the known shares of the windows that decide an alert.
func coverageNow(s *evaluator.Status, f evaluator.FiringAlert) shares {
	out := shares{}
	for _, name := range decidingWindows(s, f) {
		if w := windowNamed(s, name); w != nil {
			out[name] = w.Coverage
		}
	}
	return out
}

// windowNamed returns a window of an SLO, nil if it has none of that name.
func windowNamed(s *evaluator.Status, name string) *evaluator.WindowStatus {
	for i := range s.Windows {
		if w := &s.Windows[i]; w.Name == name || name == ownWindow && i == len(s.Windows)-1 {
			return w
		}
	}
	return nil
}

// lessKnown counts the windows that are less known now than they were. For alerts about the
// budget, a window that falls below KnownEnough is less known even by a small loss.
func (k shares) lessKnown(s *evaluator.Status, budget bool) int {
	n := 0
	for name, was := range k {
		w := windowNamed(s, name)
		if w == nil {
			continue
		}
		lost := was - w.Coverage
		slots := lost * float64(w.Seconds) / 60
		if lost > coverageLoss && slots > 2.5 || budget && was >= alerting.KnownEnough && w.Coverage < alerting.KnownEnough && slots > 0.5 {
			n++ // the newest two slots may not be scraped yet
		}
	}
	return n
}

// coverageNote is the annotation with the shares that were known when an alert began, such
// as "1h 1, 5m 0.8". A process that starts reads it back from Alertmanager.
const coverageNote = "coverage"

// note returns the shares as an annotation, "" without any.
func (k shares) note(s *evaluator.Status) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k)) {
		if w := windowNamed(s, name); w != nil {
			out = append(out, w.Name+" "+humanize.Digits(k[name], 4))
		}
	}
	return strings.Join(slices.Compact(out), ", ")
}

// readNote reads the shares of the windows that decide an alert. A window that the note
// lacks was known just well enough to decide.
func readNote(note string, s *evaluator.Status, f evaluator.FiringAlert) shares {
	read := map[string]float64{}
	for part := range strings.SplitSeq(note, ", ") {
		name, text, _ := strings.Cut(part, " ")
		if v, err := strconv.ParseFloat(text, 64); err == nil && v >= 0 && v <= 1 {
			read[name] = v
		}
	}
	out := coverageNow(s, f)
	for name := range out {
		out[name] = alerting.KnownEnough
		if v, is := read[windowNamed(s, name).Name]; is {
			out[name] = v
		}
	}
	return out
}
