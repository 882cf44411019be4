package slo

import (
	"cmp"
	"maps"
	"time"
)

// The severities of alerts. A page wakes somebody, a ticket waits for the working day.
const (
	Page   = "page"
	Ticket = "ticket"
)

// What alerts are called unless an SLO says otherwise.
const (
	DefaultPolicy    = "default"
	JobsPolicy       = "jobs" // of runs
	DefaultAlertName = "ErrorBudgetBurn"
)

// The names of alerts about data and budget, which are about no burn rates.
const (
	NoDataAlert    = "SLONoData"            // nothing is known of an SLO
	BlindAlert     = "SLOBlind"             // slowburn can't read a backend
	RejectedAlert  = "SLOFilesRejected"     // the newest SLO files have errors
	ExhaustedAlert = "ErrorBudgetExhausted" // the budget is spent
	ForecastAlert  = "ErrorBudgetForecast"  // it will be soon
	PolicyAlert    = "ErrorBudgetPolicy"    // what was agreed on for that applies
)

// MetaAlerts are the names of alerts about data and budget.
var MetaAlerts = []string{NoDataAlert, BlindAlert, RejectedAlert, ExhaustedAlert, ForecastAlert, PolicyAlert}

// Alerting is how an SLO wakes people. Its zero value is the default.
type Alerting struct {
	Policy       string            // the name of an alert policy; "" for JobsPolicy where runs are counted, else DefaultPolicy
	Name         string            // the alertname; "" for DefaultAlertName
	Labels       map[string]string // on its alerts, over those of the file
	Annotations  map[string]string // templates by the names of annotations, over what is said without
	Page, Ticket AlertSeverity
	NoData       NoData
}

// NoData is the alert for missing data.
type NoData struct {
	Severity string        // Page; "" for a ticket
	For      time.Duration // 0 for DefaultNoDataFor
}

// DefaultNoDataFor is for how long nothing is known before that is an alert.
const DefaultNoDataFor = 15 * time.Minute

// SeverityName is the severity: Page or Ticket.
func (n NoData) SeverityName() string { return cmp.Or(n.Severity, Ticket) }

// After is for how long nothing is known before that is an alert.
func (n NoData) After() time.Duration { return cmp.Or(n.For, DefaultNoDataFor) }

// AlertSeverity is what alerts of a severity are like.
type AlertSeverity struct {
	Label    string            // the value of the label severity; "" for the severity itself
	Disabled bool              // they never fire
	Labels   map[string]string // on them, over those of Alerting
}

// Severity is what alerts of a severity are like: Page or Ticket.
func (a Alerting) Severity(name string) AlertSeverity {
	out := a.Ticket
	if name == Page {
		out = a.Page
	}
	out.Label = cmp.Or(out.Label, name)
	return out
}

// AlertName is the alertname.
func (a Alerting) AlertName() string { return cmp.Or(a.Name, DefaultAlertName) }

// LabelsOver are labels and over them those of alerts of a severity, without what
// says which SLO it is.
func (a Alerting) LabelsOver(labels map[string]string, severity string) map[string]string {
	own := a.Severity(severity)
	out := map[string]string{}
	for _, l := range []map[string]string{labels, a.Labels, own.Labels} {
		maps.Copy(out, l)
	}
	out["severity"] = own.Label
	return out
}
