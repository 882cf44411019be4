// Package backtest computes which alerts would have fired in the past, by which policy and
// at which objective: their episodes, beside the incidents that the counts alone show, and
// the strictest objective that the past supports.
//
// It imports slo, slo/humanize, evaluator, evaluator/timeline, alerting, and evaluator/loop,
// which reads the past.
package backtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Replay tries policies and objectives on the past. Its Lookback is that of the loop's
// Options:
//
//	report, err := replay.Run(ctx, l, set.SLOs)
type Replay struct {
	Policies   alerting.Policies
	Names      []string        // of the policies to try; empty for each SLO's own
	Objectives []slo.Objective // to try; empty for each SLO's own of today
	From, To   timeline.Minute
}

// Report is the output of `backtest -o json`, a contract like evaluator.Report.
type Report struct {
	Format  int          `json:"format"` // 1
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to"`
	SLOs    []TestedSLO  `json:"slos"`    // sorted by ID
	Results []TestResult `json:"results"` // in the order of SLOs; of each by objective and policy, as asked for
}

// TestedSLO is the history of an SLO, for any policy.
type TestedSLO struct {
	ID         string            `json:"id"`
	Service    string            `json:"service"`
	SLO        string            `json:"slo"`
	Group      map[string]string `json:"group"`
	Window     string            `json:"window"`
	Objective  float64           `json:"objective"` // of today, ratio
	Total      float64           `json:"total"`     // events between From and To
	Bad        float64           `json:"bad"`
	SLI        *float64          `json:"sli"`
	Coverage   float64           `json:"coverage"` // share of the slots that are known, 0 to 1
	Suggestion Suggestion        `json:"suggestion"`
	LeftOut    int               `json:"groups_left_out"` // more than the limit
	Error      string            `json:"error"`           // why there are no results; "" if there are

	Unit    string         `json:"-"` // what is counted: "runs"
	History []timeline.Sum `json:"-"` // the time from From to To in equal parts
}

// TestResult is the alerts of an SLO by a policy at an objective.
type TestResult struct {
	ID        string            `json:"id"`
	Service   string            `json:"service"`
	SLO       string            `json:"slo"`
	Group     map[string]string `json:"group"`
	Policy    string            `json:"policy"`
	Objective float64           `json:"objective"` // ratio

	Pages        int        `json:"pages"` // that began between From and To
	Tickets      int        `json:"tickets"`
	PagesPerWeek *float64   `json:"pages_per_week"`    // of time that is known
	Missed       int        `json:"missed"`            // incidents that no episode is about, and that don't go on
	False        int        `json:"false"`             // of these, those that are about no incident
	Detection    *float64   `json:"detection_seconds"` // median of the incidents that are detected
	Remaining    *float64   `json:"budget_remaining"`  // at To
	Episodes     []Episode  `json:"episodes"`          // by start
	Incidents    []Incident `json:"incidents"`         // by start
}

// Episode is a time in which an alert fires. Budgets are shares of the budget of the SLO's
// own window that ends with the episode.
type Episode struct {
	Severity      string     `json:"severity"`
	Tier          string     `json:"tier"` // that began it
	Start         time.Time  `json:"start"`
	End           *time.Time `json:"end"`             // null while open
	Bad           float64    `json:"bad"`             // since its incident began, or the episode before ended, without GoodLater
	GoodLater     float64    `json:"good_later"`      // events that were bad, and were counted as good after it
	Consumed      *float64   `json:"budget_consumed"` // by Bad
	PeakBurnRate  *float64   `json:"peak_burn_rate"`  // over the short window of the tier that held
	IncidentStart *time.Time `json:"incident_start"`  // of the first incident that it is about; null for none

	start, end timeline.Minute // end is that of the replay while open
	short      time.Duration   // window of the tier that began it
}

// Incident is a time in which a notable part of the budget was spent, found by the counts
// alone.
type Incident struct {
	Start     time.Time `json:"start"` // of its first bad slot
	End       time.Time `json:"end"`   // of its last
	Open      bool      `json:"open"`  // it goes on at To, and an alert may still come
	Total     float64   `json:"total"`
	Bad       float64   `json:"bad"`
	Consumed  *float64  `json:"budget_consumed"`   // by Bad
	Severity  string    `json:"detected_by"`       // of the first episode that is about it, or of a page that followed a ticket from before; "" if it was missed
	Detection *float64  `json:"detection_seconds"` // from the end of its first bad slot to that episode's start
	Before    *float64  `json:"budget_before"`     // spent until then

	start, end timeline.Minute
	known      bool // Severity is a ticket that fired before
}

