package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/chart"
	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// timeRange is the time of a request.
type timeRange struct{ from, to time.Time }

// parseRange reads the parameters from and to. It returns nil when there are none. Without to,
// the range ends now.
func parseRange(st *evaluator.Status, query url.Values, now time.Time) (*timeRange, error) {
	if !st.Timed() || query.Get("from")+query.Get("to") == "" {
		return nil, nil
	}
	if query.Get("from") == "" {
		return nil, errors.New("to is given without from")
	}
	out := timeRange{to: now}
	for _, end := range []struct {
		name string
		at   *time.Time
	}{{"from", &out.from}, {"to", &out.to}} {
		if query.Get(end.name) == "" {
			continue
		}
		var err error
		// The + of a zone is a space in a query.
		if *end.at, err = humanize.ParseTime(strings.ReplaceAll(query.Get(end.name), " ", "+")); err != nil {
			return nil, fmt.Errorf("%s: %w", end.name, err)
		}
	}
	switch {
	case out.from.After(now):
		return nil, fmt.Errorf("from %q is in the future", query.Get("from"))
	case !out.from.Before(out.to):
		return nil, fmt.Errorf("from %q is not before to %q", query.Get("from"), query.Get("to"))
	}
	return &out, nil
}

// within reports whether a picture shows this time, as at least half of it.
func (r timeRange) within(parts []evaluator.Bucket) bool {
	if len(parts) < 2 {
		return false
	}
	end, each := parts[len(parts)-1].End, parts[1].End.Sub(parts[0].End)
	start := parts[0].End.Add(-each)
	return !r.from.Before(start.Add(-each)) && !r.to.After(end.Add(each)) && 2*r.to.Sub(r.from) >= end.Sub(start)
}

// writeNoSuchTime writes what is wrong with the time of a request.
func (s *server) writeNoSuchTime(w io.Writer, d *detailed, err error) (int, error) {
	const heading = "Invalid time range"
	return s.writeErrorPage(w, http.StatusBadRequest, errorPage{
		frame: s.frame(heading, d.report), Heading: heading, Text: err.Error(), Near: d.status.ID, NearHref: s.prefix + d.status.Path(),
	})
}

// rangeCounts contains the counts of a time, for a page.
type rangeCounts struct {
	From, To                     *humanize.Moment // of the numbers; without any, of the request
	Notes                        []string         // about missing counts
	Known                        bool             // there are numbers
	Total, Bad, Good, Share      string
	Allowed, Burn, Taken, Budget string
	Chart                        *chart.Chart
	Plain                        string // address of the page without the time
}

const (
	// patience is how long a page waits while the backend is read.
	patience = 5 * time.Second
	// maxWaiting is how many pages wait for the backend at a time.
	maxWaiting = 16
)

func (s *server) countRange(ctx context.Context, st *evaluator.Status, times timeRange) *rangeCounts {
	now := s.Now()
	out := &rangeCounts{From: humanize.NewMoment(&times.from, now), To: humanize.NewMoment(&times.to, now), Plain: s.prefix + st.Path()}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		out.note("Too many requests for other times are waiting. The page retries.")
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := s.CountsBetween(ctx, st.ID, times.from, times.to)
	switch {
	case err != nil:
		out.note("slowburn is waiting for the backend, and can't read its counts meanwhile. The page retries.")
		return out
	case found.HeldTo.IsZero():
		out.note("There are no counts yet.")
		return out
	case times.from.Before(found.HeldFrom) || times.to.After(found.HeldTo):
		out.note("There are counts from %s to %s.", minuteText(found.HeldFrom), minuteText(found.HeldTo))
	}
	sum := found.Sum
	length := int(sum.End - sum.Start)
	if length == 0 {
		out.note("There are no counts for this time.")
		return out
	}
	start, end := sum.Start.Time(), sum.End.Time()
	out.From, out.To = humanize.NewMoment(&start, now), humanize.NewMoment(&end, now)
	if counts := length - sum.Excluded; sum.Known < counts {
		out.note("Known minutes: %s of %s.", humanize.Count(float64(sum.Known)), humanize.Count(float64(counts)))
	}
	if sum.Excluded > 0 {
		out.note("Excluded minutes: %s.", humanize.Count(float64(sum.Excluded)))
	}
	out.count(st, sum)
	out.Chart = chart.Shares(st, found.Parts, found.Excluded)
	return out
}

// count sets the numbers.
func (p *rangeCounts) count(st *evaluator.Status, sum timeline.Sum) {
	allowed, bad := summary.Allowed(st), max(sum.Bad, 0)
	p.Known = sum.Known > 0
	p.Allowed = humanize.Share(allowed)
	p.Budget = "the " + st.Window + " budget, as it is now"
	p.Total = humanize.Count(sum.Total)
	p.Bad = humanize.Count(bad)
	p.Good = humanize.Count(max(sum.Total-bad, 0))
	p.Share, p.Taken = humanize.Dash, humanize.Dash
	p.Burn = humanize.BurnRate(new(0.0))
	if share := slo.BadShare(bad, sum.Total); max(sum.Total, bad) > 0 {
		p.Share, p.Burn = humanize.Share(share), humanize.BurnRate(new(share/allowed))
	}
	if st.Budget.PeriodEnd != nil {
		p.Budget = "the projected " + st.Window + "'s budget"
	}
	if all := st.Budget.Allowed; all != nil && *all > 0 {
		p.Taken = humanize.Share(bad / *all)
	}
}

func (p *rangeCounts) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// minuteText returns an instant in a sentence.
func minuteText(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04") }
