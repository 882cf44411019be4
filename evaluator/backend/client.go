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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// maxBody limits the size of one answer, in bytes. A million samples fit.
const maxBody = 32 << 20

// ErrTooLarge reports that an answer is larger than maxBody.
var ErrTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxBody>>20)

// Series is one series of an answer.
type Series struct {
	Labels     map[string]string
	Samples    []Sample
	NaNs       []int64 // times of samples that are NaN, in milliseconds
	Histograms []Histogram
	Refused    Sample // the newest sample that was dropped; its time is 0 if none was
}

// Trace calls f with each query until stop is called. Call both only while no query runs.
func (c *Client) Trace(f func(Query)) (stop func()) {
	c.trace = f
	return func() { c.trace = nil }
}

// Share returns a context whose answers count towards the memory limit until done is
// called.
func (c *Client) Share(ctx context.Context) (_ context.Context, done func()) {
	ctx, _, done = c.quota.share(ctx)
	return ctx, done
}

// Query sends an instant query and reads the answer as a stream: a vector, or a matrix
// for a range of raw samples.
func (c *Client) Query(ctx context.Context, promql string, at time.Time) ([]Series, error) {
	return c.queryAs(ctx, Query{Query: promql, Time: at.Truncate(time.Second).UTC()}, 0)
}

// QueryRange sends a range query from one instant to another. step is in minutes.
func (c *Client) QueryRange(ctx context.Context, promql string, from, to, step timeline.Minute) ([]Series, error) {
	start := from.Time()
	return c.queryAs(ctx, Query{Query: promql, Time: to.Time(), Start: &start}, step)
}

// queryAs sends a query with the parameters for the kind of backend.
func (c *Client) queryAs(ctx context.Context, q Query, step timeline.Minute) ([]Series, error) {
	id, err := c.identify(ctx)
	var out []Series
	if err == nil {
		out, err = c.send(ctx, q, step, id.parameters())
	}
	if c.trace != nil {
		c.trace(q.answered(out, err))
	}
	return out, err
}

// send sends a query with more parameters, and decodes the answer.
func (c *Client) send(ctx context.Context, q Query, step timeline.Minute, more url.Values) ([]Series, error) {
	path, form := q.form(step)
	maps.Copy(form, more)
	form.Set("timeout", c.Timeout.String())
	ranges := q.Start != nil || strings.HasSuffix(q.Query, "]") // a range such as x[5m]
	var out []Series
	ctx, share, done := c.quota.share(ctx)
	defer done()
	err := c.call(ctx, path, form, func(body io.Reader) (err error) {
		defer c.Rescue(&err)
		var a result
		err = share.decoding(func() (err error) {
			a, err = decodeAnswer(body, share.ration(ctx))
			return err
		})
		if err == nil && ranges && a.kind != matrixType {
			return fmt.Errorf("it is a %q and no samples over a time, of %s: a part of the backend, such as a Thanos in distributed mode, answers no ranges",
				Shown(a.kind), q.Query)
		}
		if err == nil && ranges {
			err = orderly(a.series, q.span())
		}
		if err == nil {
			out = a.series
		}
		return err
	})
	c.metrics.samples.WithLabelValues(c.Name).Add(float64(samplesIn(out)))
	return out, err
}

// Get reads a path of the API, and decodes the answer from JSON.
func (c *Client) Get(ctx context.Context, path string, answer any) error {
	return c.call(ctx, path, nil, func(body io.Reader) error { return json.UnmarshalRead(body, answer) })
}

// call sends a request, with or without a form, and decodes an answer in JSON.
func (c *Client) call(ctx context.Context, path string, form url.Values, decode func(io.Reader) error) error {
	r := request{path: path, types: []string{"application/json", "application/stream+json"}} // VictoriaMetrics streams raw samples
	if form != nil {
		r.body = []byte(form.Encode())
		r.header = map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Cache-Control": "no-store"} // caches of results hide data that comes late
	}
	return c.request(ctx, r, func(body io.Reader, _ string) error { return decode(body) })
}

// request is a request to the backend.
type request struct {
	path   string
	body   []byte // of a POST; nil for a GET
	header map[string]string
	types  []string // of answers that are expected
}

// request sends a request and decodes the answer, given its type. It tries again if the
// options require it.
func (c *Client) request(ctx context.Context, r request, decode func(body io.Reader, kind string) error) error {
	return c.patience.persist(ctx, func() error { return c.requestOnce(ctx, r, decode) })
}

// requestOnce sends a request as soon as fewer than MaxConcurrency are running.
func (c *Client) requestOnce(ctx context.Context, r request, decode func(io.Reader, string) error) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	method := http.MethodGet
	if r.body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+r.path, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	for name, v := range r.header {
		req.Header.Set(name, v)
	}
	if r.body != nil {
		req.Header["Idempotency-Key"] = nil // not sent: a connection that the server just closed is no failure
	}
	err = c.exchange(req, r.types, decode)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no answer within %s: %w", c.Timeout, ctx.Err())
	}
	c.metrics.requests.WithLabelValues(c.Name, outcomeOf(err)).Inc()
	return err
}

