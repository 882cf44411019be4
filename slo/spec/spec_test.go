package spec

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// findings are findings as a terminal shows them.
func findings(set *Set) string {
	var b strings.Builder
	for _, f := range set.Findings {
		b.WriteString(f.Text())
	}
	return b.String()
}

// service is an SLO file with the fields of one SLO by the name of a.
func service(name, fields string) string {
	return "apiVersion: slowburn/v1\nservice: " + name + "\nslos:\n  - name: a\n    objective: 99\n    " + fields + "\n"
}

const counted2 = "sli: {events: {bad: a_total, total: b_total}}"

// TestDefaultsOfDirectories holds that the nearest value wins for each key, and
// that files of defaults are for their directory and below only.
func TestDefaultsOfDirectories(t *testing.T) {
	set := Load([]File{
		{Name: "slos/slowburn.defaults.yaml", Text: []byte(`apiVersion: slowburn/v1
owner: platform
labels: {tier: "3", region: eu}
links: {runbook: https://runbooks.example.org}
defaults: {window: 28d, backend: eu}
`)},
		{Name: "slos/team/slowburn.defaults.yaml", Text: []byte(`apiVersion: slowburn/v1
owner: team
labels: {tier: "2"}
defaults: {window: 7d}
`)},
		{Name: "slos/top.yaml", Text: []byte(service("top", counted2))},
		{Name: "slos/team/deep/x.yaml", Text: []byte(service("deep", counted2))},
		{Name: "slos/team/own.yaml", Text: []byte("owner: me\nlabels: {tier: '1', x: y}\ndefaults: {window: 1d}\n" + service("own", "backend: us\n    "+counted2))},
		{Name: "other/x.yaml", Text: []byte(service("other", counted2))},
		{Name: "slos/git.yaml", Source: "https://git.example.org", Revision: "4f2c", Text: []byte(service("git", counted2))},
	})
	require.Empty(t, set.Findings)
	got := map[string][]string{}
	for _, s := range set.SLOs {
		got[s.Service] = []string{s.Owner, s.Labels["tier"], s.Labels["region"], s.Labels["x"], s.Links["runbook"], s.Window.String(), s.Backend}
	}
	runbook := "https://runbooks.example.org"
	require.Equal(t, map[string][]string{
		"top":   {"platform", "3", "eu", "", runbook, "28d", "eu"},
		"deep":  {"team", "2", "eu", "", runbook, "7d", "eu"},
		"own":   {"me", "1", "eu", "y", runbook, "1d", "us"},
		"other": {"", "", "", "", "", "30d", ""},
		"git":   {"", "", "", "", "", "30d", ""},
	}, got)
}

// TestFindingsInDefaults holds that what is wrong in a default is reported
// there, once, and keeps all that it is for from being used.
func TestFindingsInDefaults(t *testing.T) {
	set := Load([]File{
		{Name: "slos/a.yaml", Text: []byte(service("a", counted2))},
		{Name: "slos/b.yaml", Text: []byte(service("b", "window: 7d\n    "+counted2))},
		{Name: "slos/c/d.yaml", Text: []byte(service("d", counted2))},
		{Name: "e.yaml", Text: []byte(service("e", counted2))},
		{Name: "slos/slowburn.defaults.yaml", Text: []byte("apiVersion: slowburn/v1\ndefaults:\n  window: 2 weeks\n")},
	})
	require.Equal(t, `slos/slowburn.defaults.yaml:3:11: "2 weeks" is not a duration such as 30d or 12h
    3 |   window: 2 weeks
      |           ^^^^^^^
  hint: a window is a duration from 1h to 1y, such as 30d, or a part of the calendar, as {calendar: month}
`, findings(set))
	require.Len(t, set.SLOs, 1, "no file below is complete")
	require.Equal(t, "e/a", set.SLOs[0].ID())

	set = Load([]File{{Name: "slowburn.defaults.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: x\ndefaults: {windw: 1d}\n---\napiVersion: slowburn/v1\n")}})
	require.Len(t, set.Findings, 3, "service, windw and the second document: %s", findings(set))
}

