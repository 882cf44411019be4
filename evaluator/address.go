package evaluator

import "net/url"

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

// Whole is the id of the SLO that the SLO is a group of, and its own id when it
// is none.
func (s *Status) Whole() string { return s.Service + "/" + s.SLO }
