package memprom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

const (
	// version is the Prometheus whose libraries these are.
	version = "3.15.0"
	// maxPoints is the number of points a series that a range query may ask for.
	maxPoints = 11000
)

// Handler serves the part of Prometheus' HTTP API that reads data: queries,
// series and labels, metadata (always empty), build information and health.
// Queries without a time are for the present, by the machine's clock.
func (db *DB) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"/api/v1/query":               db.serveQuery(db.instantQuery),
		"/api/v1/query_range":         db.serveQuery(db.rangeQuery),
		"/api/v1/series":              db.serveData(db.series),
		"/api/v1/labels":              db.serveData(db.labelNames),
		"/api/v1/label/{name}/values": db.serveData(db.labelValues),
		"/api/v1/metadata":            db.serveData(metadata),
		"/api/v1/status/buildinfo":    db.serveData(buildInfo),
		"/-/healthy":                  healthy,
		"/-/ready":                    healthy,
	} {
		mux.HandleFunc("GET "+pattern, h)
		mux.HandleFunc("POST "+pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			mux.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		// The level is valid, so there is no error. A higher one takes longer
		// than the query.
		compressed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		mux.ServeHTTP(gzipWriter{w, compressed}, r)
		if err := compressed.Close(); err != nil {
			db.log.Debug("Writing an answer ended early", "err", err)
		}
	})
}

// gzipWriter compresses an answer's body.
type gzipWriter struct {
	http.ResponseWriter
	body io.Writer
}

// Write implements io.Writer.
func (w gzipWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// apiError is an error that the API has a name and a status for.
type apiError struct {
	kind   string
	status int
	err    error
}

func (e apiError) Error() string { return e.err.Error() }
func (e apiError) Unwrap() error { return e.err }

// badData is the error of a parameter that makes no sense.
func badData(param string, err error) error {
	return apiError{"bad_data", http.StatusBadRequest, fmt.Errorf("invalid parameter %q: %w", param, err)}
}

// classify finds the API's name and status for an error.
func classify(err error) apiError {
	var (
		known    apiError
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		stored   promql.ErrStorage
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &timeout):
		return apiError{"timeout", http.StatusServiceUnavailable, err}
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return apiError{"canceled", 499, err} // as Prometheus and nginx say it
	case errors.As(err, &stored):
		return apiError{"internal", http.StatusInternalServerError, err}
	}
	return apiError{"execution", http.StatusUnprocessableEntity, err}
}

func (db *DB) respondError(w http.ResponseWriter, err error) {
	e := classify(err)
	db.respond(w, e.status, map[string]string{"status": "error", "errorType": e.kind, "error": e.Error()})
}

func (db *DB) respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		db.log.Debug("Writing an answer ended early", "err", err)
	}
}

// serveData answers with what find gives, as JSON.
func (db *DB) serveData(find func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := find(r)
		if err != nil {
			db.respondError(w, err)
			return
		}
		db.respond(w, http.StatusOK, map[string]any{"status": "success", "data": data})
	}
}