// TestExclusionsOfFilesOfTheirOwn holds which SLOs they match, from whichever
// source.
func TestExclusionsOfFilesOfTheirOwn(t *testing.T) {
	exclusion := func(match, reason string) string {
		return "---\napiVersion: slowburn/v1\nkind: Exclusion\n" + match + "\nexclude:\n  - {from: 2026-11-22, to: 2026-11-23, reason: " + reason + "}\n"
	}
	set := Load([]File{
		{Name: "x.yaml", Source: "git", Text: []byte(
			exclusion("", "all") +
				exclusion(`match: {slo_service: one, tier: "1"}`, "one") +
				exclusion(`match: {slo_id: two/a, slo: a}`, "two") +
				exclusion(`match: {tier: ""}`, "without") +
				exclusion(`match: {owner: team}`, "team"))},
		{Name: "broken.yaml", Source: "git", Text: []byte("nonsense: 1\n" + exclusion("", "broken"))},
		{Name: "one.yaml", Source: "dir", Text: []byte("labels: {tier: '1'}\nowner: team\n" + service("one", "exclude: [{from: 2026-01-01, to: 2026-01-02, reason: own}]\n    "+counted2))},
		{Name: "two.yaml", Source: "dir", Text: []byte(service("two", counted2))},
	})
	got := map[string][]string{}
	for _, s := range set.SLOs {
		for _, x := range s.Exclusions {
			got[s.Service] = append(got[s.Service], x.Reason)
		}
	}
	require.Equal(t, map[string][]string{"one": {"own", "all", "one", "team"}, "two": {"all", "two", "without"}}, got)
	require.Len(t, set.Findings, 1, findings(set))
	last := set.SLOs[1].Exclusions[1]
	require.Equal(t, slo.Origin{Source: "git", File: "x.yaml", Line: 18, Column: 5}, last.Origin)
	require.Equal(t, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), last.From)
}

// TestPartsOfOtherFiles holds that an SLO of others has them, and that those of
// a file with errors can't be parts, at any distance.
func TestPartsOfOtherFiles(t *testing.T) {
	files := []File{
		{Name: "a.yaml", Text: []byte(service("a", "worst_of: [b/a, c/a]"))},
		{Name: "b.yaml", Text: []byte(service("b", "worst_of: [c/a]"))},
		{Name: "c.yaml", Text: []byte(service("c", counted2))},
		{Name: "d.yaml", Text: []byte(service("d", counted2))},
	}
	set := Load(files)
	require.Empty(t, set.Findings)
	parts := set.SLOs[0].Indicator.Measure().(slo.Parts)
	require.Equal(t, []*slo.SLO{set.SLOs[2]}, []*slo.SLO(parts), "a part of a part counts once")
	require.Equal(t, []string{"b/a", "c/a"}, set.SLOs[0].Indicator.(*slo.WorstOf).Names)

	files[2].Text = []byte(service("c", "window: x\n    "+counted2))
	set = Load(files)
	require.Len(t, set.SLOs, 1)
	require.Equal(t, "d/a", set.SLOs[0].ID())
	require.Equal(t, `a.yaml:6:16: b/a is in b.yaml, which has errors
    6 |     worst_of: [b/a, c/a]
      |                ^^^
a.yaml:6:21: c/a is in c.yaml, which has errors
    6 |     worst_of: [b/a, c/a]
      |                     ^^^
b.yaml:6:16: c/a is in c.yaml, which has errors
    6 |     worst_of: [c/a]
      |                ^^^
c.yaml:6:13: "x" is not a duration such as 30d or 12h
    6 |     window: x
      |             ^
  hint: a window is a duration from 1h to 1y, such as 30d, or a part of the calendar, as {calendar: month}
`, findings(set))
}

