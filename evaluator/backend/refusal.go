package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// MismatchError says that the data of a backend is not what an SLO says it is.
type MismatchError struct{ Message, Hint string }

func (e MismatchError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// ErrReplicaLabel says that an SLO selects by what is no difference.
var ErrReplicaLabel = errors.New("backend's replica_labels, of which any is as good as the other")

// ErrNoSamples says that a backend counts series whose samples it does not answer.
var ErrNoSamples = errors.New("answers no samples of them")

// queryError is a backend's refusal of a query.
type queryError struct {
	status     int    // of HTTP
	kind       string // errorType of the API, or ""
	message    string
	retryAfter time.Duration
}

func (e *queryError) Error() string {
	if e.kind == "" || e.kind == strconv.Itoa(e.status) {
		return fmt.Sprintf("the backend answers %d: %s", e.status, e.message)
	}
	return fmt.Sprintf("the backend answers %d %s: %s", e.status, e.kind, e.message)
}

// Refused reports whether the backend is well but will not answer this query,
// now or ever. Other statuses, such as 401 or 404, speak of the whole backend.
func Refused(err error) bool {
	if _, ok := errors.AsType[MismatchError](err); ok || errors.Is(err, ErrReplicaLabel) || errors.Is(err, ErrNoSamples) {
		return true
	}
	if _, ok := errors.AsType[MalformedError](err); ok {
		return true
	}
	if _, ok := errors.AsType[FaultError](err); ok {
		return true
	}
	q, ok := errors.AsType[*queryError](err)
	return ok && q.ofQuery()
}

// ofQuery reports whether the status speaks of the query.
func (e *queryError) ofQuery() bool {
	switch e.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return true
	}
	return e.status == http.StatusUnprocessableEntity && !e.outage()
}

// outage reports whether a part of the backend can't be reached: backends of many
// parts say so with the status of a query that can't be executed. Aborted is also
// the code of a limit that was hit.
func (e *queryError) outage() bool {
	return e.says(outageWords) || e.says([]string{"code = aborted"}) && !e.says([]string{"limit"})
}

// RetryAfter is how long the backend asks to be left alone.
func RetryAfter(err error) time.Duration {
	if q, ok := errors.AsType[*queryError](err); ok {
		return q.retryAfter
	}
	if _, ok := errors.AsType[FaultError](err); ok {
		return MaxRetryAfter
	}
	return 0
}

// TooMuch reports whether a shorter range may be answered: the backend limits
// samples, ranges or bytes, or takes too long for a range that is not short.
func TooMuch(err error, length timeline.Minute) bool {
	q, ok := errors.AsType[*queryError](err)
	switch {
	case length < 2:
		return false
	case TookLong(err):
		return length > slowLength
	case !ok:
		return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrMemory)
	case q.status == http.StatusRequestEntityTooLarge:
		return true
	}
	return q.ofQuery() && q.says(tooMuchWords)
}

// TookLong reports whether a query got no answer in time.
func TookLong(err error) bool {
	q, ok := errors.AsType[*queryError](err)
	switch {
	case !ok:
		return errors.Is(err, context.DeadlineExceeded)
	case q.status == http.StatusGatewayTimeout, q.status == http.StatusServiceUnavailable && q.kind == "timeout":
		return true
	}
	return q.ofQuery() && q.says(tooSlowWords) // VictoriaMetrics has no status of its own for it
}

// slowLength is a range so short, in minutes, that a backend which takes too
// long for it is slow in itself.
const slowLength = 30

// The words in which Prometheus, VictoriaMetrics, Thanos and Mimir refuse a
// query for its size.
var (
	outageWords  = []string{"code = unavailable", "connection refused", "connection reset", "no such host", "no route to host", "no storeapis"}
	tooSlowWords = []string{"timeout exceeded", "timed out", "deadline exceeded"}
	tooMuchWords = []string{"too many", "more than", "larger than", "exceed", "limit", "too long", "too large"}
)

func (e *queryError) says(words []string) bool {
	text := strings.ToLower(e.message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// answerError reads the error of an answer that is not 200.
func answerError(resp *http.Response, body io.Reader) error {
	text, _ := io.ReadAll(io.LimitReader(body, 64<<10)) // half an error is better than none
	e := &queryError{status: resp.StatusCode}
	if !e.read(text) {
		e.message = cmp.Or(plainText(resp, text), http.StatusText(resp.StatusCode))
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retryAfter = time.Duration(s) * time.Second
	}
	return e
}

// maxText bounds a text of a backend, in bytes.
const maxText = 500

// plainText is the first line of an error that is plain text; "" of others, and of one
// that repeats what the request was sent with, which may be a secret.
func plainText(resp *http.Response, body []byte) string {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/plain" {
		return ""
	}
	if repeats(string(body), resp.Request) {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return Shown(line)
}

// Shown is a text of a backend as it is shown and kept: without control characters and in
// at most maxText bytes, of what is longer the beginning and the end, which says why.
func Shown(text string) string {
	if len(text) > maxText {
		const end = maxText / 3
		text = text[:maxText-end-len(" … ")] + " … " + text[len(text)-end:]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

// repeats reports whether a text holds a word of a header with which a request was
// sent: a credential, or one of the headers that the configuration adds. What every
// request has is no secret.
func repeats(text string, r *http.Request) bool {
	if r == nil {
		return true
	}
	const shortest = 4 // of what is a secret, in bytes
	for name, values := range r.Header {
		if slices.Contains([]string{"User-Agent", "Content-Type", "Accept-Encoding", "Cache-Control"}, name) {
			continue
		}
		for word := range strings.FieldsSeq(strings.Join(values, " ")) {
			if len(word) >= shortest && strings.Contains(text, word) {
				return true
			}
		}
	}
	return false
}

// read takes the kind and the message from an answer, if it has them.
func (e *queryError) read(text []byte) bool {
	var answer struct {
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
		return false
	}
	e.kind, e.message = Shown(answer.ErrorType), Shown(answer.Error)
	return true
}

// MaxRetryAfter bounds how long a backend may ask to be left alone.
const MaxRetryAfter = 10 * time.Minute
