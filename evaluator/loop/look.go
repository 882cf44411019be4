package loop

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A backend may have history again that it did not answer when it was read: a store
// was down, or its blocks were not loaded yet. So each hour it is asked whether it has
// samples at an instant of which nothing is known, and when it has, all is read again.

const (
	// lookEvery is the time between two looks, in minutes.
	lookEvery = 60
	// maxLookedFor bounds for how many parts of a worst_of it is looked.
	maxLookedFor = 5
)

// afterVain is the time before the next look, in hours, by how often in a row history
// was read again in vain: all of it may be hundreds of times what is new in an hour.
var afterVain = [...]timeline.Minute{1, 24, 3 * 24, 10 * 24}

// look is when it is looked for what is not known of a ledger.
type look struct {
	at    timeline.Minute
	vain  uint8 // rereads that brought nothing, in a row
	found bool  // history is read again because there was something
}

// plan plans the next look when the whole history of a ledger, or its newest part, is
// read, and a book is about to take over.
func (k *look) plan(l *job, now timeline.Minute) {
	switch {
	case l.book != nil && l.next.Lacking() < l.book.Lacking():
		k.vain = 0
	case k.found && int(k.vain) < len(afterVain)-1:
		k.vain++
	}
	k.found = false
	k.at = now + k.pause()
}

func (k *look) pause() timeline.Minute { return lookEvery * afterVain[k.vain] }

// waits reports whether a ledger keeps slots that the backend lacks, and it is not
// time to look for them.
func (k *look) waits(l *job, now timeline.Minute) bool { return len(l.book.Kept) > 0 && now < k.at }

// lookedFor are jobs that are read together, and where to look for more of each.
type lookedFor struct {
	backend *lane
	over    bool // the backend was asked about all
	jobs    []*job
	places  [][]spot // of each
}

// spot is a query that has an answer when there are samples at an instant.
type spot struct {
	query string
	at    timeline.Minute
}

// where is where to look for what a book lacks. Of what is unknown that is the oldest
// quarter of an hour and the end of one of the holes, by turns: what was never there is
// never found. Of what is kept there were samples: one time is as good as another.
func where(k *history.Record, now timeline.Minute) []timeline.Minute {
	var out []timeline.Minute
	turn := int(now / lookEvery)
	if n := len(k.Kept); n > 0 {
		p := k.Kept[turn%n]
		out = append(out, (p.Start+p.End)/2)
	}
	if holes := k.Holes(); len(holes) > 0 {
		out = append(out, holes[0].Start+timeline.Quarter/2, holes[turn%len(holes)].End-timeline.Quarter/2-1)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lookForLost asks a backend, beside the cycles, about what it may have again.
func (e *Loop) lookForLost(ctx context.Context, b *lane, now timeline.Minute) {
	due := func(l *job) bool {
		return l.book != nil && !l.preview && !l.rereading && l.next == nil && l.err == nil && l.look.at <= now
	}
	jobs := slices.DeleteFunc(e.jobsOf(b), func(l *job) bool { return !due(l) })
	if b.looking || len(jobs) == 0 {
		return
	}
	var all []lookedFor
	for _, family := range families(jobs) {
		f := lookedFor{backend: b}
		for _, l := range family {
			l.look.at = now + l.look.pause()
			if spots := l.spots(now); len(spots) > 0 {
				f.jobs, f.places = append(f.jobs, l), append(f.places, spots)
			}
		}
		if len(f.jobs) > 0 {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return
	}
	b.looking = true
	e.started.Go(func() {
		for _, f := range append(all, lookedFor{backend: b, over: true}) {
			if !f.over {
				b.Safely(func() { lookFor(ctx, b.Reader, &f) })
			}
			select {
			case e.found <- f:
			case <-ctx.Done():
				return
			}
		}
	})
}

// spots are where to look for more of a ledger.
func (l *job) spots(now timeline.Minute) []spot {
	var out []spot
	for _, at := range where(l.book, now) {
		for _, m := range l.Inputs[:min(len(l.Inputs), maxLookedFor)] {
			out = append(out, spot{m.CountText(m.OwnText()), at})
		}
	}
	return out
}

// lookFor keeps the jobs of which there are samples at one of their places.
func lookFor(ctx context.Context, b *history.Reader, f *lookedFor) {
	known := map[spot]bool{}
	has := func(s spot) bool {
		if _, asked := known[s]; !asked {
			answer, err := b.Query(ctx, s.query, s.at.Time())
			known[s] = err == nil && len(answer) > 0
		}
		return known[s]
	}
	var found []*job
	for i, l := range f.jobs {
		if slices.ContainsFunc(f.places[i], has) {
			found = append(found, l)
		}
	}
	f.jobs = found
}

// rereadFound reads the history of jobs again of which there is more.
func (e *Loop) rereadFound(ctx context.Context, f lookedFor) {
	if f.over {
		f.backend.looking = false
		return
	}
	jobs := slices.DeleteFunc(slices.Clone(f.jobs), func(l *job) bool { return e.jobs[l.Key] != l })
	for _, l := range jobs {
		l.look.found = true
	}
	if e.rereadWhole(ctx, jobs) > 0 {
		e.Log.Info("History is read again, of which the backend has more than it had",
			"backend", f.backend.Name, "slo_id", e.byJob[jobs[0]][0].slo.ID(), "counted", len(jobs))
	}
}