func outcomeOf(err error) string {
	var q *queryError
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &q):
		return strconv.Itoa(q.status)
	}
	return "error"
}

func (c *Client) exchange(req *http.Request, types []string, decode func(io.Reader, string) error) error {
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	body := http.MaxBytesReader(nil, resp.Body, maxBody)
	if resp.StatusCode != http.StatusOK {
		return answerError(resp, body)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !slices.Contains(types, kind) {
		return fmt.Errorf("the answer is %q, not JSON: is this the URL of a Prometheus API?", kind)
	}
	if kind == streamedChunks && resp.ProtoMajor == 1 && resp.ContentLength < 0 && !slices.Contains(resp.TransferEncoding, "chunked") {
		return errors.New("nothing shows the end of the answer")
	}
	err = decode(body, kind)
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		err = ErrTooLarge
	}
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// withoutURL returns a transport error without the URL, which may contain a password.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// matrixType is the type of an answer with samples over a time.
const matrixType = "matrix"

// result is the answer to a query.
type result struct {
	kind   string // matrix, vector or another type of the API
	series []Series
}

// decodeAnswer reads {"status", "data": {"resultType", "result": [...]}, "warnings"}. It
// returns an error if the answer is cut off, or marked as partial. VictoriaMetrics marks
// it by isPartial.
func decodeAnswer(r io.Reader, ration *memoryRation) (result, error) {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out result
	var status, message string
	var warnings []string
	err := eachField(dec, func(key string) (err error) {
		if dec.PeekKind() == 'n' { // null is the same as an absent key
			return dec.SkipValue()
		}
		switch key {
		case "status":
			status, err = readText(dec)
		case "error":
			message, err = readText(dec)
		case "warnings":
			err = eachElement(dec, func() error {
				w, err := readText(dec)
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

// decodeRest reads the bytes after an answer, and returns an error if there are any. If
// VictoriaMetrics fails while it sends, it completes the answer and appends a second one
// with the error.
func decodeRest(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("after its end: %w", err)
	}
	if e := (&queryError{status: http.StatusUnprocessableEntity}); e.read(raw) {
		return e
	}
	return errors.New("more follows after its end")
}

func decodeData(dec *jsontext.Decoder, ration *memoryRation) (result, error) {
	var out result
	err := eachField(dec, func(key string) (err error) {
		switch {
		case key == "resultType" && dec.PeekKind() == '"':
			out.kind, err = readText(dec)
			return err
		case key != "result" || dec.PeekKind() != '[':
			return dec.SkipValue()
		}
		return eachElement(dec, func() error {
			v, err := decodeSeries(dec, ration)
			out.series = append(out.series, v)
			return err
		})
	})
	return out, err
}

func decodeSeries(dec *jsontext.Decoder, ration *memoryRation) (Series, error) {
	v := Series{Labels: map[string]string{}}
	if err := ration.add(seriesBytes); err != nil {
		return v, err
	}
	pair := func() error {
		s, ok, err := decodePair(dec)
		if ok {
			v.Samples = append(v.Samples, s)
		} else if err == nil {
			v.NaNs = append(v.NaNs, s.T)
		}
		return cmp.Or(err, ration.add(sampleBytes))
	}
	err := eachField(dec, func(key string) error {
		switch key {
		case "metric":
			return eachField(dec, func(name string) (err error) {
				v.Labels[name], err = readText(dec)
				return cmp.Or(err, ration.add(2*int64(len(name)+len(v.Labels[name]))+labelBytes))
			})
		case "value":
			return pair()
		case "values":
			return eachElement(dec, pair)
		case "histograms":
			return eachElement(dec, func() error {
				h, err := decodeHistogram(dec)
				v.Histograms = append(v.Histograms, h)
				return cmp.Or(err, ration.add(histogramBytes+bucketBytes*int64(len(h.buckets))))
			})
		}
		return dec.SkipValue()
	})
	return v, err
}

// decodePair reads [time in seconds, "value"]. It reports false for NaN.
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

// eachField calls f for each key of an object. f must read the value.
func eachField(dec *jsontext.Decoder, f func(key string) error) error {
	if err := expectToken(dec, '{'); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		key, err := readText(dec)
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

// eachElement calls f for each element. f must read it.
func eachElement(dec *jsontext.Decoder, f func() error) error {
	if err := expectToken(dec, '['); err != nil {
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

func expectToken(dec *jsontext.Decoder, kind jsontext.Kind) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != kind {
		return fmt.Errorf("expected %s, found %s", kind, token.Kind())
	}
	return nil
}

func readText(dec *jsontext.Decoder) (string, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	if token.Kind() != '"' {
		return "", fmt.Errorf("expected text, found %s", token.Kind())
	}
	return token.String(), nil
}
