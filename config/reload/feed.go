package reload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

const (
	// sourceDeadline is how long one reading of a source may take. A slow line needs
	// minutes for a large repository's newest commit.
	sourceDeadline = 3 * time.Minute
	// Patience is how long a reload waits for slow sources before it takes over the others.
	Patience = 2 * time.Second
	// firstPatience is how long the start waits for slow sources.
	firstPatience = 5 * time.Second
)

// feed is a source that one goroutine reads, whenever somebody asks for it.
type feed struct {
	source source.Source
	wake   chan struct{} // has room for one

	mu   sync.Mutex
	next *round // nil when nobody has asked since the last one began
}

// round is one reading of a source.
type round struct {
	feed    *feed
	done    chan struct{} // closed when it has ended
	waiting int           // how many wait for its end
}

// reading is the outcome of a round.
type reading struct {
	tree source.Tree
	err  error

	rescued bool        // good and bad are there
	good    source.Tree // from ReadGood
	bad     error       // likewise
}

// ask returns a round that begins after now.
func (f *feed) ask() *round {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &round{feed: f, done: make(chan struct{})}
		f.wake <- struct{}{} // there is room: begin has received the one before
	}
	f.next.waiting++
	return f.next
}

// begin returns the round that was asked for.
func (f *feed) begin() *round {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.next
	f.next = nil
	return now
}

// end ends a round and reports whether somebody waited for it.
func (rd *round) end() (awaited bool) {
	rd.feed.mu.Lock()
	defer rd.feed.mu.Unlock()
	close(rd.done)
	return rd.waiting > 0
}

// leave waits no longer, and reports whether the round goes on.
func (rd *round) leave() (late bool) {
	rd.feed.mu.Lock()
	defer rd.feed.mu.Unlock()
	rd.waiting--
	select {
	case <-rd.done:
		return false
	default:
		return true
	}
}

// Run reads sources when somebody asks, each beside the others, until ctx ends.
func (r *Reloader) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range r.feeds {
		wg.Go(func() { r.follow(ctx, f) })
	}
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return
		case <-r.unsettled:
			r.Settle()
		}
	}
}

// settleSoon lets Run settle once, also for several readings that end together.
func (r *Reloader) settleSoon() {
	select {
	case r.unsettled <- struct{}{}:
	default:
	}
}

func (r *Reloader) follow(ctx context.Context, f *feed) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		now := f.begin()
		r.read(ctx, f.source)
		if !now.end() {
			r.settleSoon() // nobody waits for it any more
		}
	}
}

// read reads a source, outside of the lock, and notes the outcome.
func (r *Reloader) read(ctx context.Context, from source.Source) {
	limited, cancel := context.WithTimeout(ctx, r.deadline)
	defer cancel()
	var got reading
	got.tree, got.err = from.Read(limited)
	if got.err != nil && limited.Err() != nil {
		got.err = fmt.Errorf("reading %s took longer than %s", from.Name(), r.deadline)
	}
	r.mu.Lock()
	wanted := r.wanted[from]
	r.mu.Unlock()
	if wanted && limited.Err() == nil {
		got.good, got.bad = from.ReadGood(limited, func(tree source.Tree) bool { return r.accepts(from, tree) })
		got.rescued = true
	}
	if ctx.Err() != nil {
		return
	}
	got.rescued = got.rescued || limited.Err() != nil // another reading would end the same way
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest[from] = got
}

// accepts reports whether a tree of a source has no error together with those of the others.
func (r *Reloader) accepts(from source.Source, tree source.Tree) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	trees := map[source.Source]source.Tree{}
	for other, got := range r.newest {
		trees[other] = got.tree
		if got.err != nil {
			trees[other] = r.good[other]
		}
	}
	trees[from] = tree
	for _, f := range r.load(r.files(trees)).Findings {
		if f.Source == from.Name() && f.Severity == yamlfile.Error {
			r.since[from.Name()] = tree.Committed // the newest first
			return false
		}
	}
	return true
}

// await asks for readings and waits for them until ctx ends. It returns those that go on.
func await(ctx context.Context, feeds []*feed) (late []*round) {
	rounds := make([]*round, len(feeds))
	for i, f := range feeds {
		rounds[i] = f.ask()
	}
	for _, rd := range rounds {
		select {
		case <-rd.done:
		case <-ctx.Done():
		}
	}
	for _, rd := range rounds {
		if rd.leave() {
			late = append(late, rd)
		}
	}
	return late
}

// renew reads sources, within a limit, and uses the outcomes of all. It returns the readings
// that go on. Their outcomes are taken over when they end.
func (r *Reloader) renew(ctx context.Context, limit time.Duration, feeds []*feed, use func(collected) error) (late []*round, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for again := false; ; again = true {
		late = append(late, await(limited, feeds)...)
		if ctx.Err() != nil {
			return late, ctx.Err()
		}
		r.mu.Lock()
		c := r.collect()
		own := leaveOthers(c.wants, feeds)
		if again || len(own) == 0 {
			defer r.mu.Unlock()
			return late, use(c)
		}
		r.mu.Unlock()
		feeds = own
	}
}

// leaveOthers asks for readings of feeds that are not one's own, without waiting for them,
// and returns the others.
func leaveOthers(wants, own []*feed) (rest []*feed) {
	for _, f := range wants {
		if slices.Contains(own, f) {
			rest = append(rest, f)
		} else {
			f.ask().leave()
		}
	}
	return rest
}

// Settle takes over the last outcomes of all sources. It asks for the readings that this
// needs, and does not wait for them.
func (r *Reloader) Settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.collect()
	leaveOthers(c.wants, nil)
	_ = r.take(c) // the log, a metric and the page report it
}

// names returns the names of the sources of rounds, each once.
func names(rounds []*round) []string {
	var out []string
	for _, rd := range rounds {
		if name := rd.feed.source.Name(); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