// Lookback returns the history that a backtest needs of an SLO: From to To, and the history
// that a process that starts at From reads.
func (b *Replay) Lookback(s *slo.SLO) time.Duration {
	longest := alerting.Lookback + s.Window.Length.Duration()
	for _, v := range b.variants(s) {
		longest = max(longest, b.Policies.Lookback(v))
	}
	return time.Duration(b.To-b.From)*time.Minute + longest
}

// Run tests SLOs and their groups. To is settled. An SLO that can't be read has no results.
// Run fails only when ctx ends.
func (b *Replay) Run(ctx context.Context, e *loop.Loop, slos []*slo.SLO) (*Report, error) {
	out := &Report{Format: 1, From: b.From.Time(), To: b.To.Time(), SLOs: []TestedSLO{}, Results: []TestResult{}}
	results := map[string][]TestResult{}
	err := e.Replay(ctx, slos, b.To, func(p loop.Past) {
		tested, own := b.Test(p)
		out.SLOs = append(out.SLOs, tested)
		results[tested.ID] = own
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.SLOs, func(a, b TestedSLO) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range out.SLOs {
		out.Results = append(out.Results, results[s.ID]...)
	}
	return out, nil
}

// variants returns an SLO with each objective and policy to try.
func (b *Replay) variants(s *slo.SLO) []*slo.SLO {
	objectives, names := b.Objectives, b.Names
	if len(objectives) == 0 {
		objectives = []slo.Objective{s.Objective}
	}
	if len(names) == 0 {
		names = []string{b.Policies.Chosen(s).Name}
	}
	var out []*slo.SLO
	for _, o := range objectives {
		for _, name := range names {
			v := *s
			v.Objective, v.Alerting.Policy, v.PastObjectives = o, name, nil
			out = append(out, &v)
		}
	}
	return out
}

// pictureParts is the number of equal parts of the time that pictures show.
const pictureParts = 60

// Test replays each objective and policy over the past of an SLO. There are no results if
// the past can't be read or is unknown.
func (b *Replay) Test(p loop.Past) (TestedSLO, []TestResult) {
	s := p.SLO
	out := TestedSLO{
		ID: s.ID(), Service: s.Service, SLO: s.Name, Group: s.Group, Window: s.Window.String(), Objective: s.Objective.Ratio(), Unit: s.Noun(),
	}
	if out.Group == nil {
		out.Group = map[string]string{}
	}
	out.LeftOut = p.LeftOut
	if p.Err != nil {
		out.Error, out.Suggestion.Reason = p.Err.Error(), "the history can't be read"
		return out, nil
	}
	t := p.Timeline.Unpacked(b.From.Add(-b.Lookback(s)))
	sum := t.Sum(b.From, b.To)
	out.Total, out.Bad, out.Coverage = sum.Total, max(sum.Bad, 0), sum.Coverage()
	if sum.Events() > 0 {
		sli := 1 - slo.BadShare(sum.Bad, sum.Total)
		out.SLI = &sli
	}
	n, span := min(pictureParts, b.To-b.From), b.To-b.From
	for i := range n {
		out.History = append(out.History, t.Sum(b.From+span*i/n, b.From+span*(i+1)/n))
	}
	out.Suggestion = suggest(s, t, b.From, b.To)
	if sum.Known == 0 {
		out.Error = "nothing is known of the time that was asked for"
		return out, nil
	}
	var results []TestResult
	known := map[slo.Objective][]Incident{}
	for _, v := range b.variants(s) {
		if _, ok := known[v.Objective]; !ok {
			known[v.Objective] = incidents(v, t, b.From, b.To)
		}
		r := TestResult{
			ID: out.ID, Service: out.Service, SLO: out.SLO, Group: out.Group, Policy: v.Alerting.Policy, Objective: v.Objective.Ratio(),
			Episodes: episodes(b.Policies, v, t, b.From, b.To), Incidents: slices.Clone(known[v.Objective]),
		}
		r.relate(v, t, b.To)
		r.dropEnded(b.From)
		r.count(b.From, sum.Known)
		status := evaluator.Status{Spec: v}
		status.Compute(t, b.To, []slo.Window{v.Window.Length})
		r.Remaining = status.Budget.Remaining
		results = append(results, r)
	}
	return out, results
}

// episodes returns the episodes of an SLO up to an instant. The replay begins where that of
// a process that starts at from does.
func episodes(p alerting.Policies, s *slo.SLO, t *timeline.Timeline, from, to timeline.Minute) []Episode {
	out := []Episode{}
	open := map[string]*Episode{}
	see := func(severity string, tier *alerting.Tier, at timeline.Minute) {
		now := open[severity]
		if tier == nil {
			if now != nil {
				end := at.Time()
				now.End, now.end, open[severity] = &end, at, nil
				out = append(out, *now)
			}
			return
		}
		if now == nil {
			now = &Episode{Severity: severity, Tier: tier.Name, Start: at.Time(), start: at, short: tier.Short.Duration()}
			open[severity] = now
		}
		now.end = at
		if rate := evaluator.BurnRate(t.Window(tier.Short.Duration(), at), s.Objective); rate != nil && (now.PeakBurnRate == nil || *rate > *now.PeakBurnRate) {
			now.PeakBurnRate = rate
		}
	}
	for at, firing := range p.Replay(s, t, from, to) {
		see(slo.Page, firing.Page, at)
		see(slo.Ticket, firing.Ticket, at)
	}
	for _, e := range open {
		if e != nil {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b Episode) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.Severity, b.Severity))
	})
	return out
}

