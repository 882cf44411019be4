package backend

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

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// maxBody bounds what is read of one answer, in bytes: a million samples and more.
const maxBody = 32 << 20

// ErrTooLarge says that an answer is larger than maxBody.
var ErrTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxBody>>20)

// limited reads at most n more bytes. Behind them it fails, unlike
// io.LimitedReader.
type limited struct {
	io.Reader
	n int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, ErrTooLarge
	}
	n, err := l.Reader.Read(p[:min(len(p), l.n)])
	l.n -= n
	return n, err
}

// Series is one series of an answer.
type Series struct {
	Labels     map[string]string
	Samples    []Sample
	Nans       []int64 // times of samples that are NaN, in milliseconds
	Histograms []Histogram
	Refused    Sample // the newest that was left out; its time is 0 for none
}

// Trace calls f with each query from now on, until stop is called. Nothing may be
// under way meanwhile.
func (b *Client) Trace(f func(Query)) (stop func()) {
	b.trace = f
	return func() { b.trace = nil }
}

// Share makes a context whose answers are held together until done is called.
func (b *Client) Share(ctx context.Context) (_ context.Context, done func()) {
	ctx, _, done = b.quota.share(ctx)
	return ctx, done
}

// Query sends an instant query at a time and reads the answer as a stream: a
// vector, or a matrix for a range of raw samples.
func (b *Client) Query(ctx context.Context, promql string, at time.Time) ([]Series, error) {
	return b.suited(ctx, "/api/v1/query", instant(promql, at))
}

func instant(promql string, at time.Time) url.Values {
	return url.Values{"query": {promql}, "time": {unix(at)}}
}

// QueryRange sends a query for each step of so many minutes from one instant to
// another.
func (b *Client) QueryRange(ctx context.Context, promql string, from, to, step timeline.Minute) ([]Series, error) {
	return b.suited(ctx, "/api/v1/query_range", url.Values{
		"query": {promql}, "start": {unix(from.Time())}, "end": {unix(to.Time())}, "step": {strconv.Itoa(int(step) * 60)},
	})
}

// suited sends a query as it suits what the backend is.
func (b *Client) suited(ctx context.Context, path string, form url.Values) ([]Series, error) {
	id, err := b.identify(ctx)
	var out []Series
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
func (b *Client) ask(ctx context.Context, path string, form url.Values) ([]Series, error) {
	form.Set("timeout", b.Timeout.String())
	ranges := strings.HasSuffix(path, "_range") || strings.HasSuffix(form.Get("query"), "]") // as of x[5m]
	var out []Series
	ctx, share, done := b.quota.share(ctx)
	defer done()
	err := b.Call(ctx, path, form, func(body io.Reader) (err error) {
		defer b.Rescue(&err)
		var a result
		err = share.decoding(func() (err error) {
			a, err = decodeAnswer(body, &ration{take: func(n int64) error { return share.take(ctx, n) }})
			return err
		})
		if err == nil && ranges && a.kind != matrix {
			return fmt.Errorf("it is a %q and no samples over a time, of %s: a part of the backend, such as a Thanos in distributed mode, answers no ranges",
				Shown(a.kind), form.Get("query"))
		}
		if err == nil && ranges {
			err = orderly(a.series, spanOf(form))
		}
		out = a.series
		return err
	})
	for _, v := range out {
		b.metrics.samples.WithLabelValues(b.Name).Add(float64(len(v.Samples) + len(v.Histograms)))
	}
	return out, err
}

// Call sends a request, with a form or without one, and decodes the answer. It tries
// again where that is asked for.
func (b *Client) Call(ctx context.Context, path string, form url.Values, decode func(io.Reader) error) error {
	return b.patience.persist(ctx, func() error { return b.callOnce(ctx, path, form, decode) })
}

// callOnce sends a request when there is a place for it.
func (b *Client) callOnce(ctx context.Context, path string, form url.Values, decode func(io.Reader) error) error {
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

func (b *Client) send(req *http.Request, decode func(io.Reader) error) error {
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
	series []Series
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
		return result{}, fmt.Errorf("its status is %q: %s", Shown(status), Shown(message))
	case len(warnings) > 0:
		return result{}, fmt.Errorf("it may be partial: %s", Shown(strings.Join(warnings, "; ")))
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

func decodeSeries(dec *jsontext.Decoder, ration *ration) (Series, error) {
	v := Series{Labels: map[string]string{}}
	if err := ration.add(seriesBytes); err != nil {
		return v, err
	}
	pair := func() error {
		s, ok, err := decodePair(dec)
		if ok {
			v.Samples = append(v.Samples, s)
		} else if err == nil {
			v.Nans = append(v.Nans, s.T)
		}
		return cmp.Or(err, ration.add(sampleBytes))
	}
	err := object(dec, func(key string) error {
		switch key {
		case "metric":
			return object(dec, func(name string) (err error) {
				v.Labels[name], err = text(dec)
				return cmp.Or(err, ration.add(2*int64(len(name)+len(v.Labels[name]))+labelBytes))
			})
		case "value":
			return pair()
		case "values":
			return array(dec, pair)
		case "histograms":
			return array(dec, func() error {
				h, err := decodeHistogram(dec)
				v.Histograms = append(v.Histograms, h)
				return cmp.Or(err, ration.add(histogramBytes+bucketBytes*int64(len(h.buckets))))
			})
		}
		return dec.SkipValue()
	})
	return v, err
}

// decodePair reads [time in seconds, "value"]. What is not a number is left out.
func decodePair(dec *jsontext.Decoder) (Sample, bool, error) {
	raw, err := dec.ReadValue()
	if err != nil {
		return Sample{}, false, err
	}
	at, value, ok := bytes.Cut(bytes.Trim(raw, "[] \n\t\r"), []byte{','})
	if !ok {
		return Sample{}, false, fmt.Errorf("%q is not a sample", Shown(string(raw)))
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(at)), 64)
	if err != nil {
		return Sample{}, false, fmt.Errorf("%q is not a sample", Shown(string(raw)))
	}
	v, err := strconv.ParseFloat(string(bytes.Trim(value, "\" \n\t\r")), 64)
	if err != nil {
		return Sample{}, false, fmt.Errorf("%q is not a sample", Shown(string(raw)))
	}
	if !(math.Abs(seconds) < lastTime) {
		return Sample{}, false, MalformedError(fmt.Sprintf("a sample has the time %s, which is no number of seconds", at))
	}
	return Sample{T: int64(seconds*1000 + 0.5), V: v}, !math.IsNaN(v), nil
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
