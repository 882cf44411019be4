// Package evaluator defines the Report about SLOs at an instant: the Status of each SLO
// with its windows, budget, doubts and firing alerts, and how these follow from a
// timeline. It only computes. Package loop makes reports.
package evaluator

import (
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// BackendInfo describes a backend.
type BackendInfo struct {
	Name    string
	Kind    string // prometheus, victoriametrics, thanos, mimir
	Version string // "" if the backend does not report it
}

// Report contains the status of all SLOs. `status -o json` prints it, and GET
// /api/v1/slos returns it. Its JSON is a contract with scripts: fields are added, never
// changed. Undefined numbers are null, never 0 or NaN.
type Report struct {
	Format      int       `json:"format"` // 1
	EvaluatedAt time.Time `json:"evaluated_at"`
	SLOs        []Status  `json:"slos"` // sorted by ID
	Problems    []Problem `json:"problems"`

	Backends []BackendInfo `json:"-"` // those whose kind is known
	Retired  []string      `json:"-"` // ids of groups that were retired in the last hour
}

// Status describes one SLO at one instant.
type Status struct {
	ID          string            `json:"id"`
	Service     string            `json:"service"`
	SLO         string            `json:"slo"`
	Group       map[string]string `json:"group"`
	Owner       string            `json:"owner"`
	Labels      map[string]string `json:"labels"`
	Links       map[string]string `json:"links"`
	Description string            `json:"description"`
	Objective   float64           `json:"objective"` // ratio
	Window      string            `json:"window"`
	Budgeting   string            `json:"budgeting"`
	State       State             `json:"state"`
	StateReason string            `json:"state_reason"`
	StateSince  *time.Time        `json:"state_since"`
	Doubts      []Doubt           `json:"doubts"`     // reasons why the numbers may be wrong, in the order of doubtCodes
	DataUntil   *time.Time        `json:"data_until"` // time of the newest sample
	Method      string            `json:"method"`     // how the events are counted: MethodRaw or MethodAggregated
	Exact       bool              `json:"exact"`
	Windows     []WindowStatus    `json:"windows"` // the policy's; the SLO's own is the last
	Budget      Budget            `json:"budget"`
	Policy      []PolicyStep      `json:"budget_policy"` // the mildest first
	Gate        string            `json:"gate"`          // of the strictest active step: "", warn, block, or unknown
	Excluded    Excluded          `json:"excluded"`
	Groups      *GroupsStatus     `json:"groups"`       // of a whole SLO that is split by labels; null for others
	Periods     []PeriodStatus    `json:"periods"`      // that ended, newest first; null while they are not read
	MorePeriods bool              `json:"more_periods"` // there are more than MaxPeriods, and older ones are left out
	Alerts      []FiringAlert     `json:"alerts"`
	Backend     string            `json:"backend"`
	Source      string            `json:"source"`
	Revision    string            `json:"revision"`

	Spec    *slo.SLO  `json:"-"`
	Missing *Missing  `json:"-"` // nil while there is data; the last known one while the backend can't be read
	Cause   string    `json:"-"` // why an SLO has no data, in few words; "" if unknown
	At      time.Time `json:"-"` // the instant of the numbers; zero before the first
	History []Bucket  `json:"-"` // the SLO's own window so far in equal parts, oldest first
	Failing *Failing  `json:"-"` // the newest bad value of a threshold; nil for none, and for other indicators
	Burning []Bucket  `json:"-"` // since the start of the long window of the gravest alert; nil without one
}

// Failing is a bad value.
type Failing struct {
	Value float64
	At    time.Time // the end of the slot
}

// Missing describes an SLO without data.
type Missing struct {
	Since  time.Time // time of the newest sample or, without any, of the SLO's appearance
	Never  bool      // there was no sample
	Reason string
	At     time.Time // when that was last checked
}

// Unit returns the unit of the counts, for people: "events", "minutes".
func (s *Status) Unit() string {
	if s.Spec == nil {
		return "events"
	}
	return s.Spec.Unit()
}

// Own returns the SLO's own window, which is the last. It is zero before the first numbers.
func (s *Status) Own() WindowStatus {
	if len(s.Windows) == 0 {
		return WindowStatus{}
	}
	return s.Windows[len(s.Windows)-1]
}

// The methods of counting. docs/explanation/counting.md describes the limits of each.
const (
	// MethodRaw reads the raw samples of each counter.
	MethodRaw = "raw"
	// MethodAggregated reads sums of the counters of each target.
	MethodAggregated = "aggregated"
	// MethodEvaluated uses the values of an expression at the ends of slots.
	MethodEvaluated = "evaluated"
)

// State is the state of an SLO's data.
type State string

// The states of the data, in the order of their precedence.
const (
	StateQueryFailed State = "query_failed" // the last good numbers stay
	StateStale       State = "stale"        // the whole backend's newest sample is too old
	StateWarming     State = "warming"      // history is still being read
	StateNoData      State = "no_data"      // no series
	StateNoTraffic   State = "no_traffic"   // the slots are known, and have no events
	StateOK          State = "ok"
)

// States contains all states, in the order of their precedence.
var States = []State{StateQueryFailed, StateStale, StateWarming, StateNoData, StateNoTraffic, StateOK}

// WindowStatus is one window that ends at the instant of evaluation.
type WindowStatus struct {
	Name     string    `json:"name"` // "1h"
	Seconds  int64     `json:"seconds"`
	Start    time.Time `json:"start"` // the real start, on the grid of its age
	End      time.Time `json:"end"`
	Total    float64   `json:"total"`
	Bad      float64   `json:"bad"`
	Coverage float64   `json:"coverage"` // share of known slots, 0 to 1
	SLI      *float64  `json:"sli"`
	BurnRate *float64  `json:"burn_rate"`
}

// Budget is the error budget over the SLO's own window.
type Budget struct {
	Allowed            *float64 `json:"allowed"`              // bad events
	Consumed           *float64 `json:"consumed"`             // ratio of Allowed
	Remaining          *float64 `json:"remaining"`            // 1 untouched, 0 spent, negative overspent
	ExhaustedInSeconds *float64 `json:"exhausted_in_seconds"` // null if not within the window
	Basis              string   `json:"basis"`                // the window whose rates are projected: "6h"

	// These are for a calendar period only, and null for a rolling window. Allowed,
	// Consumed and Remaining of a calendar period are those of the projected whole.
	SoFar           *BudgetShare `json:"so_far"`           // by the events so far
	ProjectedTotal  *float64     `json:"projected_total"`  // events
	ProjectionBasis *string      `json:"projection_basis"` // such as "traffic of the last 30d"
	PeriodStart     *time.Time   `json:"period_start"`
	PeriodEnd       *time.Time   `json:"period_end"`
}

// BudgetShare is an error budget and its use.
type BudgetShare struct {
	Allowed   float64 `json:"allowed"`
	Consumed  float64 `json:"consumed"`
	Remaining float64 `json:"remaining"`
}

// PeriodStatus is a calendar period that ended, with the numbers at its end.
type PeriodStatus struct {
	Name      string    `json:"name"` // "2026-11", "2026-W47", "2026-Q4" or "2026"
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Total     float64   `json:"total"`
	Bad       float64   `json:"bad"`
	Coverage  float64   `json:"coverage"`
	SLI       *float64  `json:"sli"`
	Objective float64   `json:"objective"` // at the period's end
	Allowed   *float64  `json:"allowed"`   // null if no slot is known, as are the next two
	Consumed  *float64  `json:"consumed"`
	Remaining *float64  `json:"remaining"`
	Complete  bool      `json:"complete"` // each slot is known
}

// Excluded describes the excluded slots of the SLO's own window, and their events.
type Excluded struct {
	Total float64     `json:"total"`
	Bad   float64     `json:"bad"`
	Slots int         `json:"slots"`
	Now   bool        `json:"now"` // the newest slot is excluded
	By    []Exclusion `json:"by"`  // those that exclude some of the window, as in the SLO file

	Spans []slo.Span `json:"-"` // of the window, in order
}

// GroupsStatus describes the groups of an SLO, which are SLOs of their own.
type GroupsStatus struct {
	By      []string `json:"by"` // names of labels
	Count   int      `json:"count"`
	LeftOut int      `json:"left_out"` // beyond the limit
}

// Exclusion is an exclusion of an SLO file. If several exclude a slot, the first of them
// removes it, so that their numbers add up to those of Excluded.
type Exclusion struct {
	From   *time.Time `json:"from"` // null if it recurs
	To     *time.Time `json:"to"`
	Total  float64    `json:"total"` // removed events of the SLO's own window, of all its times together
	Bad    float64    `json:"bad"`
	Slots  int        `json:"slots"`
	Reason string     `json:"reason"`
	Ticket string     `json:"ticket"`
	Source string     `json:"source"`
	File   string     `json:"file"`
	Line   int        `json:"line"`
}

// PolicyStep is an agreed action if less than RemainingBelow of the budget remains.
type PolicyStep struct {
	RemainingBelow float64 `json:"remaining_below"` // ratio
	Action         string  `json:"action"`
	Gate           string  `json:"gate"`   // "", warn or block
	Active         bool    `json:"active"` // false if the budget is unknown
}

// GateUnknown is the gate of an SLO with a policy whose budget is unknown.
const GateUnknown = "unknown"

// FiringAlert is a firing alert of the SLO. A burn alert fires by a tier of the policy.
// Alerts about the data and the budget have no tier and no windows.
type FiringAlert struct {
	Name        string    `json:"name"`     // the alertname: "ErrorBudgetBurn"
	Severity    string    `json:"severity"` // "page" or "ticket"
	Tier        string    `json:"tier"`     // "fast"; "" without one
	Since       time.Time `json:"since"`    // end of the slot in which the episode began
	Older       bool      `json:"older"`    // it began at Since or before: earlier slots were not read
	Windows     []string  `json:"windows"`  // long, short
	Summary     string    `json:"summary"`  // as it is sent
	Description string    `json:"description"`

	Holds          bool              `json:"-"` // a tier holds in the newest slot; otherwise the alert only lingers
	Until          time.Time         `json:"-"` // when it ends, unless a tier holds again
	Held           time.Time         `json:"-"` // last instant at which the numbers confirmed it; for a burn rate the end of the last slot in which the tier held or was kept firing
	Row            int               `json:"-"` // bad runs in a row, for a tier that counts these
	RemainingBelow float64           `json:"-"` // ratio; of its step of the budget policy
	Among          string            `json:"-"` // which groups of a whole fire: "3 of 60 hosts: db-1, db-7, web-2"
	Annotations    map[string]string `json:"-"` // all that are sent

	Known    map[string]float64 `json:"-"` // known shares of its windows when it began, by their names; "" is the SLO's own
	Waits    string             `json:"-"` // why it is held without confirming numbers; "" if they confirm it
	Restored time.Time          `json:"-"` // when an Alertmanager had it from another process; zero if this process saw it fire
}

// Burns reports whether the alert is about the burn rate, by a tier of the policy.
func (a FiringAlert) Burns() bool { return len(a.Windows) > 0 }

// Judge returns the alerts of an SLO that fire at the end of a timeline whose slots up to
// settled are final. It is called once a cycle. The slots after the last call's settled
// are not folded yet, nor is any slot at the first call.
type Judge func(s *slo.SLO, t *timeline.Timeline, settled timeline.Minute) []FiringAlert

// Bucket is a part of a time, for pictures.
type Bucket struct {
	End        time.Time
	Total, Bad float64
	Coverage   float64
	Excluded   float64 // share of the slots, 0 to 1
}

// Problem is a finding in the SLO files of the running service.
type Problem struct {
	Source   string `json:"source"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Hint     string `json:"hint"`

	Since time.Time `json:"-"` // since when its source has errors, by commits or files; zero if unknown
}