// TestLatencyUnits holds thresholds in the unit that a histogram's name tells.
func TestLatencyUnits(t *testing.T) {
	for _, tt := range []struct {
		histogram, threshold string
		want                 float64
	}{
		{"x", "300ms", 0.3},
		{"x_seconds", "1.3s", 1.3},
		{"x_duration_seconds", "250us", 0.00025},
		{"x_seconds", "0.3", 0.3},
		{"x_seconds", "1d", 86400},
		{"x_milliseconds", "1.5s", 1500},
		{"x_ms", "250us", 0.25},
		{"x_microseconds", "2ms", 2000},
		{"x_us", "7", 7},
		{"x_nanoseconds", "1us", 1000},
		{"x_minutes", "90s", 1.5},
		{"x_bytes", "1048576", 1 << 20},
		{"x_bytes", "1.5e6", 1.5e6},
		{"x_ratio", "0.25", 0.25},
	} {
		set := loadOne("{latency: {histogram: " + tt.histogram + ", threshold: " + tt.threshold + "}}")
		require.Empty(t, set.Findings)
		l := set.SLOs[0].Indicator.(slo.Latency)
		require.InDelta(t, tt.want, l.Threshold, 0, tt.histogram)
		require.Equal(t, tt.threshold, l.Text)
	}
}

// TestUnitsOfNames: every word for a unit, as the last of a name or all of it, in the names
// of Prometheus and of OpenTelemetry. A word that only ends so says nothing, and the unit that
// is written decides.
func TestUnitsOfNames(t *testing.T) {
	threshold := func(histogram, more string) slo.Latency {
		set := loadOne("{latency: {histogram: '" + histogram + "', threshold: 2s" + more + "}}")
		require.Empty(t, set.Findings, histogram)
		return set.SLOs[0].Indicator.(slo.Latency)
	}
	for words, want := range map[string]float64{
		"seconds second secs sec":                       2,
		"milliseconds millisecond millis msecs msec ms": 2e3,
		"microseconds microsecond micros usecs usec us": 2e6,
		"nanoseconds nanosecond nanos nsecs nsec ns":    2e9,
	} {
		for word := range strings.FieldsSeq(words) {
			for _, name := range []string{word, "x_" + word, `{"x.` + word + `"}`} {
				l := threshold(name, "")
				require.InDelta(t, want, l.Threshold, 0, name)
				require.False(t, l.Assumed, name)
			}
		}
	}
	for _, name := range []string{"x", "items", "bonus", "x_params"} {
		require.InDelta(t, 2, threshold(name, "").Threshold, 0, name)
		require.True(t, threshold(name, "").Assumed, name)
		l := threshold(name, ", unit: us")
		require.InDelta(t, 2e6, l.Threshold, 0, name)
		require.False(t, l.Assumed, name)
	}
}

// TestObjectiveOfThePast holds that a date means the whole day.
func TestObjectiveOfThePast(t *testing.T) {
	set := Load([]File{{Name: "a.yaml", Text: []byte(service("s", "objective_history: [{until: 2026-06-30, objective: 95}]\n    "+counted2))}})
	require.Empty(t, set.Findings)
	s := set.SLOs[0]
	midnight := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "95", s.ObjectiveAt(midnight).Percent(), "the last slot of the day ends at midnight")
	require.Equal(t, "99", s.ObjectiveAt(midnight.Add(time.Minute)).Percent())
}

