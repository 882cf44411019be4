package evaluator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBody bounds what is read of one answer, in bytes: a million samples and more.
const maxBody = 32 << 20

// errTooLarge says that an answer is larger than maxBody.
var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxBody>>20)

// limited reads at most n more bytes. Behind them it fails, unlike
// io.LimitedReader.
type limited struct {
	io.Reader
	n int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, errTooLarge
	}
	n, err := l.Reader.Read(p[:min(len(p), l.n)])
	l.n -= n
	return n, err
}

// vector is one series of an answer.
type vector struct {
	labels     map[string]string
	samples    []sample
	nans       []int64 // times of samples that are NaN, in milliseconds
	histograms []histogram
	refused    sample // the newest that was left out; its time is 0 for none
}

// traced calls f with each query from now on, until stop is called. Nothing may be
// under way meanwhile.
func (b *client) traced(f func(Query)) (stop func()) {
	b.trace = f
	return func() { b.trace = nil }
}

// share makes a context whose answers are held together until done is called.
func (b *client) share(ctx context.Context) (_ context.Context, done func()) {
	ctx, _, done = b.quota.share(ctx)
	return ctx, done
}

// query sends an instant query at a time and reads the answer as a stream: a
// vector, or a matrix for a range of raw samples.
func (b *client) query(ctx context.Context, promql string, at time.Time) ([]vector, error) {
	return b.suited(ctx, "/api/v1/query", instant(promql, at))
}

func instant(promql string, at time.Time) url.Values {
	return url.Values{"query": {promql}, "time": {unix(at)}}
}

// queryRange sends a query for each step of so many minutes from one instant to
// another.
func (b *client) queryRange(ctx context.Context, promql string, from, to, step Minute) ([]vector, error) {
	return b.suited(ctx, "/api/v1/query_range", url.Values{
		"query": {promql}, "start": {unix(from.Time())}, "end": {unix(to.Time())}, "step": {strconv.Itoa(int(step) * 60)},
	})
}

// suited sends a query as it suits what the backend is.
func (b *client) suited(ctx context.Context, path string, form url.Values) ([]vector, error) {
	id, err := b.identify(ctx)
	var out []vector
	if err == nil {
		maps.Copy(form, id.parameters())
		out, err = b.ask(ctx, path, form)
	}
	if b.trace != nil {
		b.trace(newQuery(form, out, err))
	}
	return out, err
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// ask sends a query.
func (b *client) ask(ctx context.Context, path string, form url.Values) ([]vector, error) {
	form.Set("timeout", b.Timeout.String())
	ranges := strings.HasSuffix(path, "_range") || strings.HasSuffix(form.Get("query"), "]") // as of x[5m]
	var out []vector
	ctx, share, done := b.quota.share(ctx)
	defer done()
	err := b.call(ctx, path, form, func(body io.Reader) (err error) {
		defer b.rescue(&err)
		var a result
		err = share.decoding(func() (err error) {
			a, err = decodeAnswer(body, &ration{take: func(n int64) error { return share.take(ctx, n) }})
			return err
		})
		if err == nil && ranges && a.kind != matrix {
			return fmt.Errorf("it is a %q and no samples over a time, of %s: a part of the backend, such as a Thanos in distributed mode, answers no ranges",
				shown(a.kind), form.Get("query"))
		}
		if err == nil && ranges {
			err = orderly(a.series, spanOf(form))
		}
		out = a.series
		return err
	})
	for _, v := range out {
		b.metrics.samples.WithLabelValues(b.Name).Add(float64(len(v.samples) + len(v.histograms)))
	}
	return out, err
}

// call sends a request, with a form or without one, and decodes the answer. It tries
// again where that is asked for.
func (b *client) call(ctx context.Context, path string, form url.Values, decode func(io.Reader) error) error {
	return b.patience.persist(ctx, func() error { return b.callOnce(ctx, path, form, decode) })
}

// callOnce sends a request when there is a place for it.
func (b *client) callOnce(ctx context.Context, path string, form url.Values, decode func(io.Reader) error) error {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(b.URL, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	if form != nil {
		req.Header.Set("Cache-Control", "no-store") // caches of results hide data that comes late
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header["Idempotency-Key"] = nil // not sent: a connection that the server just closed is no failure
	}
	err = b.send(req, decode)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no answer within %s: %w", b.Timeout, ctx.Err())
	}
	b.metrics.requests.WithLabelValues(b.Name, outcome(err)).Inc()
	return err
}

func outcome(err error) string {
	var q *queryError
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &q):
		return strconv.Itoa(q.status)
	}
	return "error"
}

func (b *client) send(req *http.Request, decode func(io.Reader) error) error {
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	body := &limited{resp.Body, maxBody}
	if resp.StatusCode != http.StatusOK {
		return answerError(resp, body)
	}
	// VictoriaMetrics says that raw samples are a stream of JSON.
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" && kind != "application/stream+json" {
		return fmt.Errorf("the answer is %q, not JSON: is this the URL of a Prometheus API?", kind)
	}
	if err := decode(body); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// plain is a transport error without the URL, which may hold a password.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// matrix is the kind of an answer that holds samples over a time.
const matrix = "matrix"

