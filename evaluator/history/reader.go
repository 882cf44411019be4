package history

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// Reader reads the data of plans from a backend.
type Reader struct {
	*backend.Client
	Metrics   *Metrics
	NewStarts newStarts
}

// NewReader returns a reader of a backend.
func NewReader(b backend.Config, o backend.Shared, m *Metrics) *Reader {
	return &Reader{Client: backend.New(b, o), Metrics: m}
}
