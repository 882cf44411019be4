package evaluator

import (
	"net/url"
	"time"
)

// Path returns the address of the SLO's page, below that of the service:
// "/slo/checkout/availability". For a group it is
// "/slo/checkout/availability?tenant=acme", because its labels may have any values.
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

// PathBetween returns the address of the SLO's page for a time, by the parameters from
// and to.
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

// Timed reports whether the SLO's page has these parameters. If a group has a label from
// or to, they are the label instead.
func (s *Status) Timed() bool {
	_, from := s.Group["from"]
	_, to := s.Group["to"]
	return !from && !to
}

// WholeID returns the id of the whole SLO of a group, or the SLO's own id.
func (s *Status) WholeID() string { return s.Service + "/" + s.SLO }
