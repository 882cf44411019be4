package rules

import (
	"bytes"
	"fmt"
	"strings"
)

// Format is the kind of a generated file: a rule file, or an object of Kubernetes with one.
type Format struct {
	VMAlert          bool // holds rules for vmalert, as Options.VMAlert makes them
	apiVersion, kind string
}

// FormatOf is the format of a name: "prometheus" and "vmalert" for plain rule files,
// "prometheusrule" for objects of the Prometheus operator, "vmrule" for those of
// the VictoriaMetrics operator.
func FormatOf(name string) (f Format, ok bool) {
	f, ok = map[string]Format{
		"prometheus":     {},
		"prometheusrule": {false, "monitoring.coreos.com/v1", "PrometheusRule"},
		"vmalert":        {VMAlert: true},
		"vmrule":         {true, "operator.victoriametrics.com/v1beta1", "VMRule"},
	}[name]
	return f, ok
}

// Wrap is the text of a rule file in a format, under the name of an object. Both
// objects have the groups of a rule file in their spec.
func (f Format) Wrap(text []byte, name string) []byte {
	if f.kind == "" {
		return text
	}
	var b bytes.Buffer
	spec := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "groups:") {
			spec = true
			fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  labels: {app.kubernetes.io/managed-by: slowburn}\nspec:\n", f.apiVersion, f.kind, name)
		}
		if spec {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.Bytes()
}

// maxName is the length of a Kubernetes object's name.
const maxName = 253

// ObjectName makes the name of an object, a DNS subdomain (RFC 1123), of that of an
// SLO file.
func ObjectName(file string) string {
	var labels []string
	for part := range strings.SplitSeq(strings.ToLower("slowburn-"+file), ".") {
		part = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, part)
		if part = strings.Trim(part, "-"); part != "" {
			labels = append(labels, part)
		}
	}
	name := strings.Join(labels, ".")
	return strings.Trim(name[:min(len(name), maxName)], "-.")
}
