package loop

import (
	"context"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/history"
)

// lane is a backend with the state of its reads. Only its Reader and slots are used by
// other goroutines.
type lane struct {
	*history.Reader

	// Semaphores for reads of history, which take more memory than the timeline.
	newestSlots, wholeSlots, rereadSlots chan struct{}

	busy       bool       // a cycle is under way
	down       error      // why the last cycle got no answer at all
	stale      *time.Time // the newest sample of anything, when too old
	loggedDown bool       // that was logged
	loggedKept bool       // it was logged that slots are kept of which it lost the samples

	readingPeriods bool // past periods are being read
	auditing       bool // audits are under way
	searching      bool // it is being queried for samples of unknown slots
}

func newLane(r *history.Reader) *lane {
	b := r.Config
	return &lane{
		Reader: r, newestSlots: make(chan struct{}, b.MaxConcurrency),
		wholeSlots: make(chan struct{}, max(1, b.MaxConcurrency/2)), rereadSlots: make(chan struct{}, 1),
	}
}

// slots returns the semaphore for reads of a stage.
func (b *lane) slots(s stage) chan struct{} {
	switch s {
	case stageNewest:
		return b.newestSlots
	case stageReread:
		return b.rereadSlots
	}
	return b.wholeSlots
}

// admit waits for a free slot. It reports false if ctx ends before.
func admit(ctx context.Context, places chan struct{}) bool {
	return send(ctx, places, struct{}{})
}

// send sends v, unless ctx ends before. It reports whether it did.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// backendInfos returns the kinds and versions of the backends, as far as they are known.
func (st *state) backendInfos() []evaluator.BackendInfo {
	var out []evaluator.BackendInfo
	for _, b := range st.lanes {
		if id, ok := b.Identity(); ok {
			out = append(out, evaluator.BackendInfo{Name: b.Name, Kind: id.Kind, Version: id.Version})
		}
	}
	return out
}
