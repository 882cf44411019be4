package history

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// Reader reads what plans need from a backend.
type Reader struct {
	*backend.Client
	Counted   *Metrics
	NewStarts newStarts
}

// NewReader makes a reader of a backend.
func NewReader(b backend.Config, o backend.Shared, m *Metrics) *Reader {
	return &Reader{Client: backend.New(b, o), Counted: m}
}
