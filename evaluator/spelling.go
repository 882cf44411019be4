package evaluator

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// spelling is what is known of the texts of the buckets that an SLO of events selects
// by le.
type spelling struct {
	asked  Minute
	missed string // what is not counted, for people; "" for nothing
}

// findSpellings asks each quarter of an hour under which texts there are the buckets
// that jobs select by le: a client or a backend may write them in another way than
// it did.
func findSpellings(ctx context.Context, b *reader, jobs []*job, end Minute) {
	known := map[string][]string{}
	for _, l := range jobs {
		if l.err != nil || l.spelling.asked != 0 && l.spelling.asked/quarter == end/quarter {
			continue
		}
		l.spelling.asked = end
		missed := ""
		for _, m := range l.meters {
			for _, q := range m.queries {
				if _, isBucket := q.selector.Bound(); !isBucket || q.way == slotValues || m.indicator.Kind() == "latency" {
					continue
				}
				all := without(q.selector, labels.BucketLabel)
				if _, asked := known[all.String()]; !asked {
					answer, err := b.query(ctx, fmt.Sprintf("group by (le) (%s)", all), end.Time())
					if err != nil {
						return
					}
					known[all.String()] = textsOf(answer, labels.BucketLabel)
				}
				if _, more := spellings(q.selector, known[all.String()]); len(more) > 0 && missed == "" {
					missed = fmt.Sprintf("%s has the bucket %s also as le=%q, which is not counted: write %s", q.selector.Name(),
						matcherOf(q.selector, labels.BucketLabel), more[0], alternatives(labels.BucketLabel, q.selector, more))
				}
			}
		}
		l.spelling.missed = missed
	}
}

// spellings are of the texts of a label le those of the bound that a selector selects,
// and of these the ones that it does not match.
func spellings(s slo.Selector, texts []string) (same, missed []string) {
	bound, _ := s.Bound()
	for _, text := range texts {
		if v, err := strconv.ParseFloat(text, 64); err == nil && slo.SameBound(v, bound) {
			if same = append(same, text); !matchesAll(s, labels.BucketLabel, text) {
				missed = append(missed, text)
			}
		}
	}
	return same, missed
}

// textsOf are the values of a label in an answer, in order.
func textsOf(answer []vector, name string) (out []string) {
	for _, row := range answer {
		if text := row.labels[name]; text != "" {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

// missedDoubt is the doubt about a bucket that is there under a text which is not
// counted.
func (t *track) missedDoubt(Minute) *Doubt {
	if missed := t.job.spelling.missed; missed != "" {
		return &Doubt{Code: DoubtPartlyKnown, Message: missed}
	}
	return nil
}
