package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// classic are the tiers of the classic policy for an SLO, with the numbers that
// they have.
func classic(window slo.Window, o slo.Objective) []row {
	s := &slo.SLO{Window: slo.Rolling(window), Objective: o, Alerting: slo.Alerting{Policy: "classic"}}
	var out []row
	for _, t := range BuiltIn().Tiers(s) {
		out = append(out, row{t.Name, t.Severity, t.Factor, t.Long, t.Short})
	}
	return out
}

type row struct {
	name, severity string
	factor         float64
	long, short    slo.Window
}

func TestClassicWindows(t *testing.T) {
	tests := []struct {
		window slo.Window
		want   []row
	}{
		{hour, []row{
			// 5 s and 30 s both become 5 m: one page, at the lower factor.
			{"slow", slo.Page, 6, 5 * minute, 5 * minute},
			{"daily", slo.Ticket, 3, 5 * minute, 5 * minute},
			{"trend", slo.Ticket, 1, 10 * minute, 5 * minute},
		}},
		{day, []row{ // 2 m, 12 m, 48 m, 144 m
			{"fast", slo.Page, 14.4, 5 * minute, 5 * minute},
			{"slow", slo.Page, 6, 15 * minute, 5 * minute},
			{"daily", slo.Ticket, 3, hour, 5 * minute},
			{"trend", slo.Ticket, 1, 6 * hour, 30 * minute},
		}},
		{22 * hour, []row{ // 1.8 m, 11 m, 44 m; 132 m becomes 6 h, over 5.5 h
			{"fast", slo.Page, 14.4, 5 * minute, 5 * minute},
			{"slow", slo.Page, 6, 15 * minute, 5 * minute},
			{"daily", slo.Ticket, 3, hour, 5 * minute},
		}},
		{7 * day, []row{ // 14 m, 84 m, 5.6 h, 16.8 h
			{"fast", slo.Page, 14.4, 15 * minute, 5 * minute},
			{"slow", slo.Page, 6, 2 * hour, 10 * minute},
			{"daily", slo.Ticket, 3, 6 * hour, 30 * minute},
			{"trend", slo.Ticket, 1, day, 2 * hour},
		}},
		{28 * day, []row{ // 56 m, 5.6 h, 22.4 h, 67.2 h
			{"fast", slo.Page, 14.4, hour, 5 * minute},
			{"slow", slo.Page, 6, 6 * hour, 30 * minute},
			{"daily", slo.Ticket, 3, day, 2 * hour},
			{"trend", slo.Ticket, 1, 3 * day, 6 * hour},
		}},
		{30 * day, []row{
			{"fast", slo.Page, 14.4, hour, 5 * minute},
			{"slow", slo.Page, 6, 6 * hour, 30 * minute},
			{"daily", slo.Ticket, 3, day, 2 * hour},
			{"trend", slo.Ticket, 1, 3 * day, 6 * hour},
		}},
		{90 * day, []row{ // 3 h, 18 h, 3 d, 9 d
			{"fast", slo.Page, 14.4, 6 * hour, 30 * minute},
			{"slow", slo.Page, 6, day, 2 * hour},
			{"daily", slo.Ticket, 3, 3 * day, 6 * hour},
			{"trend", slo.Ticket, 1, 7 * day, day},
		}},
		{365 * day, []row{ // 12.2 h, 73 h, 12.2 d, 36.5 d
			{"fast", slo.Page, 14.4, day, 2 * hour},
			{"slow", slo.Page, 6, 7 * day, day},
			{"trend", slo.Ticket, 1, 7 * day, day},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.window.String(), func(t *testing.T) {
			require.Equal(t, tt.want, classic(tt.window, drill.Objective(t, "99.9")))
		})
	}
}

func TestClassicFactors(t *testing.T) {
	tests := []struct {
		objective string
		want      []float64 // fast, slow, daily, trend
	}{
		{"99.9", []float64{14.4, 6, 3, 1}},
		{"93", []float64{0.95 / 0.07, 6, 3, 1}}, // 14.4 * 0.07 = 1.008
		{"90", []float64{9.5, 6, 3, 1}},         // 14.4 * 0.1 = 1.44, 6 * 0.1 = 0.6
		{"80", []float64{4.75, 4.75, 3, 1}},     // 6 * 0.2 = 1.2
		{"50", []float64{1.9, 1.9, 1.9, 1}},     // 3 * 0.5 = 1.5
	}
	for _, tt := range tests {
		t.Run(tt.objective, func(t *testing.T) {
			var got []float64
			for _, tier := range classic(30*day, drill.Objective(t, tt.objective)) {
				got = append(got, tier.factor)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// At 50 % both pages of an hour's SLO are the same outage rule, told once.
func TestClassicMergesOutageRules(t *testing.T) {
	require.Equal(t, []row{
		{"fast", slo.Page, 1.9, 5 * minute, 5 * minute},
		{"daily", slo.Ticket, 1.9, 5 * minute, 5 * minute},
		{"trend", slo.Ticket, 1, 10 * minute, 5 * minute},
	}, classic(hour, drill.Objective(t, "50")))
}

// TestTiersOfSlices have no window that is shorter than a slice.
func TestTiersOfSlices(t *testing.T) {
	for length, want := range map[slo.Window][][2]slo.Window{
		minute:      {{hour, 5 * minute}, {6 * hour, 30 * minute}, {day, 2 * hour}, {3 * day, 6 * hour}},
		20 * minute: {{hour, 30 * minute}, {6 * hour, 30 * minute}, {day, 2 * hour}, {3 * day, 6 * hour}},
		hour:        {{hour, hour}, {6 * hour, hour}, {day, 2 * hour}, {3 * day, 6 * hour}},
	} {
		s := &slo.SLO{Window: slo.Rolling(30 * day), Objective: drill.Objective(t, "99.9"), Slice: &slo.Slice{Length: length}, Alerting: slo.Alerting{Policy: "classic"}}
		var got [][2]slo.Window
		for _, tier := range BuiltIn().Tiers(s) {
			got = append(got, [2]slo.Window{tier.Long, tier.Short})
		}
		require.Equal(t, want, got, length)
	}
}

func TestWindows(t *testing.T) {
	windows := func(w slo.Window) []slo.Window {
		return BuiltIn().Windows(&slo.SLO{Window: slo.Rolling(w), Objective: drill.Objective(t, "99.9"), Alerting: slo.Alerting{Policy: "classic"}})
	}
	require.Equal(t, []slo.Window{5 * minute, 30 * minute, hour, 2 * hour, 6 * hour, day, 3 * day, 30 * day}, windows(30*day))
	require.Equal(t, []slo.Window{5 * minute, 10 * minute, hour}, windows(hour))
	require.Equal(t, []slo.Window{2 * hour, day, 7 * day, 365 * day}, windows(365*day))
	require.Equal(t, []slo.Window{hour}, Windows(nil, hour))
	require.Equal(t, []slo.Window{5 * minute, hour}, Windows([]Tier{{Long: hour, Short: 5 * minute}}, hour))
}

// TestDefaultWindows: long windows as of the classic policy; short ones are a
// twelfth of theirs, of slow a 24th and of trickle a third.
func TestDefaultWindows(t *testing.T) {
	month, err := slo.NewCalendar(slo.Month, "Europe/Berlin")
	require.NoError(t, err)
	type windows [2]slo.Window
	for _, tt := range []struct {
		window slo.Period
		want   map[string]windows
	}{
		{slo.Rolling(day), map[string]windows{"fast": {5 * minute, 5 * minute}, "slow": {15 * minute, 5 * minute},
			"outage": {5 * minute, 5 * minute}, "daily": {hour, 5 * minute}, "trickle": {6 * hour, 2 * hour}}},
		{slo.Rolling(7 * day), map[string]windows{"fast": {15 * minute, 5 * minute}, "slow": {2 * hour, 5 * minute},
			"outage": {5 * minute, 5 * minute}, "daily": {6 * hour, 30 * minute}, "trickle": {day, 12 * hour}}}, // 8 h
		{month, map[string]windows{"fast": {hour, 5 * minute}, "slow": {6 * hour, 15 * minute},
			"outage": {5 * minute, 5 * minute}, "daily": {day, 2 * hour}, "trickle": {3 * day, day}}},
		{slo.Rolling(365 * day), map[string]windows{"fast": {day, 2 * hour}, "slow": {7 * day, 12 * hour}, // 7 h
			"outage": {5 * minute, 5 * minute}, "daily": {7 * day, day}, "trickle": {7 * day, 3 * day}}}, // 14 h, 56 h
	} {
		got := map[string]windows{}
		for _, tier := range BuiltIn().Tiers(&slo.SLO{Window: tt.window, Objective: drill.Objective(t, "99.9")}) {
			got[tier.Name] = windows{tier.Long, tier.Short}
		}
		require.Equal(t, tt.want, got, tt.window)
	}
}

// TestATrickleOfAYear is a ticket: at 1.5 times what is allowed seven days, the longest
// window there is, take 2.9 % of the budget of 365, and with a tenth of the year they
// would take 15 %.
func TestATrickleOfAYear(t *testing.T) {
	s := drill.SLO(t)
	s.Window, s.Alerting.Policy = slo.Rolling(365*day), slo.DefaultPolicy
	const days = 24 * 60
	slots := drill.Slots(30*days, timeline.Slot{Total: 10_000, Known: true}, 8*days, timeline.Slot{Total: 10_000, Bad: 15, Known: true})
	got := firesAt(s, slots, 0)
	require.Len(t, got, 1)
	require.Equal(t, []string{"trickle", "7d", "3d"}, append([]string{got[0].Tier}, got[0].Windows...))
}

// Tiers of the same windows are one only where nothing fires by the other alone.
func TestTiersThatAskForLessStay(t *testing.T) {
	hard := Tier{Name: "hard", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute}
	soft := Tier{Name: "soft", Severity: slo.Page, Factor: 6, Long: hour, Short: 5 * minute}
	s := &slo.SLO{Window: slo.Rolling(30 * day), Objective: drill.Objective(t, "99.9"), Alerting: slo.Alerting{Policy: "mine"}}
	of := func(tiers ...Tier) []string {
		var names []string
		for _, tier := range (Policies{"mine": {"mine", tiers}}).Tiers(s) {
			names = append(names, tier.Name)
		}
		return names
	}
	require.Equal(t, []string{"soft"}, of(hard, soft))
	require.Equal(t, []string{"soft"}, of(soft, hard))
	for _, ask := range []func(*Tier){
		func(t *Tier) { t.For = 30 * time.Minute }, func(t *Tier) { t.MinBad = 100 }, func(t *Tier) { t.MinBudget = 0.05 },
		func(t *Tier) { t.Significance = 1e-5 },
	} {
		more := soft
		ask(&more)
		require.Equal(t, []string{"hard", "soft"}, of(hard, more))
		ask(&hard)
		require.Equal(t, []string{"soft"}, of(hard, more))
		hard = Tier{Name: "hard", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute}
	}
	hard.KeepFiringFor = 10 * time.Minute
	require.Equal(t, []string{"hard", "soft"}, of(hard, soft))
}

// TestWindowsOfALatencyCompileNothing: each cycle asks for them, of each SLO.
func TestWindowsOfALatencyCompileNothing(t *testing.T) {
	allocated := func(i slo.Indicator) float64 {
		s := &slo.SLO{Window: slo.Rolling(spec.DefaultWindow), Objective: drill.Objective(t, "99.9"), Indicator: i}
		return testing.AllocsPerRun(10, func() { BuiltIn().Windows(s) })
	}
	require.Equal(t, allocated(slo.Probe{}), allocated(slo.Latency{Threshold: 0.3}))
}
