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

// MismatchError reports that the data of a backend contradicts an SLO.
type MismatchError struct{ Message, Hint string }

func (e MismatchError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// ErrReplicaLabel reports that an SLO selects series by a label of replicas.
var ErrReplicaLabel error = MalformedError("backend's replica_labels, of which any is as good as the other")

// ErrNoSamples reports that a backend lists series but returns no samples of them.
var ErrNoSamples error = MalformedError("answers no samples of them")

// queryError is the answer of a backend that refuses a query.
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

// Refused reports whether the backend works but refuses this query for good. Other
// statuses, such as 401 or 404, concern the whole backend.
func Refused(err error) bool {
	var e interface{ concernsQuery() bool }
	return errors.As(err, &e) && e.concernsQuery()
}

func (MismatchError) concernsQuery() bool  { return true }
func (MalformedError) concernsQuery() bool { return true }
func (FaultError) concernsQuery() bool     { return true }

// concernsQuery reports whether the status concerns only the query.
func (e *queryError) concernsQuery() bool {
	switch e.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return true
	}
	return e.status == http.StatusUnprocessableEntity && !e.outage()
}

// outage reports whether a part of the backend can't be reached. Backends of many parts
// answer with the status of a query that can't be executed. "Aborted" is also the code of
// a limit that was hit.
func (e *queryError) outage() bool {
	return e.contains(outageWords) || e.contains([]string{"code = aborted"}) && !e.contains([]string{"limit"})
}

// RetryAfter returns how long the backend wants no requests.
func RetryAfter(err error) time.Duration {
	if q, ok := errors.AsType[*queryError](err); ok {
		return q.retryAfter
	}
	if _, ok := errors.AsType[FaultError](err); ok {
		return MaxRetryAfter
	}
	return 0
}

// TooMuch reports whether the backend may answer a shorter range: it limits samples,
// ranges or bytes, or takes too long for a range that is not short.
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
	return q.concernsQuery() && q.contains(tooMuchWords)
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
	return q.concernsQuery() && q.contains(tooSlowWords) // VictoriaMetrics has no status of its own for it
}

// slowLength is a range in minutes. A backend that takes too long for a shorter one is
// slow for any range.
const slowLength = 30

// Prometheus, VictoriaMetrics, Thanos and Mimir use these words when they refuse a query
// for its size.
var (
	outageWords  = []string{"code = unavailable", "connection refused", "connection reset", "no such host", "no route to host", "no storeapis"}
	tooSlowWords = []string{"timeout exceeded", "timed out", "deadline exceeded"}
	tooMuchWords = []string{"too many", "more than", "larger than", "exceed", "limit", "too long", "too large"}
)

func (e *queryError) contains(words []string) bool {
	text := strings.ToLower(e.message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// answerError reads the error of an answer whose status is not 200.
func answerError(resp *http.Response, body io.Reader) error {
	text, _ := io.ReadAll(io.LimitReader(body, 64<<10)) // a part of an error is better than none
	e := &queryError{status: resp.StatusCode}
	if !e.read(text) {
		e.message = cmp.Or(plainText(resp, text), http.StatusText(resp.StatusCode))
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retryAfter = time.Duration(s) * time.Second
	}
	return e
}

// maxText limits a text of a backend, in bytes.
const maxText = 500

// plainText returns the first line of an error that is plain text. It returns "" for
// other types, and for a text that repeats a header of the request, which may be a
// secret.
func plainText(resp *http.Response, body []byte) string {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/plain" {
		return ""
	}
	if repeats(string(body), resp.Request) {
		return ""
	}
	return firstLine(string(body))
}

// Shown returns a text of a backend without control characters and in at most maxText
// bytes. It shortens a longer text in the middle, because the end often contains the
// reason.
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

// repeats reports whether a text contains a word of a header of the request: a
// credential, or a header of the configuration. Headers that every request has are no
// secret.
func repeats(text string, r *http.Request) bool {
	if r == nil {
		return true
	}
	const shortest = 4 // length of a secret, in bytes
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

// read takes the kind and the message from an answer. It reports false if the answer has
// none.
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

// MaxRetryAfter limits the time for which a backend may refuse requests.
const MaxRetryAfter = 10 * time.Minute
