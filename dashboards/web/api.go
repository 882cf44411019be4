package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// slos answers the report as JSON, or the part of it that the parameters
// choose. Problems are always complete.
func (s *server) slos(w http.ResponseWriter, r *http.Request) {
	params, err := s.parseParams(r)
	if err != nil {
		jsonError(w, http.StatusBadRequest, err)
		return
	}
	report := s.Report()
	s.reply(w, r, jsonType, question{key: keyOf(r), report: report, write: func(out io.Writer) (int, error) {
		slos, err := params.choose(report)
		if err != nil {
			return http.StatusBadRequest, encodeError(out, err)
		}
		return http.StatusOK, writeReport(out, report, slos)
	}})
}

// writeReport writes a report with some of its SLOs, one after the other. What can't be encoded,
// such as a time in the year 10000, is left out, and problems name it.
func writeReport(w io.Writer, report *evaluator.Report, slos []*evaluator.Status) error {
	const none = `"slos":[]` // no text in JSON contains it
	part := *report
	part.SLOs, part.Problems = []evaluator.Status{}, []evaluator.Problem{}
	text, err := encode(part)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	head, _, _ := bytes.Cut(text, []byte(none))
	if _, err = fmt.Fprintf(w, `%s"slos":[`, head); err != nil {
		return err
	}
	for _, p := range report.Problems {
		if _, err := encode(p); err != nil {
			p.Since = time.Time{} // which is all that can fail
		}
		part.Problems = append(part.Problems, p)
	}
	comma := ""
	for _, s := range slos {
		text, err := encode(s)
		if err != nil {
			part.Problems = append(part.Problems, evaluator.Problem{Source: s.Source, Severity: "error", Message: fmt.Sprintf("%s can't be shown: %s", s.ID, err)})
			continue
		}
		if _, err = fmt.Fprintf(w, "%s%s", comma, bytes.TrimSuffix(text, []byte("\n"))); err != nil {
			return err
		}
		comma = ","
	}
	if text, err = encode(part); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, tail, _ := bytes.Cut(text, []byte(none))
	_, err = fmt.Fprintf(w, "]%s", tail)
	return err
}

const jsonType = "application/json"

func encode(v any) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // as `status -o json` prints it
	err := enc.Encode(v)
	return body.Bytes(), err
}

type apiParams struct {
	filter filter
	after  string // an SLO's id; what follows it is given
	limit  int    // 0 for all
	worst  bool   // the worst are first, not the least ids
}

// choose returns the SLOs of a report that the parameters choose. With sort=worst, those after
// an SLO are less bad, though an earlier page may be of another evaluation.
func (p *apiParams) choose(r *evaluator.Report) ([]*evaluator.Status, error) {
	out, filter := []*evaluator.Status{}, p.filter.forReport(r)
	sorted := make([]*evaluator.Status, len(r.SLOs))
	var after *evaluator.Status
	for i := range r.SLOs {
		sorted[i] = &r.SLOs[i]
		if sorted[i].ID == p.after {
			after = sorted[i]
		}
	}
	compare := func(a, b *evaluator.Status) int { return cmp.Compare(a.ID, b.ID) }
	if p.worst {
		compare = p.filter.order.Compare
		slices.SortFunc(sorted, compare)
	}
	switch {
	case p.after == "" || after != nil:
	case p.worst:
		return nil, fmt.Errorf("after: there is no SLO %s; with sort=worst it must be one that there is", p.after)
	default:
		after = &evaluator.Status{ID: p.after}
	}
	for _, status := range sorted {
		if p.limit > 0 && len(out) == p.limit {
			break
		}
		if (after == nil || compare(status, after) > 0) && filter.matches(status) {
			out = append(out, status)
		}
	}
	return out, nil
}

// parseParams reads the parameters of /api/v1/slos. Unknown ones are errors, so
// that a misspelt filter does not give everything.
func (s *server) parseParams(r *http.Request) (apiParams, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return apiParams{}, fmt.Errorf("reading the parameters: %w", err)
	}
	known := []string{"service", "slo", "label", "state", "whole", "sort", "limit", "after"}
	for name := range values {
		if !slices.Contains(known, name) {
			return apiParams{}, fmt.Errorf("unknown parameter %q, known are %s", name, strings.Join(known, ", "))
		}
	}
	p := apiParams{after: values.Get("after")}
	if p.filter, err = parseFilter(values, s.order()); err != nil {
		return apiParams{}, err
	}
	switch sort := values.Get("sort"); sort {
	case "", "id":
	case "worst":
		p.worst = true
	default:
		return apiParams{}, fmt.Errorf("sort %q is not one of id, worst", sort)
	}
	if text := values.Get("limit"); text != "" {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 {
			return apiParams{}, fmt.Errorf("limit %q is not a number above 0", text)
		}
	}
	return p, nil
}

func (s *server) noSuchAPI(w http.ResponseWriter, r *http.Request) {
	jsonError(w, http.StatusNotFound, fmt.Errorf("there is no %s, only /api/v1/slos", r.URL.Path))
}

func jsonError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = encodeError(w, err) // fails when the client is gone
}

func encodeError(w io.Writer, err error) error {
	return json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
