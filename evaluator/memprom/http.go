package memprom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/stats"
)

const (
	// version is the Prometheus whose libraries these are.
	version = "3.15.0"
	// maxPoints is the number of points a series that a range query may ask for.
	maxPoints = 11000
	// maxAnnotations bounds the warnings and the infos of an answer, each.
	maxAnnotations = 10
)

// Handler serves the part of Prometheus' HTTP API that slowburn reads: queries, metadata
// (always empty), build information and health. Queries without a time are for the present,
// by the machine's clock.
func (db *DB) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/api/v1/query":            db.serveQuery(db.instantQuery),
		"/api/v1/query_range":      db.serveQuery(db.rangeQuery),
		"/api/v1/metadata":         db.serveData(struct{}{}),
		"/api/v1/status/buildinfo": db.serveData(map[string]string{"version": version, "goVersion": runtime.Version()}),
		"/-/healthy":               func(http.ResponseWriter, *http.Request) {},
		"/-/ready":                 func(http.ResponseWriter, *http.Request) {},
	} {
		mux.HandleFunc("GET "+path, h)
		mux.HandleFunc("POST "+path, h)
	}
	// The options are valid, so there is no error. A higher level takes longer than the query.
	compressed, _ := gzhttp.NewWrapper(gzhttp.MinSize(0), gzhttp.CompressionLevel(gzip.BestSpeed))
	return compressed(mux)
}

// answer is the body of each answer, without what is empty.
type answer struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitzero"`
	ErrorType string   `json:"errorType,omitzero"`
	Error     string   `json:"error,omitzero"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// queryData is the data of an answer to a query.
type queryData struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     parser.Value     `json:"result"`
	Stats      stats.QueryStats `json:"stats,omitzero"`
}

// errBadData is the error of a request that makes no sense.
var errBadData = errors.New("invalid parameter")

// badData is the error of a parameter that makes no sense.
func badData(param string, err error) error { return fmt.Errorf("%w %q: %w", errBadData, param, err) }

// respondError answers with the name and the status that the API has for an error.
func (db *DB) respondError(w http.ResponseWriter, err error) {
	kind, status := "execution", http.StatusUnprocessableEntity
	if errors.Is(err, errBadData) {
		kind, status = "bad_data", http.StatusBadRequest
	} else if _, is := errors.AsType[promql.ErrQueryTimeout](err); is {
		kind, status = "timeout", http.StatusServiceUnavailable
	} else if _, is := errors.AsType[promql.ErrQueryCanceled](err); is || errors.Is(err, context.Canceled) {
		kind, status = "canceled", 499 // as in Prometheus and nginx
	} else if _, is := errors.AsType[promql.ErrStorage](err); is {
		kind, status = "internal", http.StatusInternalServerError
	}
	db.respond(w, status, answer{Status: "error", ErrorType: kind, Error: err.Error()})
}

// respond writes an answer piece by piece, so that millions of samples never are in memory
// as text.
func (db *DB) respond(w http.ResponseWriter, status int, body answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.MarshalWrite(w, body, json.WithMarshalers(json.MarshalToFunc(writePoint))); err != nil {
		db.log.Debug("Writing an answer ended early", "err", err)
	}
}

// writePoint writes a sample of a series. The method of its type takes many times as long.
func writePoint(enc *jsontext.Encoder, p promql.FPoint) error {
	text := strconv.AppendFloat(append(enc.AvailableBuffer(), '['), float64(p.T)/1000, 'f', -1, 64)
	text = strconv.AppendFloat(append(text, `,"`...), p.F, 'g', -1, 64)
	return enc.WriteValue(append(text, `"]`...))
}

func (db *DB) serveData(data any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		db.respond(w, http.StatusOK, answer{Status: "success", Data: data})
	}
}

// serveQuery runs the query that prepare makes and answers with its result.
func (db *DB) serveQuery(prepare func(*http.Request) (promql.Query, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timeout := queryTimeout
		var err error
		if text := r.FormValue("timeout"); text != "" {
			if timeout, err = parseDuration(text); err != nil {
				db.respondError(w, badData("timeout", err))
				return
			}
		}
		q, err := prepare(r)
		if err != nil {
			db.respondError(w, err)
			return
		}
		defer q.Close()
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		result := q.Exec(ctx)
		if result.Err != nil {
			db.respondError(w, result.Err)
			return
		}
		data := queryData{ResultType: result.Value.Type(), Result: result.Value}
		if r.FormValue("stats") != "" {
			data.Stats = stats.NewQueryStats(q.Stats())
		}
		warnings, infos := result.Warnings.AsStrings(r.FormValue("query"), maxAnnotations, maxAnnotations)
		db.respond(w, http.StatusOK, answer{Status: "success", Data: data, Warnings: warnings, Infos: infos})
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
