package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// TestCases holds each case's findings, as a terminal shows them, against
// findings.golden; a case without errors has none.
func TestCases(t *testing.T) {
	cases, err := filepath.Glob("../../testdata/cases/*/slo.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, path := range cases {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			set := Load([]File{{Name: "slo.yaml", Text: text}})
			var got strings.Builder
			for _, f := range set.Findings {
				got.WriteString(f.Text())
			}
			if yamlfile.HasErrors(set.Findings) {
				require.Empty(t, set.SLOs)
			} else {
				require.NotEmpty(t, set.SLOs)
			}
			golden.Require(t, filepath.Join(filepath.Dir(path), "findings.golden"), got.String())
		})
	}
}

func TestLoadReadsEveryField(t *testing.T) {
	text, err := os.ReadFile("../../testdata/cases/full/slo.yaml")
	require.NoError(t, err)
	set := Load([]File{{Name: "slo.yaml", Text: text, Source: "./slos", Revision: "4f2c", Backends: []string{"eu"}}})
	require.Empty(t, set.Findings)
	require.Len(t, set.SLOs, 3)

	a := set.SLOs[0]
	require.Equal(t, "checkout/availability", a.ID())
	require.Equal(t, "Requests answered without a server error.", a.Description)
	require.Equal(t, "team-payments", a.Owner)
	require.Equal(t, map[string]string{"tier": "1", "region": "eu"}, a.Labels)
	require.Equal(t, "https://runbooks.example.org/checkout", a.Links["runbook"])
	require.Equal(t, "99.9", a.Objective.Percent())
	require.Equal(t, "28d", a.Window.String())
	require.Equal(t, slo.Origin{Source: "./slos", Revision: "4f2c", File: "slo.yaml", Line: 12, Column: 5, Backends: []string{"eu"}}, a.Origin)
	require.Equal(t, `http_requests_total{code!~"5..",job="checkout"}`, a.Indicator.Measure().(slo.Counters).Good.String())
	require.True(t, a.Indicator.Measure().(slo.Counters).Bad.IsZero())

	l := set.SLOs[1]
	require.Equal(t, "7d", l.Window.String())
	require.Equal(t, "Takes payments.", l.Description)
	require.InDelta(t, 0.3, l.Indicator.(slo.Latency).Threshold, 0)
	require.Equal(t, `http_request_duration_seconds_bucket{job="checkout",le=~"0+\\.30*|3(\\.0*)?[eE]-0*1"}`, l.Indicator.Measure().(slo.Counters).Good.String())
	require.Equal(t, `http_request_duration_seconds_count{job="checkout"}`, l.Indicator.Measure().(slo.Counters).Total.String())

	require.Equal(t, `http_request_duration_seconds_bucket{job="checkout",le=~"0*1(\\.0*)?([eE][+-]?0+)?"}`, set.SLOs[2].Indicator.Measure().(slo.Counters).Good.String())
}

func TestOneIDInTwoSources(t *testing.T) {
	text, err := os.ReadFile("../../testdata/cases/minimal/slo.yaml")
	require.NoError(t, err)
	set := Load([]File{
		{Name: "a.yaml", Text: text, Source: "https://git.example.org/slos.git", Revision: "4f2c"},
		{Name: "slos/b.yaml", Text: text, Source: "./slos"},
	})
	require.Len(t, set.Findings, 1)
	require.Equal(t, `slos/b.yaml:4:5: slo_id checkout/availability is taken already, by https://git.example.org/slos.git: a.yaml:4
    4 |   - name: availability
      |     ^
  hint: rename one of them, or its service
`, set.Findings[0].Text())
	require.Len(t, set.SLOs, 1)
}

func TestObjectiveIsExact(t *testing.T) {
	for _, tt := range []struct {
		text, ratio, budget string
		float               float64
	}{
		{"99.9", "0.999", "0.001", 0.001},
		{"99.95", "0.9995", "0.0005", 0.0005},
		{"99", "0.99", "0.01", 0.01},
		{"99.999999999", "0.99999999999", "0.00000000001", 1e-11},
		{"0.5", "0.005", "0.995", 0.995},
		{"90.0", "0.9", "0.1", 0.1},
	} {
		o, err := slo.ParseObjective(tt.text)
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.ratio, o.RatioText())
		require.Equal(t, tt.budget, o.BudgetText())
		require.InDelta(t, tt.float, o.Budget(), 0)
	}
}

func TestWindowText(t *testing.T) {
	for in, want := range map[string]string{
		"4w": "28d", "1y": "365d", "24h": "1d", "36h": "36h", "90m": "90m", "1h": "1h", "1d12h": "36h",
	} {
		w, err := slo.ParseWindow(in)
		require.NoError(t, err)
		require.Equal(t, want, w.String())
	}
}

// FuzzLoad feeds anything to the parser. What it accepts must stand up to a
// second look: valid names, and the same SLOs from what they are written out as.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("../../testdata/cases/*/slo.yaml")
	require.NoError(f, err)
	for _, path := range cases {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set := Load([]File{{Name: "slo.yaml", Text: text}})
		for _, finding := range set.Findings {
			require.NotEmpty(t, finding.Message)
			require.LessOrEqual(t, finding.Line, strings.Count(string(text), "\n")+1)
		}
		for _, s := range set.SLOs {
			require.Regexp(t, `^[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*$`, s.ID())
			require.NotNil(t, s.Indicator.Measure())
		}
		requireSameWhenExpanded(t, set.SLOs)
	})
}

// TestReports holds where findings of others are shown: at a field, in whichever
// file it is, or at what is nearest.
func TestReports(t *testing.T) {
	set := Load([]File{
		{Name: "slos/slowburn.defaults.yaml", Source: "git", Text: []byte("apiVersion: slowburn/v1\ndefaults: {window: 7d}\n")},
		{Name: "slos/a.yaml", Source: "git", Text: []byte(service("a", counted2))},
	})
	require.Empty(t, set.Findings)
	a := set.SLOs[0]
	set.Add(
		slo.Finding{SLO: a, Field: "window", Message: "too long"},
		slo.Finding{SLO: a, Field: "sli.events.total", Wrong: true, Message: "100% unknown", Hint: "look"},
		slo.Finding{SLO: a, Field: "sli.events.good", Wrong: true, Message: "not there"},
		slo.Finding{SLO: a, Field: "backend", Wrong: true, Message: "no field"},
	)
	require.Equal(t, `slos/a.yaml:4:5: no field
    4 |   - name: a
      |     ^
slos/a.yaml:6:19: not there
    6 |     sli: {events: {bad: a_total, total: b_total}}
      |                   ^
slos/a.yaml:6:41: 100% unknown
    6 |     sli: {events: {bad: a_total, total: b_total}}
      |                                         ^^^^^^^
  hint: look
slos/slowburn.defaults.yaml:2:20: warning: too long
    2 | defaults: {window: 7d}
      |                    ^^
`, findings(set))
	require.Equal(t, "git", set.Findings[3].Source)
	require.Len(t, set.SLOs, 1)
}
