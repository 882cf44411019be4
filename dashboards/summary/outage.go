package summary

import (
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Outage is a backend that answers no query of its SLOs, most of them for one cause, so
// that these are unknown.
type Outage struct {
	Backend string
	Since   *time.Time // of the newest numbers of these SLOs; nil when there never were any
	Cause   string     // in few words
	Reason  string     // the part that the reasons of these SLOs have in common
	SLOs    int        // groups among them
	Groups  int
}

// Unknown returns how many SLOs and groups are unknown, such as "2 SLOs, 5 groups".
func (o *Outage) Unknown() string {
	text := humanize.Plural(o.SLOs-o.Groups, "SLO")
	if o.Groups > 0 {
		text += ", " + humanize.Plural(o.Groups, "group")
	}
	return text
}

// Explains reports whether an SLO is unknown for the cause of the outage.
func (o *Outage) Explains(st *evaluator.Status) bool {
	return o != nil && st.State == evaluator.StateQueryFailed && st.Backend == o.Backend && causeOf(st.StateReason) == o.Cause
}

// Outages returns the outages in a report, by the names of their backends. The status of a
// single SLO has the cause itself.
func Outages(r *evaluator.Report) map[string]*Outage {
	failed, answers := map[string][]*Outage{}, map[string]bool{}
	for i := range r.SLOs {
		st := &r.SLOs[i]
		switch st.State {
		case evaluator.StateWarming:
		case evaluator.StateQueryFailed:
			failed[st.Backend] = withFailed(failed[st.Backend], st)
		default:
			answers[st.Backend] = true
		}
	}
	out := map[string]*Outage{}
	for name, causes := range failed {
		all := 0
		for _, o := range causes {
			all += o.SLOs
			if w := out[name]; w == nil || o.SLOs > w.SLOs {
				out[name] = o
			}
		}
		if n := out[name].SLOs; answers[name] || n < 2 || 2*n <= all {
			delete(out, name) // it refuses queries
		}
	}
	return out
}

// withFailed counts an SLO to the outages of its backend. There is one for each cause.
func withFailed(causes []*Outage, st *evaluator.Status) []*Outage {
	i := slices.IndexFunc(causes, func(o *Outage) bool { return o.Explains(st) })
	if i < 0 {
		i = len(causes)
		causes = append(causes, &Outage{Backend: st.Backend, Cause: causeOf(st.StateReason), Reason: st.StateReason})
	}
	o := causes[i]
	o.SLOs++
	if len(st.Group) > 0 {
		o.Groups++
	}
	o.Reason = inCommon(o.Reason, st.StateReason)
	if st.StateSince != nil && (o.Since == nil || st.StateSince.Before(*o.Since)) {
		o.Since = st.StateSince
	}
	return causes
}

// causeOf returns the last part of an error: the words of the network or the backend,
// without the query.
func causeOf(reason string) string {
	cause := strings.TrimSpace(reason[strings.LastIndex(reason, ": ")+1:])
	if strings.Count(cause, `"`) == 1 {
		cause = strings.Trim(cause, `"`) // it was quoted from before that part
	}
	return cause
}

// inCommon returns the end that two errors have in common, in whole parts: without their
// queries.
func inCommon(a, b string) string {
	const between = ": "
	x, y := strings.Split(a, between), strings.Split(b, between)
	n := 0
	for n < min(len(x), len(y)) && x[len(x)-1-n] == y[len(y)-1-n] {
		n++
	}
	return strings.Join(x[len(x)-n:], between)
}
