package counting

import "github.com/slowburn-slo/slowburn/evaluator/timeline"

// Basis contains what counters are counted with, beside their samples.
type Basis struct {
	Clock    Role      // the roles whose samples make a slot known
	Recorder *Recorder // nil except for Explain
	Rulings  *Rulings  // to write, of an SLO that is split into groups; else nil
	Followed *Rulings  // to follow in the next feed of a group; else nil
	Starts   Starts    // for the next feed
}

// Clone returns the basis of a copy of the counters, with rulings of its own.
func (b *Basis) Clone() Basis {
	return Basis{Clock: b.Clock, Recorder: b.Recorder, Rulings: b.Rulings.Clone()}
}

// Begin returns Events for the slots of (from, to].
func (b *Basis) Begin(from, to timeline.Minute) *Events {
	out := NewEvents(b.Clock, from, to)
	out.Basis = *b
	b.Rulings.Extend(from.Millis(), to.Millis())
	b.Followed, b.Starts = nil, nil
	return out
}
