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

// The usual names of policies and alerts.
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

// Alerting says how an SLO alerts people. Its zero value is the default.
type Alerting struct {
	Policy       string            // the name of an alert policy; "" for JobsPolicy where runs are counted, else DefaultPolicy
	Name         string            // the alertname; "" for DefaultAlertName
	Labels       map[string]string // of its alerts; they replace those of the file
	Annotations  map[string]string // templates by the names of annotations; they replace the usual texts
	Page, Ticket AlertSeverity
	NoData       NoData
}

// NoData is the alert for missing data.
type NoData struct {
	Severity string        // Page; "" for a ticket
	For      time.Duration // 0 for DefaultNoDataFor
}

// DefaultNoDataFor is the usual delay of the alert for missing data.
const DefaultNoDataFor = 15 * time.Minute

// SeverityName returns Page or Ticket.
func (n NoData) SeverityName() string { return cmp.Or(n.Severity, Ticket) }

// After returns the delay of the alert for missing data.
func (n NoData) After() time.Duration { return cmp.Or(n.For, DefaultNoDataFor) }

// AlertSeverity configures the alerts of one severity.
type AlertSeverity struct {
	Label    string            // the value of the label severity; "" for the severity itself
	Disabled bool              // they never fire
	Labels   map[string]string // they replace those of Alerting
}

// Severity returns the configuration of a severity, Page or Ticket.
func (a Alerting) Severity(name string) AlertSeverity {
	out := a.Ticket
	if name == Page {
		out = a.Page
	}
	out.Label = cmp.Or(out.Label, name)
	return out
}

// AlertName returns the alertname.
func (a Alerting) AlertName() string { return cmp.Or(a.Name, DefaultAlertName) }

// LabelsOver returns labels with those of alerts of a severity, which replace others. The
// labels that identify the SLO are not among them.
func (a Alerting) LabelsOver(labels map[string]string, severity string) map[string]string {
	own := a.Severity(severity)
	out := map[string]string{}
	for _, l := range []map[string]string{labels, a.Labels, own.Labels} {
		maps.Copy(out, l)
	}
	out["severity"] = own.Label
	return out
}
