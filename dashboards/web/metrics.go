package web

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// freshMetrics is how long scrapers share an answer, with the metrics of the process in it.
const freshMetrics = time.Second

// metrics answers with the metrics of the process and of the SLOs, or with those of ?name[]=.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	names := r.URL.Query()["name[]"]
	report := s.Report()
	w.Header().Set("Vary", "Accept")
	s.reply(w, r, string(format), question{
		key: fmt.Sprintf("metrics %s %q", format, names), report: report, until: s.Now().Add(freshMetrics),
		write: func(out io.Writer) (int, error) {
			process, err := s.Process.Gather()
			if err != nil {
				return 0, fmt.Errorf("gathering the metrics of the process: %w", err)
			}
			encoder := expfmt.NewEncoder(out, format)
			for _, families := range []iter.Seq[*dto.MetricFamily]{slices.Values(process), evaluator.Metrics(report)} {
				for family := range families {
					if len(names) > 0 && !slices.Contains(names, family.GetName()) {
						continue
					}
					escape(family, format.ToEscapingScheme())
					if err := encoder.Encode(family); err != nil {
						return 0, fmt.Errorf("writing metric %s: %w", family.GetName(), err)
					}
				}
			}
			return http.StatusOK, nil
		},
	})
}

// escape escapes names of labels with which the encoder would break the whole scrape: it never
// quotes or escapes a colon, and it escapes http.route and http-route to the same name.
func escape(f *dto.MetricFamily, scheme model.EscapingScheme) {
	for _, m := range f.GetMetric() {
		for i, l := range m.GetLabel() {
			name := l.GetName()
			if model.LegacyValidation.IsValidLabelName(name) || scheme == model.NoEscaping && !model.LegacyValidation.IsValidMetricName(name) {
				continue
			}
			name = model.EscapeName(strings.ReplaceAll(name, ":", "_"), scheme)
			for slices.ContainsFunc(m.GetLabel(), func(other *dto.LabelPair) bool { return other.GetName() == name }) {
				name += "_"
			}
			m.Label[i] = &dto.LabelPair{Name: &name, Value: l.Value}
		}
	}
}
