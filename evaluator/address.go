package evaluator

import (
	"net/url"
	"time"
)

// Path is where the SLO's page is below the address of the service:
// "/slo/checkout/availability", or "/slo/checkout/availability?tenant=acme" of a
// group, whose labels may have any values.
func (s *Status) Path() string {
	path := "/slo/" + url.PathEscape(s.Service) + "/" + url.PathEscape(s.SLO)
	if len(s.Group) == 0 {
		return path
	}
	group := url.Values{}
	for name, value := range s.Group {
		group.Set(name, value)
	}
	return path + "?" + group.Encode()
}

// PathBetween is where the SLO's page is and shows a time too: with the parameters
// from and to.
func (s *Status) PathBetween(from, to time.Time) string {
	path, sign := s.Path(), "?"
	if !s.Timed() {
		return path
	}
	if len(s.Group) > 0 {
		sign = "&"
	}
	return path + sign + "from=" + from.UTC().Format(time.RFC3339) + "&to=" + to.UTC().Format(time.RFC3339)
}

// Timed reports whether the SLO's page takes a time. That of a group with a label
// from or to does not: there these are the label.
func (s *Status) Timed() bool {
	_, from := s.Group["from"]
	_, to := s.Group["to"]
	return !from && !to
}

// Whole is the id of the SLO that the SLO is a group of, and its own id when it
// is none.
func (s *Status) Whole() string { return s.Service + "/" + s.SLO }
