package loop

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A backend may have history again that was missing when it was read: a store was down, or
// its blocks were not loaded yet. So each hour it is queried for samples of an unknown slot.
// If there are some, all history is read again.

const (
	// searchEvery is the time between two searches, in minutes.
	searchEvery = 60
	// maxSearchedInputs bounds how many parts of a worst_of are searched for.
	maxSearchedInputs = 5
)

// pauseAfterVain is the time before the next search, in hours, by how many rereads in a
// row found nothing. A reread can cost hundreds of times the new samples of an hour.
var pauseAfterVain = [...]timeline.Minute{1, 24, 3 * 24, 10 * 24}

// search is the schedule of the searches for history that a job lacks.
type search struct {
	at    timeline.Minute
	vain  uint8 // rereads that brought nothing, in a row
	found bool  // history is read again because there was something
}

// plan plans the next search when a fresh record is about to replace the old one.
func (k *search) plan(j *job, now timeline.Minute) {
	switch {
	case j.record != nil && j.fresh.Lacking() < j.record.Lacking():
		k.vain = 0
	case k.found && int(k.vain) < len(pauseAfterVain)-1:
		k.vain++
	}
	k.found = false
	k.at = now + k.pause()
}

func (k *search) pause() timeline.Minute { return searchEvery * pauseAfterVain[k.vain] }

// waits reports whether a job keeps slots that the backend lacks, and the next search is
// not due.
func (k *search) waits(j *job, now timeline.Minute) bool { return len(j.record.Kept) > 0 && now < k.at }

// probe is a query that has an answer if there are samples at an instant.
type probe struct {
	query string
	at    timeline.Minute
}

// probeTimes returns the times at which to search for what a record lacks. For unknown
// slots these are the oldest quarter of an hour and the end of one of the holes, in
// turn, because some never had samples. Kept slots had samples, so any time in them will
// do.
func probeTimes(rec *history.Record, now timeline.Minute) []timeline.Minute {
	var out []timeline.Minute
	turn := int(now / searchEvery)
	if n := len(rec.Kept); n > 0 {
		p := rec.Kept[turn%n]
		out = append(out, (p.Start+p.End)/2)
	}
	if holes := rec.Holes(); len(holes) > 0 {
		out = append(out, holes[0].Start+timeline.Quarter/2, holes[turn%len(holes)].End-timeline.Quarter/2-1)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// searchLost starts to query a backend for what it may have again.
func (st *state) searchLost(ctx context.Context, b *lane, now timeline.Minute) {
	if b.searching {
		return
	}
	var due []*job
	probes := map[*job][]probe{}
	for _, j := range st.jobsOf(b) {
		if !j.complete() || j.rereading || j.fresh != nil || j.err != nil || j.search.at > now {
			continue
		}
		j.search.at = now + j.search.pause()
		if probes[j] = j.probes(now); len(probes[j]) > 0 {
			due = append(due, j)
		}
	}
	if len(due) == 0 {
		return
	}
	b.searching = true
	st.background(ctx, func(deliver func(func())) {
		for _, family := range families(due) {
			var found []*job
			b.Safely(func() { found = searchFamily(ctx, b.Reader, family, probes) })
			deliver(func() { st.takeSearch(ctx, b, found) })
		}
		deliver(func() { b.searching = false })
	})
}

// probes returns the queries that search for more of a job's history.
func (j *job) probes(now timeline.Minute) []probe {
	var out []probe
	for _, at := range probeTimes(j.record, now) {
		for _, m := range j.Inputs[:min(len(j.Inputs), maxSearchedInputs)] {
			out = append(out, probe{m.CountText(m.OwnText()), at})
		}
	}
	return out
}

// searchFamily returns the jobs for which one of the probes has an answer.
func searchFamily(ctx context.Context, b *history.Reader, family []*job, probes map[*job][]probe) []*job {
	known := map[probe]bool{}
	has := func(s probe) bool {
		if _, asked := known[s]; !asked {
			answer, err := b.Query(ctx, s.query, s.at.Time())
			known[s] = err == nil && len(answer) > 0
		}
		return known[s]
	}
	return slices.DeleteFunc(family, func(j *job) bool { return !slices.ContainsFunc(probes[j], has) })
}

// takeSearch starts to read the history of jobs again for which there is more.
func (st *state) takeSearch(ctx context.Context, b *lane, found []*job) {
	jobs := slices.DeleteFunc(found, func(j *job) bool { return st.jobs[j.Key] != j })
	for _, j := range jobs {
		j.search.found = true
	}
	if st.rereadWhole(ctx, jobs, rereadOptions{}) > 0 {
		st.Log.Info("History is read again, of which the backend has more than it had",
			"backend", b.Name, "slo_id", st.byJob[jobs[0]][0].slo.ID(), "counted", len(jobs))
	}
}
