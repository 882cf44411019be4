package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
)

const (
	// atOnce is how many answers are made at once. More would only share the cores, and each
	// takes up to 30 MB while it is made for 10,000 SLOs.
	atOnce = 4
	// patienceToMake is how long a request waits until its answer is being made.
	patienceToMake = 5 * time.Second
	// heldBytes bounds the compressed bodies in memory. The largest of 10,000 SLOs take 1.5 MB.
	heldBytes = 128 << 20
	// leastHeld is the least that a body counts: its key and its entry take memory too.
	leastHeld = 64 << 10
)

// question asks for an answer.
type question struct {
	key    string            // the same for requests that get the same answer
	report *evaluator.Report // the answer is about it
	until  time.Time         // when the answer is too old; zero for never
	before func()            // runs before write, outside of the limit atOnce; nil for nothing
	write  func(io.Writer) (status int, err error)
}

// answers makes each answer once for all requests, until the next report or until the answer is
// too old, and bounds the memory of all answers.
type answers struct {
	slots chan struct{}

	mu    sync.Mutex
	about *evaluator.Report   // the report of known
	known map[string]*current // by key
	held  []*current          // the ones with bodies, oldest first
	bytes int                 // of held
}

// current is an answer that is made or being made.
type current struct {
	key     string
	until   time.Time
	made    chan struct{} // closed once answer or err is set
	answer  *answer
	err     error
	known   bool                                  // later requests get it too
	readers map[*http.ResponseController]struct{} // it is being sent to them
}

func newAnswers() *answers {
	return &answers{slots: make(chan struct{}, atOnce), known: map[string]*current{}}
}

// errBusy refuses a request that waited for patienceToMake.
var errBusy = errors.New("slowburn is busy with other requests, try again in a few seconds")

// get returns the answer to a question. The caller calls done when it has sent it to w.
func (a *answers) get(r *http.Request, w http.ResponseWriter, q question, now time.Time) (out *answer, done func(), err error) {
	c, isNew := a.find(q, now)
	if isNew {
		a.make(c, q)
	}
	select {
	case <-c.made:
	case <-r.Context().Done():
		return nil, nil, context.Cause(r.Context())
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	reader := http.NewResponseController(w)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hold(c)
	c.readers[reader] = struct{}{}
	return c.answer, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(c.readers, reader)
		a.drop(c)
	}, nil
}

// find returns the answer that is known, or a new one that the caller has to make.
func (a *answers) find(q question, now time.Time) (c *current, isNew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.about != q.report {
		old := a.known
		a.about, a.known = q.report, map[string]*current{}
		for _, c := range old {
			a.forget(c)
		}
	}
	if c := a.known[q.key]; c != nil {
		if c.until.IsZero() || now.Before(c.until) {
			return c, false
		}
		a.forget(c)
	}
	c = &current{key: q.key, until: q.until, made: make(chan struct{}), known: true, readers: map[*http.ResponseController]struct{}{}}
	a.known[q.key] = c
	return c, true
}

// make makes an answer, also when the client is gone: others may wait for it. Only an answer with
// status 200 stays known.
func (a *answers) make(c *current, q question) {
	c.err = errors.New("making the answer has failed") // stays in case of a panic
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if c.err != nil || c.answer.status != http.StatusOK {
			a.forget(c)
		}
		if c.known {
			a.hold(c)
		}
		close(c.made)
	}()
	if q.before != nil {
		q.before()
	}
	late := time.NewTimer(patienceToMake)
	defer late.Stop()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
		c.answer, c.err = pack(q.write)
	case <-late.C:
		c.err = errBusy
	}
}

// hold counts a body, and makes room for it: bodies without readers go first, then the oldest,
// whose readers are cut off. The caller holds a.mu.
func (a *answers) hold(c *current) {
	if slices.Contains(a.held, c) {
		return
	}
	for a.bytes+c.bytes() > heldBytes && len(a.held) > 0 {
		i := max(slices.IndexFunc(a.held, func(c *current) bool { return len(c.readers) == 0 }), 0)
		old := a.held[i]
		for reader := range old.readers {
			_ = reader.SetWriteDeadline(time.Unix(1, 0)) // fails when the connection has ended
		}
		clear(old.readers)
		a.forget(old)
	}
	a.held, a.bytes = append(a.held, c), a.bytes+c.bytes()
}

// forget makes sure that later requests don't get an answer. The caller holds a.mu.
func (a *answers) forget(c *current) {
	c.known = false
	if a.known[c.key] == c {
		delete(a.known, c.key)
	}
	a.drop(c)
}

// drop frees a body that has no readers and that later requests don't get. The caller holds a.mu.
func (a *answers) drop(c *current) {
	i := slices.Index(a.held, c)
	if i < 0 || c.known || len(c.readers) > 0 {
		return
	}
	a.held, a.bytes = slices.Delete(a.held, i, i+1), a.bytes-c.bytes()
}

// bytes is the memory that a body takes.
func (c *current) bytes() int { return max(len(c.answer.packed), leastHeld) }
