package evaluator

import "context"

// Tick does what Run does when a minute is over, and waits until it is done and
// all that is new was tried to be read.
func (e *Evaluator) Tick(ctx context.Context) {
	select {
	case <-e.changed:
		e.end = max(e.end, e.behindNow())
		e.apply(ctx)
	default:
		e.tick(ctx)
	}
	e.idle(ctx)
	for e.cold() {
		w := <-e.warmed
		e.warmUp(w)
		if w.entries[0].err != nil {
			break
		}
	}
	e.publish()
}

// cold reports whether some history is not read.
func (e *Evaluator) cold() bool {
	for _, l := range e.ledgers {
		if l.book == nil || l.preview && l.next == nil {
			return true
		}
	}
	return false
}
