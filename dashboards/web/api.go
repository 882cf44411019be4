package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
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
	all := s.Report()
	part := *all
	if part.SLOs, err = params.choose(all); err != nil {
		jsonError(w, http.StatusBadRequest, err)
		return
	}
	if part.Problems == nil {
		part.Problems = []evaluator.Problem{}
	}
	body, err := encode(&part)
	if err != nil { // of some of it
		encodable(&part)
		body, err = encode(&part)
	}
	if err != nil {
		jsonError(w, http.StatusInternalServerError, fmt.Errorf("writing the report: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	respond(w, r, http.StatusOK, body)
}

func encode(v any) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // as `status -o json` prints it
	err := enc.Encode(v)
	return body.Bytes(), err
}

// encodable leaves what can't be encoded out of a part of a report, such as an SLO with a
// time in the year 10000. Problems name it.
func encodable(part *evaluator.Report) {
	slos, problems := []evaluator.Status{}, []evaluator.Problem{}
	for _, p := range part.Problems {
		if _, err := encode(p); err != nil {
			p.Since = time.Time{} // which is all that can fail
		}
		problems = append(problems, p)
	}
	for i := range part.SLOs {
		if _, err := encode(&part.SLOs[i]); err != nil {
			problems = append(problems, evaluator.Problem{
				Source: part.SLOs[i].Source, Severity: "error", Message: fmt.Sprintf("%s can't be shown: %s", part.SLOs[i].ID, err),
			})
			continue
		}
		slos = append(slos, part.SLOs[i])
	}
	part.SLOs, part.Problems = slos, problems
}

type apiParams struct {
	filter filter
	after  string // an SLO's id; what follows it is given
	limit  int    // 0 for all
	worst  bool   // the worst are first, not the least ids
}

// choose gives the SLOs of a report that are asked for. Behind the worst of one
// evaluation come those that are less bad in another.
func (p *apiParams) choose(r *evaluator.Report) ([]evaluator.Status, error) {
	out, filter := []evaluator.Status{}, p.filter.of(r)
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
		if (after == nil || compare(status, after) > 0) && filter.has(status) {
			out = append(out, *status)
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
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings always encode
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
