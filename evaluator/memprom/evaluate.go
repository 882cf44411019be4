package memprom

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Series is a series with a value each minute from the epoch on.
type Series struct {
	Labels labels.Labels
	Values []float64
}

// Value is a value of an expression.
type Value struct {
	Labels labels.Labels
	V      float64
}

// Evaluate evaluates an expression over a few series, without a DB. A scalar is a
// value without labels.
func Evaluate(ctx context.Context, query string, at time.Time, series []Series) ([]Value, error) {
	engine := newEngine(slog.New(slog.DiscardHandler), parser.NewParser(parser.Options{}))
	q, err := engine.NewInstantQuery(ctx, few(series), nil, query, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if s, err := r.Scalar(); err == nil {
		return []Value{{V: s.V}}, nil
	}
	v, err := r.Vector()
	out := make([]Value, len(v))
	for i, s := range v {
		out[i] = Value{s.Metric, s.F}
	}
	return out, err
}

// few is a storage of a few series.
type few []Series

// Querier implements storage.Queryable.
func (f few) Querier(int64, int64) (storage.Querier, error) {
	return fewQuerier{storage.NoopQuerier(), f}, nil
}

type fewQuerier struct {
	storage.Querier
	series few
}

// Select implements storage.Querier.
func (f fewQuerier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return &fewSelected{storage.EmptySeriesSet(), slices.DeleteFunc(slices.Clone(f.series), func(s Series) bool {
		return slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(s.Labels.Get(m.Name)) })
	}), nil}
}

// fewSelected is a set without errors.
type fewSelected struct {
	storage.SeriesSet
	left few
	at   storage.Series
}

// Next implements storage.SeriesSet.
func (s *fewSelected) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	one := promql.Series{Metric: s.left[0].Labels}
	for minute, v := range s.left[0].Values {
		one.Floats = append(one.Floats, promql.FPoint{T: int64(minute) * 60_000, F: v})
	}
	s.left, s.at = s.left[1:], promql.NewStorageSeries(one)
	return true
}

// At implements storage.SeriesSet.
func (s *fewSelected) At() storage.Series { return s.at }