// result is what a query is answered.
type result struct {
	kind   string // matrix, vector or another of the API
	series []vector
}

// decodeAnswer reads {"status", "data": {"resultType", "result": [...]}, "warnings"}.
// An answer that is cut off, or partial by its own words, is an error; isPartial
// is VictoriaMetrics' word for it.
func decodeAnswer(r io.Reader, ration *ration) (result, error) {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out result
	var status, message string
	var warnings []string
	err := object(dec, func(key string) (err error) {
		if dec.PeekKind() == 'n' { // null says no more than an absent key
			return dec.SkipValue()
		}
		switch key {
		case "status":
			status, err = text(dec)
		case "error":
			message, err = text(dec)
		case "warnings":
			err = array(dec, func() error {
				w, err := text(dec)
				warnings = append(warnings, w)
				return err
			})
		case "isPartial":
			if dec.PeekKind() == 't' {
				warnings = append(warnings, "the backend says so")
			}
			err = dec.SkipValue()
		case "data":
			out, err = decodeData(dec, ration)
		default:
			err = dec.SkipValue()
		}
		return err
	})
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return result{}, fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return result{}, err
	case status != "success":
		return result{}, fmt.Errorf("its status is %q: %s", shown(status), shown(message))
	case len(warnings) > 0:
		return result{}, fmt.Errorf("it may be partial: %s", shown(strings.Join(warnings, "; ")))
	}
	return out, decodeRest(dec)
}

// decodeRest reads what follows behind an answer: nothing. VictoriaMetrics, when
// it fails while it sends, ends the answer well and adds one with the error.
func decodeRest(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("behind its end: %w", err)
	}
	if e := (&queryError{status: http.StatusUnprocessableEntity}); e.read(raw) {
		return e
	}
	return errors.New("more follows behind its end")
}

func decodeData(dec *jsontext.Decoder, ration *ration) (result, error) {
	var out result
	err := object(dec, func(key string) (err error) {
		switch {
		case key == "resultType" && dec.PeekKind() == '"':
			out.kind, err = text(dec)
			return err
		case key != "result" || dec.PeekKind() != '[':
			return dec.SkipValue()
		}
		return array(dec, func() error {
			v, err := decodeSeries(dec, ration)
			out.series = append(out.series, v)
			return err
		})
	})
	return out, err
}

func decodeSeries(dec *jsontext.Decoder, ration *ration) (vector, error) {
	v := vector{labels: map[string]string{}}
	if err := ration.add(seriesBytes); err != nil {
		return v, err
	}
	pair := func() error {
		s, ok, err := decodePair(dec)
		if ok {
			v.samples = append(v.samples, s)
		} else if err == nil {
			v.nans = append(v.nans, s.t)
		}
		return cmp.Or(err, ration.add(sampleBytes))
	}
	err := object(dec, func(key string) error {
		switch key {
		case "metric":
			return object(dec, func(name string) (err error) {
				v.labels[name], err = text(dec)
				return cmp.Or(err, ration.add(2*int64(len(name)+len(v.labels[name]))+labelBytes))
			})
		case "value":
			return pair()
		case "values":
			return array(dec, pair)
		case "histograms":
			return array(dec, func() error {
				h, err := decodeHistogram(dec)
				v.histograms = append(v.histograms, h)
				return cmp.Or(err, ration.add(histogramBytes+bucketBytes*int64(len(h.buckets))))
			})
		}
		return dec.SkipValue()
	})
	return v, err
}

// decodePair reads [time in seconds, "value"]. What is not a number is left out.
func decodePair(dec *jsontext.Decoder) (sample, bool, error) {
	raw, err := dec.ReadValue()
	if err != nil {
		return sample{}, false, err
	}
	at, value, ok := bytes.Cut(bytes.Trim(raw, "[] \n\t\r"), []byte{','})
	if !ok {
		return sample{}, false, fmt.Errorf("%q is not a sample", shown(string(raw)))
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(at)), 64)
	if err != nil {
		return sample{}, false, fmt.Errorf("%q is not a sample", shown(string(raw)))
	}
	v, err := strconv.ParseFloat(string(bytes.Trim(value, "\" \n\t\r")), 64)
	if err != nil {
		return sample{}, false, fmt.Errorf("%q is not a sample", shown(string(raw)))
	}
	if !(math.Abs(seconds) < lastTime) {
		return sample{}, false, malformed(fmt.Sprintf("a sample has the time %s, which is no number of seconds", at))
	}
	return sample{t: int64(seconds*1000 + 0.5), v: v}, !math.IsNaN(v), nil
}

// object calls f for each key of an object; f must read the value.
func object(dec *jsontext.Decoder, f func(key string) error) error {
	if err := begin(dec, '{'); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		key, err := text(dec)
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// array calls f for each element; f must read it.
func array(dec *jsontext.Decoder, f func() error) error {
	if err := begin(dec, '['); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func begin(dec *jsontext.Decoder, kind jsontext.Kind) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != kind {
		return fmt.Errorf("expected %s, found %s", kind, token.Kind())
	}
	return nil
}

func text(dec *jsontext.Decoder) (string, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	if token.Kind() != '"' {
		return "", fmt.Errorf("expected text, found %s", token.Kind())
	}
	return token.String(), nil
}
