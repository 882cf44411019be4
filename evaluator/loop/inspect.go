package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/inspect"
	"github.com/slowburn-slo/slowburn/slo"
)

// Inspect asks the backends whether SLOs make sense there, see inspect.SLOs.
func (l *Loop) Inspect(ctx context.Context, slos []*slo.SLO) ([]slo.Finding, error) {
	o := inspect.Options{
		ReaderOf: func(s *slo.SLO) *history.Reader { return l.readers[l.backendIndex(s)] },
		Shortest: func(s *slo.SLO) slo.Window { return l.Windows(s)[0] },
		Blind:    l.Blind,
		End:      l.newestEnd(),
		Readers:  l.readers,
	}
	return inspect.SLOs(ctx, slos, o)
}