// relate finds which episodes are about which incidents, and how much budget these took.
// An episode is about an incident when the two overlap, or when the incident
// ended within the short window that the episode began with.
func (r *TestResult) relate(s *slo.SLO, t *timeline.Timeline, to timeline.Minute) {
	before := map[string]timeline.Minute{} // by severity, the end of the last episode
	for i := range r.Episodes {
		e := &r.Episodes[i]
		since := e.start - 1
		for j := range r.Incidents {
			in := &r.Incidents[j]
			if in.start >= e.end || in.end < e.start.Add(-e.short) {
				continue
			}
			if e.IncidentStart == nil {
				start := in.Start
				e.IncidentStart, since = &start, min(since, in.start)
			}
			if in.Severity == "" || in.known && e.Severity == slo.Page && e.start > in.start {
				in.detect(e, s, t)
			}
		}
		since = max(since, before[e.Severity])
		before[e.Severity] = e.end
		bad := max(t.Sum(since, e.end).Bad, 0)
		e.GoodLater = goodLater(bad, t, e.end, to)
		e.Bad = bad - e.GoodLater
		e.Consumed = shareSpent(e.Bad, s, t, e.end)
	}
}

// dropEnded removes episodes and incidents that were over at an instant.
func (r *TestResult) dropEnded(at timeline.Minute) {
	r.Episodes = slices.DeleteFunc(r.Episodes, func(e Episode) bool { return e.end <= at })
	r.Incidents = slices.DeleteFunc(r.Incidents, func(in Incident) bool { return in.end <= at })
}

// detect records the first episode that is about an incident. If a ticket fired before the
// incident, the first page that begins in it counts, because that ticket is not about it.
func (in *Incident) detect(e *Episode, s *slo.SLO, t *timeline.Timeline) {
	in.Severity, in.known = e.Severity, e.Severity == slo.Ticket && e.start <= in.start
	seconds := max(e.Start.Sub(in.Start)-time.Minute, 0).Seconds()
	in.Detection = &seconds
	in.Before = shareSpent(max(t.Sum(in.start, max(e.start, in.start)).Bad, 0), s, t, e.start)
}

// shareSpent returns the share of the budget that bad events take: of the SLO's own window
// that ends at an instant, whose unknown slots are taken to be like the rest. It is nil if
// that window allows nothing. Calendar windows use their nominal length.
func shareSpent(bad float64, s *slo.SLO, t *timeline.Timeline, end timeline.Minute) *float64 {
	sum := t.Window(s.Window.Length.Duration(), end)
	if sum.Known == 0 || sum.Events() <= 0 {
		return nil
	}
	out := s.Objective.BurnRate(bad, sum.Events()/sum.Coverage())
	return &out
}

// count sums up a result. Unknown slots don't count as quiet.
func (r *TestResult) count(from timeline.Minute, known int) {
	for _, e := range r.Episodes {
		if e.start <= from {
			continue
		}
		if e.Severity == slo.Page {
			r.Pages++
		} else {
			r.Tickets++
		}
		if e.IncidentStart == nil {
			r.False++
		}
	}
	const week = 7 * 24 * 60
	perWeek := float64(r.Pages) * week / float64(known)
	r.PagesPerWeek = &perWeek
	var detections []float64
	for _, in := range r.Incidents {
		switch {
		case in.Detection != nil:
			detections = append(detections, *in.Detection)
		case !in.Open:
			r.Missed++
		}
	}
	if n := len(detections); n > 0 {
		slices.Sort(detections)
		median := (detections[(n-1)/2] + detections[n/2]) / 2
		r.Detection = &median
	}
}