// serveQuery runs the query that prepare makes and answers with its result.
func (db *DB) serveQuery(prepare func(*http.Request) (promql.Query, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := prepare(r)
		if err != nil {
			db.respondError(w, err)
			return
		}
		defer q.Close()
		ctx := r.Context()
		if text := r.FormValue("timeout"); text != "" {
			timeout, err := parseDuration(text)
			if err != nil {
				db.respondError(w, badData("timeout", err))
				return
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		result := q.Exec(ctx)
		if result.Err != nil {
			db.respondError(w, result.Err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := writeResult(w, r, q, result); err != nil {
			db.log.Debug("Writing an answer ended early", "err", err)
		}
	}
}

func (db *DB) instantQuery(r *http.Request) (promql.Query, error) {
	at, err := timeParam(r, "time", time.Now())
	if err != nil {
		return nil, err
	}
	q, err := db.engine.NewInstantQuery(r.Context(), db.tsdb, nil, r.FormValue("query"), at)
	if err != nil {
		return nil, badData("query", err)
	}
	return q, nil
}

func (db *DB) rangeQuery(r *http.Request) (promql.Query, error) {
	start, err := parseTime(r.FormValue("start"))
	if err != nil {
		return nil, badData("start", err)
	}
	end, err := parseTime(r.FormValue("end"))
	if err != nil {
		return nil, badData("end", err)
	}
	step, err := parseDuration(r.FormValue("step"))
	switch {
	case err != nil:
		return nil, badData("step", err)
	case step <= 0:
		return nil, badData("step", errors.New("it is not positive"))
	case end.Before(start):
		return nil, badData("end", errors.New("it is before the start"))
	case end.Sub(start)/step > maxPoints:
		return nil, badData("step", fmt.Errorf("exceeded maximum resolution of %d points per timeseries", maxPoints))
	}
	q, err := db.engine.NewRangeQuery(r.Context(), db.tsdb, nil, r.FormValue("query"), start, end, step)
	if err != nil {
		return nil, badData("query", err)
	}
	return q, nil
}

func (db *DB) series(r *http.Request) (any, error) {
	sel, err := db.selection(r)
	if err != nil {
		return nil, err
	}
	defer sel.querier.Close()
	if len(sel.matchers) == 0 {
		return nil, badData("match[]", errors.New("there is none"))
	}
	hints := &storage.SelectHints{Start: sel.start, End: sel.end, Func: "series"}
	var found []storage.SeriesSet
	for _, matchers := range sel.matchers {
		found = append(found, sel.querier.Select(r.Context(), true, hints, matchers...))
	}
	merged := storage.NewMergeSeriesSet(found, 0, storage.ChainedSeriesMerge)
	out := []labels.Labels{}
	for merged.Next() {
		out = append(out, merged.At().Labels())
	}
	return out, merged.Err()
}

func (db *DB) labelNames(r *http.Request) (any, error) {
	return db.union(r, func(q storage.Querier, matchers []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(r.Context(), nil, matchers...)
		return names, err
	})
}

func (db *DB) labelValues(r *http.Request) (any, error) {
	return db.union(r, func(q storage.Querier, matchers []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(r.Context(), r.PathValue("name"), nil, matchers...)
		return values, err
	})
}

// union returns what find returns for any of the request's selectors, sorted.
func (db *DB) union(r *http.Request, find func(storage.Querier, []*labels.Matcher) ([]string, error)) (any, error) {
	sel, err := db.selection(r)
	if err != nil {
		return nil, err
	}
	defer sel.querier.Close()
	if len(sel.matchers) == 0 {
		sel.matchers = append(sel.matchers, nil)
	}
	out := []string{}
	for _, matchers := range sel.matchers {
		texts, err := find(sel.querier, matchers)
		if err != nil {
			return nil, err
		}
		out = append(out, texts...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// selection contains the series that a request selects.
type selection struct {
	querier    storage.Querier
	start, end int64               // milliseconds
	matchers   [][]*labels.Matcher // of each selector
}

func (db *DB) selection(r *http.Request) (selection, error) {
	start, err := timeParam(r, "start", time.UnixMilli(0))
	if err != nil {
		return selection{}, err
	}
	end, err := timeParam(r, "end", time.UnixMilli(math.MaxInt64/2))
	if err != nil {
		return selection{}, err
	}
	sel := selection{start: timestamp.FromTime(start), end: timestamp.FromTime(end)}
	if sel.matchers, err = db.parser.ParseMetricSelectors(r.Form["match[]"]); err != nil {
		return selection{}, badData("match[]", err)
	}
	sel.querier, err = db.tsdb.Querier(sel.start, sel.end)
	return sel, err
}

func metadata(*http.Request) (any, error) { return struct{}{}, nil }

func buildInfo(*http.Request) (any, error) {
	return map[string]string{"version": version, "revision": "", "branch": "", "buildUser": "",
		"buildDate": "", "goVersion": runtime.Version()}, nil
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
}

// timeParam is the time in the named parameter, or otherwise.
func timeParam(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, badData(name, err)
	}
	return t, nil
}

// parseTime reads Unix seconds or RFC 3339.
func parseTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.UnixMilli(int64(math.Round(seconds * 1000))), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// parseDuration reads seconds or a Prometheus duration such as 5m.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}
