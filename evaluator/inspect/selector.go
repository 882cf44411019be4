package inspect

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
	"github.com/slowburn-slo/slowburn/slo"
)

// texts returns the values of a label among series, in order.
func (x *inspector) texts(ctx context.Context, s slo.Selector, name string) []string {
	return mismatch.TextsOf(x.ask(ctx, fmt.Sprintf("group by (%s) (%s)", name, s)), name)
}

// bucket checks whether the bucket that a selector names by le exists, and under which
// texts.
func (x *inspector) bucket(ctx context.Context, s subject) {
	bound, ok := s.Selector.Bound()
	if !ok {
		return
	}
	texts := x.texts(ctx, mismatch.DropMatchers(s.Selector, labels.BucketLabel), labels.BucketLabel)
	if len(texts) == 0 {
		return
	}
	same, missed := mismatch.Spellings(s.Selector, texts)
	written := mismatch.MatcherOf(s.Selector, labels.BucketLabel).String()
	hint := "write " + mismatch.Alternatives(labels.BucketLabel, s.Selector, missed) + ", or an SLO of latency, which finds a bucket by its bound"
	switch {
	case len(same) == 0:
		x.concern(true, s.field, "", "%s", noBucket(written, s.Selector.Name(), bound, mismatch.BoundsOf(texts)))
	case len(missed) == len(same):
		x.concern(true, s.field, hint, "no bucket of %s is written %s now: the same bound is written le=%q", s.Selector.Name(), written, missed[0])
	case len(missed) > 0:
		x.concern(false, s.field, hint, "%s has the bucket %s also as le=%q, which is not counted", s.Selector.Name(), written, missed[0])
	}
}

// noBucket describes a matcher that matches no bucket, and the buckets around it.
func noBucket(matcher, name string, bound float64, bounds []float64) string {
	return strings.Replace(mismatch.NearestBounds(slo.Latency{Text: slo.BoundText(bound), Threshold: bound, Histogram: slo.NewSelector(
		labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))}, bounds), "threshold "+slo.BoundText(bound), matcher, 1)
}

// statusCodes contains usual HTTP codes, as labels have them.
var statusCodes = []string{"200", "201", "204", "301", "302", "304", "400", "401", "403", "404", "408", "409", "429", "499", "500", "501", "502", "503", "504"}

// These match a label value that is an HTTP code, or a class of codes.
var (
	statusCode  = regexp.MustCompile(`^[1-5][0-9][0-9]$`)
	statusClass = regexp.MustCompile(`^[1-5]([xX][xX])$`)
)

// unmatchable finds a matcher of a status code that can't match any code in the format of
// the existing values.
func (x *inspector) unmatchable(ctx context.Context, s subject, name *labels.Matcher) string {
	for _, m := range s.Selector.Matchers() {
		if m == name || m.Type != labels.MatchEqual && m.Type != labels.MatchRegexp {
			continue
		}
		texts := x.texts(ctx, slo.NewSelector(name), m.Name)
		if len(texts) == 0 || slices.ContainsFunc(texts, m.Matches) {
			continue
		}
		possible := statusCodes
		switch {
		case !slices.ContainsFunc(texts, func(text string) bool { return !statusCode.MatchString(text) }):
		case !slices.ContainsFunc(texts, func(text string) bool { return !statusClass.MatchString(text) }):
			possible = nil
			for _, class := range []string{"1", "2", "3", "4", "5"} {
				possible = append(possible, class+texts[0][1:])
			}
		default:
			continue
		}
		if slices.ContainsFunc(possible, m.Matches) {
			continue
		}
		shown := texts[:min(len(texts), 5)]
		return fmt.Sprintf("%s matches no value such as those of %s: %s; write %s=~%q for server errors", m, name.Value, strings.Join(shown, ", "), m.Name, "5..")
	}
	return ""
}
