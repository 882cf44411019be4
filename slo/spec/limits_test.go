package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// TestLimits: one more than a limit allows is an error at its place that names the limit, and
// as many as it allows are none.
func TestLimits(t *testing.T) {
	limits := Limits{SLOsPerFile: 3, SLOsPerSource: 4, Parts: 2, Labels: 2, Exclusions: 2, GroupObjectives: 2}
	const top = "apiVersion: slowburn/v1\nservice: s\n"
	list := func(n int, format string) string { return strings.TrimSuffix(hostileList(n, format), ", ") }
	slos := func(rest string) string {
		return top + "slos:\n  - {name: a, objective: 99, " + rest + "}\n  - {name: b, objective: 99, " + hostileSLI + "}\n  - {name: c, objective: 99, worst_of: [s/b]}\n"
	}
	of := map[string]struct {
		file func(n int) string
		most int
		want string
		hint string
	}{
		"slos_per_file": {func(n int) string {
			return top + "slos:\n" + hostileList(n, "  - {name: a%d, objective: 99, "+hostileSLI+"}\n")
		}, 3,
			"a.yaml:7:5: the file has more than 3 SLOs", "limits.slos_per_file"},
		"labels": {func(n int) string { return "labels: {" + list(n, "k%d: v, ") + "}\n" + slos(hostileSLI) }, 2,
			"a.yaml:1:9: labels has 3 entries, more than 2", "limits.labels"},
		"links": {func(n int) string { return "links: {" + list(n, "k%d: http://a, ") + "}\n" + slos(hostileSLI) }, 2,
			"a.yaml:1:8: links has 3 entries, more than 2", "limits.labels"},
		"labels of alerts": {func(n int) string { return slos("alerting: {labels: {" + list(n, "k%d: v, ") + "}}, " + hostileSLI) }, 2,
			"a.yaml:4:49: labels has 3 entries, more than 2", "limits.labels"},
		"annotations": {func(n int) string {
			return slos("alerting: {annotations: {" + list(n, "k%d: v, ") + "}}, " + hostileSLI)
		}, 2,
			"a.yaml:4:54: annotations has 3 entries, more than 2", "limits.labels"},
		"labels of groups": {func(n int) string { return slos("group_by: [" + list(n, "k%d, ") + "], " + hostileSLI) }, 2,
			"a.yaml:4:40: group_by has 3 entries, more than 2", "limits.labels"},
		"objectives": {func(n int) string {
			return slos("group_by: [t], groups: {objectives: {" + list(n, "k%d: 99, ") + "}}, " + hostileSLI)
		}, 2,
			"a.yaml:4:66: objectives has 3 entries, more than 2", "limits.group_objectives"},
		"exclusions": {func(n int) string {
			return slos("exclude: [" + strings.TrimSuffix(strings.Repeat(hostileExclusion+", ", n), ", ") + "], " + hostileSLI)
		}, 2, "a.yaml:4:39: exclude has 3 entries, more than 2", "limits.exclusions"},
		"ranges of times": {func(n int) string {
			return slos("exclude: [{reason: r, time_intervals: [{times: [" + strings.TrimSuffix(strings.Repeat("{start_time: '01:00', end_time: '02:00'}, ", n-1), ", ") + "]}, {weekdays: [sunday]}]}], " + hostileSLI)
		}, 2, "a.yaml:4:39: exclude has 3 ranges of times, more than 2", "limits.exclusions"},
		"exclusions of files": {func(n int) string {
			return slos("exclude: ["+hostileExclusion+"], "+hostileSLI) + strings.Repeat("---\napiVersion: slowburn/v1\nkind: Exclusion\nmatch: {slo: a}\nexclude: ["+hostileExclusion+"]\n", n-1)
		}, 2, "a.yaml:15:1: with these s/a has more than 2 exclusions", "limits.exclusions"},
		"parts": {func(n int) string {
			return slos(hostileSLI) + "---\n" + strings.Replace(top, "s\n", "t\n", 1) + "slos:\n  - {name: j, objective: 99, worst_of: [" + strings.Join([]string{"s/a", "s/b", "s/c"}[:n], ", ") + "]}\n"
		}, 2, "a.yaml:11:40: worst_of has 3 entries, more than 2", "limits.parts"},
	}
	for name, tt := range of {
		t.Run(name, func(t *testing.T) {
			within := limits
			if name == "parts" {
				within.SLOsPerFile = 10
			}
			set := within.Load([]File{{Name: "a.yaml", Text: []byte(tt.file(tt.most))}})
			require.Empty(t, findings(set))
			set = within.Load([]File{{Name: "a.yaml", Text: []byte(tt.file(tt.most + 1))}})
			require.NotEmpty(t, set.Findings)
			require.Equal(t, tt.want, set.Findings[0].String())
			require.Contains(t, set.Findings[0].Hint, tt.hint)
			require.Empty(t, set.SLOs)
		})
	}
}

