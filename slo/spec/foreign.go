package spec

import (
	"regexp"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// alertVariable is what only the alerts of Prometheus know in a template.
var alertVariable = regexp.MustCompile(`\$(labels|value|externalLabels)\b`)

// alertVariableHint says what templates have instead.
const alertVariableHint = "there are fields such as {{.Bad}}, {{.BadShare}}, {{.BurnRate}}, {{.Service}}, {{.SLO}}, {{.Labels.tier}} and, of a group, {{.Group.tenant}}"

// checkSLOLabels reports labels of an SLO, which are those of its alerts in other
// tools.
func checkSLOLabels(own yamlfile.Map) {
	if !own.Has("labels") {
		return
	}
	hint := "labels of alerts are below alerting: {labels: ...}; those of the file are above slos"
	for _, e := range own.Get("labels").Map().Entries {
		if e.Key.Text() == "severity" {
			hint = "the severity follows from the alert, page or ticket; write alerting: {severities: {page: " + e.Value.Text() + "}} to call it so"
		}
	}
	own.Key("labels").Errorf(hint, "an SLO has no labels of its own")
}
