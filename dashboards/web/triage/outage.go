package triage

import (
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// Outage is a backend that gives no answer, which makes its SLOs unknown for one
// cause.
type Outage struct {
	Backend string
	Since   *time.Time // of the newest numbers of these SLOs; nil when there never were any
	Cause   string     // in few words
	Reason  string     // the part that the reasons of all these SLOs have in common
	SLOs    int
}

// Outages are those of a report, by the names of their backends. A single SLO says
// for itself what its query met.
func Outages(r *evaluator.Report) map[string]*Outage {
	out := map[string]*Outage{}
	answers := map[string]bool{}
	for i := range r.SLOs {
		st := &r.SLOs[i]
		if st.State == evaluator.StateWarming {
			continue
		}
		o := out[st.Backend]
		switch {
		case st.State != evaluator.StateQueryFailed:
			answers[st.Backend] = true
		case o == nil:
			out[st.Backend] = &Outage{Backend: st.Backend, Since: st.StateSince, Cause: causeOf(st.StateReason), Reason: st.StateReason, SLOs: 1}
		case o.Cause != causeOf(st.StateReason):
			answers[st.Backend] = true // it refuses queries
		default:
			o.SLOs++
			o.Reason = inCommon(o.Reason, st.StateReason)
			if st.StateSince != nil && (o.Since == nil || st.StateSince.Before(*o.Since)) {
				o.Since = st.StateSince
			}
		}
	}
	for name, o := range out {
		if answers[name] || o.SLOs < 2 {
			delete(out, name)
		}
	}
	return out
}

// causeOf is the last part of an error, which is what the network or the backend
// said, without the query.
func causeOf(reason string) string {
	cause := reason[strings.LastIndex(reason, ": ")+1:]
	return strings.TrimSpace(cause)
}

// inCommon is the end that two errors have in common, in whole parts: without their
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
