package history

import (
	"errors"

	"github.com/slowburn-slo/slowburn/evaluator/cache"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/slo"
)

// NewCodec returns a codec for values with Records. It leaves out plans and SLOs.
func NewCodec(root any) *cache.Codec {
	return cache.NewCodec(root,
		[]any{&counters.Raw{}, &counters.Targets{}, &gauges.Increments{}, &gauges.Probe{}, &gauges.Values{}, &gauges.Runs{}, &gauges.Rates{}},
		[]any{(*plan.Plan)(nil), (*counting.Recorder)(nil), (*slo.SLO)(nil)})
}

// Whole reports whether all of the history was read, so that a Record can be kept in
// files.
func (r *Record) Whole() bool { return r.Broken == nil && r.Checkpoint != nil }

// Restore sets the plan of a Record that a codec read. Counting continues as if the
// process had never ended.
func (r *Record) Restore(p *plan.Plan) error {
	if r == nil || r.Timeline == nil || len(r.Inputs) != len(p.Inputs) || !r.Whole() {
		return errors.New("it is the record of another plan")
	}
	r.Plan = p
	return nil
}
