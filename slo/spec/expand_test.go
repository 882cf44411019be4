package spec

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// TestExpandedFilesMeanTheSame expands every case and reads it again.
func TestExpandedFilesMeanTheSame(t *testing.T) {
	cases, err := filepath.Glob("../../testdata/cases/*/slo.yaml")
	require.NoError(t, err)
	n := 0
	for _, path := range cases {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		slos := Load([]File{{Name: "slo.yaml", Text: text}}).SLOs
		n += len(slos)
		requireSameWhenExpanded(t, slos)
	}
	require.Greater(t, n, 20)
}

// TestExpandedIsStable holds that what is expanded leaves nothing to expand.
func TestExpandedIsStable(t *testing.T) {
	text, err := os.ReadFile("../../testdata/cases/kinds/slo.yaml")
	require.NoError(t, err)
	once, err := Expand(Load([]File{{Name: "slo.yaml", Text: text}}).SLOs)
	require.NoError(t, err)
	twice, err := Expand(Load([]File{{Name: "slo.yaml", Text: once}}).SLOs)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice))

	golden.Require(t, "../../testdata/cases/kinds/expanded.golden", string(once))
}

func requireSameWhenExpanded(t *testing.T, slos []*slo.SLO) {
	t.Helper()
	text, err := Expand(slos)
	require.NoError(t, err)
	set := Load([]File{{Name: "expanded.yaml", Text: text}})
	require.False(t, yamlfile.HasErrors(set.Findings), "%v\n%s", set.Findings, text)
	require.Len(t, set.SLOs, len(slos))
	for i, s := range set.SLOs {
		require.Equal(t, meaning(slos[i]), meaning(s), "%s", text)
	}
}

// meant is an SLO in a form that can be compared: the order of matchers and
// where the SLO was read have no meaning.
type meant struct {
	slo.SLO
	Kind   string
	Fields []slo.Field
	More   any
}

func meaning(s *slo.SLO) meant {
	out := meant{SLO: *s, Kind: s.Indicator.Kind(), Fields: s.Indicator.Fields()}
	switch i := s.Indicator.(type) {
	case slo.Events:
		if r, ok := i.Numbers.(slo.Rates); ok {
			out.More = r
		}
	case slo.Latency:
		out.More = i.Threshold
	case slo.Probe:
		out.More = i.Absent
	case slo.Threshold:
		out.More = i.Absent
	}
	out.Indicator = nil
	out.Origin = slo.Origin{}
	out.Exclusions = nil
	for _, x := range s.Exclusions {
		x.Origin = slo.Origin{}
		for i, t := range x.Intervals {
			if t.Location != nil { // two of the same zone differ in what they have computed
				x.Intervals[i].Location = &timeinterval.Location{Location: time.FixedZone(t.Location.String(), 0)}
			}
		}
		out.Exclusions = append(out.Exclusions, x)
	}
	for _, m := range []*map[string]string{&out.Labels, &out.Links} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	return out
}