// TestSLOsOfASource: the file that has one too many is refused, and no other.
func TestSLOsOfASource(t *testing.T) {
	var files []File
	for i := range 3 {
		text := fmt.Sprintf("apiVersion: slowburn/v1\nservice: s%d\nslos:\n", i) + hostileList(2, "  - {name: a%d, objective: 99, "+hostileSLI+"}\n")
		files = append(files, File{Name: fmt.Sprintf("%d.yaml", i), Source: "git", Text: []byte(text)})
	}
	files = append(files, File{Name: "other.yaml", Source: "other", Text: []byte(service("b", hostileSLI))})
	set := Limits{SLOsPerSource: 5}.Load(files)
	require.Len(t, set.Findings, 1)
	require.Equal(t, "2.yaml:5:5: git has more than 5 SLOs", set.Findings[0].String())
	require.Contains(t, set.Findings[0].Hint, "limits.slos_per_source")
	require.Len(t, set.SLOs, 5)
}

// TestPartsOfParts: an SLO that is a part by several ways is counted once.
func TestPartsOfParts(t *testing.T) {
	set := Load(hostile()["nested worst_of"](42))
	require.Empty(t, findings(set))
	for _, s := range set.SLOs {
		if whole, is := s.Indicator.(*slo.WorstOf); is {
			require.Len(t, whole.Parts, 2, s.ID())
			require.Len(t, whole.Names, 2, s.ID())
		}
	}
	set = Load(hostile()["growing worst_of"](60))
	require.Len(t, set.Findings, 10)
	require.Equal(t, "a.yaml:104:42: s/j50 has 51 parts with those of its parts, more than 50", set.Findings[0].String())
}

// TestSharedValues: exclusions that many SLOs have are one list, and say where they stand.
func TestSharedValues(t *testing.T) {
	set := Load([]File{
		{Name: "d/slowburn.defaults.yaml", Text: []byte("apiVersion: slowburn/v1\ndefaults:\n  exclude:\n    - " + hostileExclusion + "\n")},
		{Name: "d/a.yaml", Text: []byte(service("a", hostileSLI))},
		{Name: "d/b.yaml", Text: []byte(service("b", hostileSLI))},
		{Name: "x.yaml", Text: []byte("apiVersion: slowburn/v1\nkind: Exclusion\nexclude: [{from: 2026-02-01, to: 2026-02-02, reason: x}]\n")},
		{Name: "c.yaml", Text: []byte(service("c", hostileSLI))},
	})
	require.Empty(t, findings(set))
	a, b, c := set.SLOs[0].Exclusions, set.SLOs[1].Exclusions, set.SLOs[2].Exclusions
	require.Len(t, a, 2)
	require.Same(t, &a[0], &b[0])
	require.Equal(t, "d/slowburn.defaults.yaml", a[0].Origin.File)
	require.Equal(t, 4, a[0].Origin.Line)
	require.Equal(t, "x.yaml", a[1].Origin.File)
	require.Len(t, c, 1)
	require.Equal(t, "x", c[0].Reason)
}

