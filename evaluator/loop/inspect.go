package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/inspect"
	"github.com/slowburn-slo/slowburn/slo"
)

// Inspect asks the backends whether SLOs make sense there, see inspect.SLOs.
func (e *Loop) Inspect(ctx context.Context, slos []*slo.SLO) ([]slo.Finding, error) {
	o := inspect.Options{
		ReaderOf: func(s *slo.SLO) *history.Reader { return e.backendOf(s).Reader },
		Shortest: func(s *slo.SLO) slo.Window { return e.Windows(s)[0] },
		Blind:    e.Blind,
		End:      e.behindNow(),
	}
	for _, b := range e.backends {
		o.Readers = append(o.Readers, b.Reader)
	}
	return inspect.SLOs(ctx, slos, o)
}