// TestNoData holds where time without data becomes bad.
func TestNoData(t *testing.T) {
	for sli, want := range map[string][2]bool{ // of the SLO, of the indicator
		"sli: {probe: {metric: up}}":                      {false, true},
		"sli: {threshold: {query: x, op: '<', value: 1}}": {false, true},
		"worst_of: [s/b]":                                 {true, false},
		counted2 + "\n    budgeting: timeslices\n    slice: {length: 5m, target: 95}": {true, false},
	} {
		text := service("s", "on_no_data: bad\n    "+sli) + "  - {name: b, objective: 99, sli: {probe: {metric: up}}}\n"
		set := Load([]File{{Name: "a.yaml", Text: []byte(text)}})
		require.Empty(t, set.Findings, sli)
		absent := false
		switch m := set.SLOs[0].Indicator.Measure().(type) {
		case slo.States:
			absent = m.Absent
		case slo.Levels:
			absent = m.Absent
		}
		require.Equal(t, want, [2]bool{set.SLOs[0].NoDataBad, absent}, sli)
	}
}

// TestBackendOfTheSource holds that SLOs use the backends only that their
// source may use.
func TestBackendOfTheSource(t *testing.T) {
	file := File{Name: "a.yaml", Text: []byte(service("s", "backend: us\n    "+counted2)), Backends: []string{"eu", "us"}}
	set := Load([]File{file})
	require.Empty(t, set.Findings)
	require.Equal(t, "us", set.SLOs[0].Backend)

	file.Backends = []string{"eu"}
	set = Load([]File{file})
	require.True(t, yamlfile.HasErrors(set.Findings))
	require.Contains(t, findings(set), "a.yaml:6:14: backend us is not for SLOs of this source")
}

// TestInheritedCompanions holds that an SLO which leaves time slices or groups
// does not have to name what goes with them again.
func TestInheritedCompanions(t *testing.T) {
	set := Load([]File{{Name: "a.yaml", Text: []byte("defaults:\n  budgeting: timeslices\n  slice: {length: 5m, target: 95}\n  group_by: [tenant]\n  groups: {limit: 7}\n  " + counted2 + "\n" +
		service("s", "budgeting: occurrences\n    group_by: []") + "  - {name: b, objective: 99}\n  - {name: c, objective: 99, group_by: [], worst_of: [s/a]}\n")}})
	require.Empty(t, set.Findings, findings(set))
	a, b, c := set.SLOs[0], set.SLOs[1], set.SLOs[2]
	require.Nil(t, a.Slice)
	require.Nil(t, a.Groups)
	require.Equal(t, &slo.Slice{Length: slo.Window(5 * time.Minute), Target: b.Slice.Target}, b.Slice)
	require.Equal(t, &slo.Groups{By: []string{"tenant"}, Limit: 7, Objectives: map[string]slo.Objective{}}, b.Groups)
	require.Equal(t, "worst_of", c.Indicator.Kind())
}

// TestLabelsOfGroupsAreKept holds that an expression which drops a label of
// group_by is refused where it is evaluated, and not where its counters are
// counted, which have the label.
func TestLabelsOfGroupsAreKept(t *testing.T) {
	for sli, drops := range map[string]int{
		"{events: {bad: 'sum(rate(a_total[$window]))', total: b_total}}":                                              0,
		"{events: {bad: 'sum(rate(a_total[$window]))', total: 'sum by (tenant) (changes(b[$window]))'}}":              1,
		"{events: {bad: a_total, total: 'sum(changes(b[$window])) / sum(c)'}}":                                        1,
		"{threshold: {query: '-max(x) / 2', op: <, value: 1}}":                                                        1,
		"{threshold: {query: 'max by (tenant) (x) / on (tenant) sum by (tenant) (y)', op: <, value: 1}}":              0,
		"{freshness: {timestamp: 'max without (tenant) (x)', max_age: 1h}}":                                           1,
		"{runs: {succeeded: 'sum by (x) (changes(a[$window]))', failed: 'sum by (tenant, x) (changes(b[$window]))'}}": 1,
	} {
		set := Load([]File{{Name: "a.yaml", Text: []byte(service("s", "group_by: [tenant]\n    sli: "+sli))}})
		require.Equal(t, drops, strings.Count(findings(set), "drops the label tenant of group_by"), sli)
	}
}
