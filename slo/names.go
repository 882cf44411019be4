package slo

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// LabelList is a list of label names as PromQL reads it. Names that Prometheus 2
// does not know, such as http.route, are in quotes.
func LabelList(names ...string) string {
	out := slices.Clone(names)
	for i, name := range out {
		if !model.LegacyValidation.IsValidLabelName(name) {
			out[i] = strconv.Quote(name)
		}
	}
	return strings.Join(out, ", ")
}

// IsClassicName reports whether the name of a metric is valid in Prometheus 2, which
// PromQL reads without quotes.
func IsClassicName(name string) bool { return model.LegacyValidation.IsValidMetricName(name) }

// EscapedLabel is a label name as Prometheus 2 gets it from a process that has others: _
// stands for each dot.
func EscapedLabel(label string) string { return model.EscapeName(label, model.UnderscoreEscaping) }
