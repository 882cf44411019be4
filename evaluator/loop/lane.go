package loop

import (
	"context"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/history"
)

// lane is a backend with what is read of it when. All but its reader belongs to
// the goroutine of Run.
type lane struct {
	*history.Reader

	// Places of those that read history, whose memory is larger than what a
	// timeline keeps: its newest part, all of it, and again.
	firsts, readers, rereader chan struct{}

	busy  bool       // a cycle is under way
	down  error      // why the last cycle got no answer at all
	stale *time.Time // the newest sample of anything, when too old
	told  bool       // the log says that it is down
	keeps bool       // the log says that slots are kept of which it has no samples any more

	lookingBack bool // periods that ended are being read
	auditing    bool // audits are under way
	looking     bool // it is being asked whether it has samples again where nothing is known
}

func newLane(r *history.Reader) *lane {
	b := r.Config
	return &lane{
		Reader: r, firsts: make(chan struct{}, b.MaxConcurrency),
		readers: make(chan struct{}, max(1, b.MaxConcurrency/2)), rereader: make(chan struct{}, 1),
	}
}

// places are those of who reads a span of history.
func (b *lane) places(s stage) chan struct{} {
	switch s {
	case stageNewest:
		return b.firsts
	case stageAgain:
		return b.rereader
	}
	return b.readers
}

// admit waits for a place among readers. It reports false when ctx ends before.
func admit(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// backendInfos are those of the backends that are known.
func (e *Loop) backendInfos() []evaluator.BackendInfo {
	var out []evaluator.BackendInfo
	for _, b := range e.backends {
		if id, ok := b.Identity(); ok {
			out = append(out, evaluator.BackendInfo{Name: b.Name, Kind: id.Kind, Version: id.Version})
		}
	}
	return out
}
