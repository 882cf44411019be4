// Package memprom is a Prometheus inside the process: its TSDB and its PromQL
// engine with its HTTP query API. It is the backend of the demo and of tests.
//
// A use, from nothing to a client's view of it:
//
//	db, err := memprom.Open(dir, log)
//	defer db.Close()
//	err = db.Load(ctx, start, time.Minute, `http_requests_total{job="checkout"} 0+60x1440`)
//	server := httptest.NewServer(db.Handler())
package memprom

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	// headRange is how much time the TSDB's head block takes. A sample may be
	// half of that older than the newest one, so a series can be written after
	// another that is over a year ahead, and no block is ever cut: compaction
	// would stall whoever writes a month in seconds.
	headRange = 800 * 24 * time.Hour
	// maxSamples and queryTimeout are a Prometheus server's own defaults.
	maxSamples   = 50_000_000
	queryTimeout = 2 * time.Minute
	// lateness is how much older than the newest of its series a sample may be.
	lateness = 31 * 24 * time.Hour
)

// DB is a Prometheus inside the process. Its methods may be called from several
// goroutines. Samples of one series are best written in order of time.
type DB struct {
	tsdb   *tsdb.DB
	engine *promql.Engine
	parser parser.Parser
	log    *slog.Logger
}

// Open makes an empty DB that keeps its chunks in files in dir. There is no
// write-ahead log, so nothing of it is found again once it is closed.
func Open(dir string, log *slog.Logger) (*DB, error) {
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1
	opts.RetentionDuration = 0
	opts.MinBlockDuration = headRange.Milliseconds()
	opts.MaxBlockDuration = headRange.Milliseconds()
	opts.OutOfOrderTimeWindow = lateness.Milliseconds()
	opts.NoLockfile = true
	opts.StripeSize = 1 << 10
	opts.IsolationDisabled = true                          // it reads in quadratic time where the head is long
	opts.BlockReloadInterval = tsdb.MinBlockReloadInterval // full chunks go to disk this often
	db, err := tsdb.Open(dir, log, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("opening the database in %s: %w", dir, err)
	}
	p := parser.NewParser(parser.Options{})
	return &DB{tsdb: db, engine: newEngine(log, p), parser: p, log: log}, nil
}

// newEngine is the engine of a Prometheus server as it is without settings.
func newEngine(log *slog.Logger, p parser.Parser) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger:                   log,
		MaxSamples:               maxSamples,
		Timeout:                  queryTimeout,
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		Parser:                   p,
	})
}

// Close ends the database. Queries that still run fail.
func (db *DB) Close() error {
	if err := db.engine.Close(); err != nil {
		return fmt.Errorf("closing the query engine: %w", err)
	}
	if err := db.tsdb.Close(); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// Appender begins a transaction, as storage.Appendable has it. What it holds is
// in memory until Commit, so a long history is best written in several. Queries
// may see a part of a transaction while it is being committed.
func (db *DB) Appender(ctx context.Context) storage.Appender { return db.tsdb.Appender(ctx) }

// Queryable reads samples without PromQL.
func (db *DB) Queryable() storage.Queryable { return db.tsdb }

// Engine runs PromQL, on Queryable.
func (db *DB) Engine() *promql.Engine { return db.engine }

// Sample is the value of a series at an instant.
type Sample struct {
	Time  time.Time
	Value float64
}

// Stale is the value that Prometheus writes where a series ends.
func Stale() float64 { return math.Float64frombits(value.StaleNaN) }

// Add writes samples of one series, in order of time, all or none of them.
func (db *DB) Add(ctx context.Context, series labels.Labels, samples ...Sample) error {
	return db.write(ctx, func(app storage.Appender) error {
		var ref storage.SeriesRef
		for _, s := range samples {
			var err error
			if ref, err = app.Append(ref, series, timestamp.FromTime(s.Time), s.Value); err != nil {
				return fmt.Errorf("appending to %s at %s: %w", series, s.Time, err)
			}
		}
		return nil
	})
}

// Load writes series given in the notation of promtool's unit tests, one a
// line, all or none of them. The first value of each is at start, the others
// follow at step:
//
//	http_requests_total{job="checkout",code="500"} 0+10x60 _x5 stale 3
func (db *DB) Load(ctx context.Context, start time.Time, step time.Duration, text string) error {
	return db.write(ctx, func(app storage.Appender) error {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			series, values, err := db.parser.ParseSeriesDesc(line)
			if err != nil {
				return fmt.Errorf("parsing %q: %w", line, err)
			}
			for i, v := range values {
				t := timestamp.FromTime(start.Add(time.Duration(i) * step))
				if err := appendValue(app, series, t, v); err != nil {
					return fmt.Errorf("appending value %d of %s: %w", i, series, err)
				}
			}
		}
		return nil
	})
}

// appendValue appends at t, in milliseconds.
func appendValue(app storage.Appender, series labels.Labels, t int64, v parser.SequenceValue) error {
	if v.Omitted {
		return nil
	}
	if v.Histogram != nil {
		_, err := app.AppendHistogram(0, series, t, nil, v.Histogram)
		return err
	}
	_, err := app.Append(0, series, t, v.Value)
	return err
}

// write runs f in a transaction of its own.
func (db *DB) write(ctx context.Context, f func(storage.Appender) error) error {
	app := db.tsdb.Appender(ctx)
	if err := f(app); err != nil {
		if rollback := app.Rollback(); rollback != nil {
			return fmt.Errorf("rolling back (%w) after: %w", rollback, err)
		}
		return err
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
