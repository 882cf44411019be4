package notify

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/slo"
)

//go:embed alertmanager.yml
var alertmanagerConfig string

// AlertmanagerConfig returns an Alertmanager's configuration for the alerts of slowburn: the
// inhibition rules that make one notification of one problem, and an example of a route and
// its receivers. Its matchers have the words of the SLOs for severities, or page and ticket
// without SLOs. It fails if one word means both.
func AlertmanagerConfig(slos []*slo.SLO) (string, error) {
	words := map[string]map[string]string{slo.Page: {}, slo.Ticket: {}} // by severity, of each word an SLO
	if len(slos) == 0 {
		words = map[string]map[string]string{slo.Page: {slo.Page: ""}, slo.Ticket: {slo.Ticket: ""}}
	}
	for _, s := range slices.Backward(slos) { // the first is named
		for severity, ids := range words {
			ids[s.Alerting.Severity(severity).Label] = s.ID()
		}
	}
	for word, page := range words[slo.Page] {
		if ticket, both := words[slo.Ticket][word]; both {
			return "", fmt.Errorf("severity %q is that of pages for %s and of tickets for %s: no route can tell them apart", word, page, ticket)
		}
	}
	page := severityMatcher(slices.Sorted(maps.Keys(words[slo.Page])))
	ticket := severityMatcher(slices.Sorted(maps.Keys(words[slo.Ticket])))
	return strings.NewReplacer( // but not in rules for slowburn's own alerts
		`slo_id!="", severity="page"`, `slo_id!="", `+page,
		`slo_id!="", severity="ticket"`, `slo_id!="", `+ticket,
		`'slo_id!~".+}"', severity="page"`, `'slo_id!~".+}"', `+page,
		`'slo_id=~".+}"', severity="ticket"`, `'slo_id=~".+}"', `+ticket,
	).Replace(alertmanagerConfig), nil
}

// severityMatcher returns a matcher of any of some words, as an element of a YAML list.
func severityMatcher(words []string) string {
	if len(words) == 1 && words[0] == regexp.QuoteMeta(words[0]) && !strings.ContainsAny(words[0], `"'`) {
		return `severity="` + words[0] + `"`
	}
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	matcher := `severity=~"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Join(words, "|")) + `"`
	if strings.ContainsAny(matcher, `',\`) {
		matcher = "'" + strings.ReplaceAll(matcher, "'", "''") + "'"
	}
	return matcher
}
