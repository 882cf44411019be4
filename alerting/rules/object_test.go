package rules_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestObjects hold the groups of the rule file, block scalars included.
func TestObjects(t *testing.T) {
	slos := parsed(t, `{name: plain, sli: {events: {bad: 'errors_total{path="a  b"}', total: 'all_total'}}}`)
	file := func(f rules.Format) []byte {
		text, err := rules.File("slo.yaml", []*slo.SLO{slos["plain"]}, rules.Options{Alerts: true, Policies: alerting.BuiltIn(), VMAlert: f.VMAlert})
		require.NoError(t, err)
		return text
	}
	for name, want := range map[string][2]string{
		"prometheusrule": {"monitoring.coreos.com/v1", "PrometheusRule"},
		"vmrule":         {"operator.victoriametrics.com/v1beta1", "VMRule"},
	} {
		format, ok := rules.FormatOf(name)
		require.True(t, ok)
		var object struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Name string }
			Spec       struct{ Groups any }
		}
		text := file(format)
		var plain struct{ Groups any }
		require.NoError(t, yaml.Unmarshal(text, &plain))
		wrapped := format.Wrap(text, "slowburn-x")
		require.True(t, strings.HasPrefix(string(wrapped), rules.Marker))
		require.NoError(t, yaml.Unmarshal(wrapped, &object))
		require.Equal(t, want, [2]string{object.APIVersion, object.Kind})
		require.Equal(t, "slowburn-x", object.Metadata.Name)
		require.Equal(t, plain.Groups, object.Spec.Groups)
	}
	for _, name := range []string{"prometheus", "vmalert"} {
		plain, ok := rules.FormatOf(name)
		require.True(t, ok)
		require.Equal(t, file(plain), plain.Wrap(file(plain), "slowburn-x"))
	}
}

// TestObjectName: names are DNS subdomains (RFC 1123).
func TestObjectName(t *testing.T) {
	subdomain := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	for file, want := range map[string]string{
		"team-search": "slowburn-team-search", "Team_Search": "slowburn-team-search", "a. b": "slowburn-a.b", "..": "slowburn",
		"größe": "slowburn-gr--e", strings.Repeat("x", 300): "slowburn-" + strings.Repeat("x", 244),
	} {
		require.Equal(t, want, rules.ObjectName(file))
		require.Regexp(t, subdomain, rules.ObjectName(file))
	}
}
