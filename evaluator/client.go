package evaluator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBody bounds what is read of one answer, in bytes.
const maxBody = 1 << 30

// queryError is a backend's refusal of a query.
type queryError struct {
	status     int    // of HTTP
	kind       string // errorType of the API, or ""
	message    string
	retryAfter time.Duration
}

func (e *queryError) Error() string {
	if e.kind == "" {
		return fmt.Sprintf("the backend answers %d: %s", e.status, e.message)
	}
	return fmt.Sprintf("the backend answers %d %s: %s", e.status, e.kind, e.message)
}

// refused reports whether the backend is well but will not answer this query,
// now or ever. Other statuses, such as 401 or 404, speak of the whole backend.
func refused(err error) bool {
	if errors.Is(err, errNoBucket) {
		return true
	}
	q, ok := errors.AsType[*queryError](err)
	return ok && (q.status == http.StatusBadRequest || q.status == http.StatusUnprocessableEntity)
}

// retryAfter is how long the backend asks to be left alone.
func retryAfter(err error) time.Duration {
	if q, ok := errors.AsType[*queryError](err); ok {
		return q.retryAfter
	}
	return 0
}

// tooMuch reports whether a shorter range may be answered: the backend limits
// samples, ranges or bytes, or takes too long for a range that is not short.
func tooMuch(err error, length Minute) bool {
	if length < 2 {
		return false
	}
	var q *queryError
	if !errors.As(err, &q) {
		return errors.Is(err, context.DeadlineExceeded) && length > 30
	}
	if q.status == http.StatusServiceUnavailable && q.kind == "timeout" {
		return length > 30
	}
	if q.status != http.StatusUnprocessableEntity && q.status != http.StatusBadRequest {
		return false
	}
	text := strings.ToLower(q.message)
	for _, word := range []string{"too many", "more than", "exceed", "limit", "too long", "too large"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// vector is one series of an answer.
type vector struct {
	labels  map[string]string
	samples []sample
}

// query sends an instant query at a time and reads the answer as a stream: a
// matrix for a range of raw samples, or a vector.
func (b *backend) query(ctx context.Context, promql string, at time.Time) ([]vector, error) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	form := url.Values{"query": {promql}, "time": {strconv.FormatInt(at.Unix(), 10)}, "timeout": {b.Timeout.String()}}
	endpoint := strings.TrimSuffix(b.URL, "/") + "/api/v1/query"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	out, err := b.send(req)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no answer within %s: %w", b.Timeout, ctx.Err())
	}
	b.metrics.requests.WithLabelValues(b.Name, outcome(err)).Inc()
	for _, v := range out {
		b.metrics.samples.WithLabelValues(b.Name).Add(float64(len(v.samples)))
	}
	if b.trace != nil {
		b.trace(newQuery(promql, at, out, err))
	}
	return out, err
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

func (b *backend) send(req *http.Request) ([]vector, error) {
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxBody)
	if resp.StatusCode != http.StatusOK {
		return nil, answerError(resp, body)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		return nil, fmt.Errorf("the answer is %q, not JSON: is this the URL of a Prometheus API?", kind)
	}
	out, err := decodeAnswer(body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return out, nil
}

// plain is a transport error without the URL, which may hold a password.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// answerError reads the error of an answer that is not 200.
func answerError(resp *http.Response, body io.Reader) error {
	text, _ := io.ReadAll(io.LimitReader(body, 64<<10)) // half an error is better than none
	e := &queryError{status: resp.StatusCode}
	var answer struct {
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		e.kind, e.message = answer.ErrorType, answer.Error
	} else {
		e.message = http.StatusText(resp.StatusCode)
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retryAfter = time.Duration(s) * time.Second
	}
	return e
}

// decodeAnswer reads {"status", "data": {"result": [...]}, "warnings"}. An
// answer that is cut off, or partial by its own words, is an error; isPartial
// is VictoriaMetrics' word for it.
func decodeAnswer(r io.Reader) ([]vector, error) {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out []vector
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
			out, err = decodeData(dec)
		default:
			err = dec.SkipValue()
		}
		return err
	})
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, err
	case status != "success":
		return nil, fmt.Errorf("its status is %q: %s", status, message)
	case len(warnings) > 0:
		return nil, fmt.Errorf("it may be partial: %s", strings.Join(warnings, "; "))
	}
	return out, nil
}

func decodeData(dec *jsontext.Decoder) ([]vector, error) {
	var out []vector
	err := object(dec, func(key string) error {
		if key != "result" || dec.PeekKind() != '[' {
			return dec.SkipValue()
		}
		return array(dec, func() error {
			v, err := decodeSeries(dec)
			out = append(out, v)
			return err
		})
	})
	return out, err
}

func decodeSeries(dec *jsontext.Decoder) (vector, error) {
	v := vector{labels: map[string]string{}}
	pair := func() error {
		s, ok, err := decodePair(dec)
		if ok {
			v.samples = append(v.samples, s)
		}
		return err
	}
	err := object(dec, func(key string) error {
		switch key {
		case "metric":
			return object(dec, func(name string) (err error) {
				v.labels[name], err = text(dec)
				return err
			})
		case "value":
			return pair()
		case "values":
			return array(dec, pair)
		}
		return dec.SkipValue()
	})
	return v, err
}

// maxCount is far more than anything counts, and so little that no sum of such
// counts is infinite.
const maxCount = 1e100

// decodePair reads [time in seconds, "value"]. Values that no counter can have,
// such as NaN or a negative one, are left out.
func decodePair(dec *jsontext.Decoder) (sample, bool, error) {
	raw, err := dec.ReadValue()
	if err != nil {
		return sample{}, false, err
	}
	at, value, ok := bytes.Cut(bytes.Trim(raw, "[] \n\t\r"), []byte{','})
	if !ok {
		return sample{}, false, fmt.Errorf("%q is not a sample", string(raw))
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(at)), 64)
	if err != nil {
		return sample{}, false, fmt.Errorf("%q is not a sample: %w", string(raw), err)
	}
	v, err := strconv.ParseFloat(string(bytes.Trim(value, "\" \n\t\r")), 64)
	if err != nil {
		return sample{}, false, fmt.Errorf("%q is not a sample: %w", string(raw), err)
	}
	return sample{t: int64(seconds*1000 + 0.5), v: v}, v >= 0 && v <= maxCount, nil
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