// TestYears: times of files are within the years 1970 to 2200.
func TestYears(t *testing.T) {
	for _, tt := range [][2]string{
		{"objective_history: [{until: 2200-12-31, objective: 98}]", ""},
		{"objective_history: [{until: 9999-12-31, objective: 98}]", "a.yaml:6:33: 9999-12-31 is not within the years 1970 to 2200"},
		{"objective_history: [{until: 2200-12-31T23:00:00-02:00, objective: 98}]", "a.yaml:6:33: 2200-12-31T23:00:00-02:00 is not within the years 1970 to 2200"},
		{"objective_history: [{until: 0001-01-01, objective: 98}]", "a.yaml:6:33: 0001-01-01 is not within the years 1970 to 2200"},
		{"exclude: [{from: 1970-01-01, to: 2200-12-31T23:59:59Z, reason: r}]", ""},
		{"exclude: [{from: 1969-12-31, to: 2026-01-01, reason: r}]", "a.yaml:6:22: 1969-12-31 is not within the years 1970 to 2200"},
		{"exclude: [{from: 2026-01-01, to: 2201-01-01, reason: r}]", "a.yaml:6:38: 2201-01-01 is not within the years 1970 to 2200"},
		{"exclude: [{time_intervals: [{years: ['2026:2200']}], reason: r}]", ""},
		{"exclude: [{time_intervals: [{years: ['2026:9999']}], reason: r}]", "a.yaml:6:42: 2026:9999 is not within the years 1970 to 2200"},
	} {
		set := Load([]File{{Name: "a.yaml", Text: []byte(service("a", tt[0]+"\n    "+hostileSLI))}})
		if tt[1] == "" {
			require.Empty(t, findings(set), tt[0])
			continue
		}
		require.NotEmpty(t, set.Findings, tt[0])
		require.Equal(t, tt[1], set.Findings[0].String())
	}
}

// TestControlCharacters: they are errors at their place, in whatever field, and so are the ends of
// lines in what becomes a label.
func TestControlCharacters(t *testing.T) {
	for field, in := range map[string]string{
		"severity":   `alerting: {severities: {page: "a@b"}}`,
		"label":      `alerting: {labels: {k: "a@b"}}`,
		"page label": `alerting: {page: {labels: {k: "a@b"}}}`,
		"objective":  `group_by: [t]` + "\n    " + `groups: {objectives: {"a@b": 98}}`,
		"group_by":   `group_by: ["a@b"]`,
		"ticket":     `exclude: [{from: 2026-01-01, to: 2026-01-02, reason: r, ticket: "a@b"}]`,
		"name":       `alerting: {name: "a@b"}`,
		"policy":     `alerting: {policy: "a@b"}`,
		"backend":    `backend: "a@b"`,
	} {
		for _, bad := range []string{`\a`, `\0`, `\e`, `\x7f`, `\u0085`, `\ufeff`, `\uffff`, `\n`, `\t`, `\u2028`} {
			set := Load([]File{{Name: "a.yaml", Text: []byte(service("a", strings.Replace(in, "@", bad, 1)+"\n    "+hostileSLI))}})
			require.NotEmpty(t, set.Findings, "%s %s", field, bad)
			require.Equal(t, "error", string(set.Findings[0].Severity))
			require.Empty(t, set.SLOs)
		}
	}
	for field, in := range map[string]string{
		"description": `description: "a@b"`,
		"reason":      `exclude: [{from: 2026-01-01, to: 2026-01-02, reason: "a@b"}]`,
		"action":      `budget_policy: [{remaining_below: 1%, action: "a@b"}]`,
		"annotation":  `alerting: {annotations: {k: "a@b"}}`,
	} {
		for bad, fine := range map[string]bool{`\a`: false, `\x9b`: false, `\ufffe`: false, `\n`: true, `\t`: true} {
			set := Load([]File{{Name: "a.yaml", Text: []byte(service("a", strings.Replace(in, "@", bad, 1)+"\n    "+hostileSLI))}})
			require.Equal(t, fine, len(set.Findings) == 0, "%s %s: %s", field, bad, findings(set))
		}
	}
	set := Load([]File{{Name: "a.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: s\nowner: \"ab\\ec\"\nslos: [{name: a, objective: 99, " + hostileSLI + "}]\n")}})
	require.Equal(t, "a.yaml:3:11: the text holds the control character U+001B\n    3 | owner: \"ab\\ec\"\n      |           ^^\n  hint: remove it\n", findings(set))
}
