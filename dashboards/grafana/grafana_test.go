package grafana_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/grafana"
	"github.com/slowburn-slo/slowburn/dashboards/grafana/queries"
)

// Each query parses, names only metrics of the design, and aggregates away what
// scraping adds.
func TestQueries(t *testing.T) {
	known := regexp.MustCompile(`^slo_(info|objective_ratio|burn_rate|sli_ratio|coverage_ratio|window_events|error_budget_events|` +
		`error_budget_remaining_ratio|error_budget_exhaustion_seconds|period_end_timestamp_seconds|data_state|alert_firing|excluded)$`)
	vars := map[string]string{"service": "checkout", "slo_id": "checkout/availability", "window": "1h"}
	for name, text := range grafana.Dashboards() {
		found, err := queries.Of(text, vars)
		require.NoError(t, err)
		require.Greater(t, len(found), 15)
		for _, q := range found {
			require.NotContains(t, q, "$", name)
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(q)
			require.NoError(t, err, "%s: %s", name, q)
			parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
				v, ok := node.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				require.Regexp(t, known, v.Name)
				_, variable := expr.(*parser.VectorSelector)
				require.True(t, variable || aggregated(path), "%s: %s", name, q)
				return nil
			})
		}
	}
}

// aggregated reports whether an aggregation by labels is above a node.
func aggregated(path []parser.Node) bool {
	for _, n := range path {
		if a, ok := n.(*parser.AggregateExpr); ok && !a.Without && (a.Op == parser.MAX || a.Op == parser.MIN) {
			return true
		}
	}
	return false
}

// box is the place of a panel, as in Grafana.
type box struct{ X, Y, W, H int }

// Grafana takes the dashboards as they are: with a data source to choose, ids
// once, no panel over another, and marked as generated.
func TestProvisionable(t *testing.T) {
	for name, text := range grafana.Dashboards() {
		var d struct {
			UID    string
			Panels []struct {
				ID         int
				Title      string
				GridPos    box
				Datasource struct{ Type, UID string }
			}
			Templating struct{ List []struct{ Type, Name string } }
		}
		require.NoError(t, json.Unmarshal(text, &d))
		require.Equal(t, strings.TrimSuffix(name, ".json"), d.UID)
		require.NotContains(t, string(text), "__inputs")
		require.Contains(t, string(text[:512]), grafana.Marker)
		require.Equal(t, "datasource", d.Templating.List[0].Type)
		ids := map[int]bool{}
		for i, p := range d.Panels {
			require.Positive(t, p.ID)
			require.False(t, ids[p.ID], "panel id %d twice", p.ID)
			ids[p.ID] = true
			require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
			g := p.GridPos
			require.True(t, g.W > 0 && g.H > 0 && g.X >= 0 && g.X+g.W <= 24, p.Title)
			for _, q := range d.Panels[:i] {
				o := q.GridPos
				apart := g.X >= o.X+o.W || o.X >= g.X+g.W || g.Y >= o.Y+o.H || o.Y >= g.Y+g.H
				require.True(t, apart, "%s lies over %s", p.Title, q.Title)
			}
		}
	}
}

// TestOverviewTable expects that the table has the columns that it formats by name, and links
// to the detail of each row's SLO.
func TestOverviewTable(t *testing.T) {
	var d struct {
		Panels []struct {
			Type            string
			Transformations []struct {
				Options struct{ RenameByName map[string]string }
			}
			FieldConfig struct {
				Overrides []struct{ Matcher struct{ Options string } }
			}
		}
	}
	text := grafana.Dashboards()["slowburn-overview.json"]
	require.NoError(t, json.Unmarshal(text, &d))
	for _, p := range d.Panels {
		if p.Type != "table" {
			continue
		}
		names := slices.Collect(maps.Values(p.Transformations[1].Options.RenameByName))
		require.Len(t, names, 12)
		for _, o := range p.FieldConfig.Overrides {
			require.Contains(t, names, o.Matcher.Options)
		}
	}
	require.Contains(t, string(text), `/d/slowburn-detail?var-service=${__data.fields[\"Service\"]}&var-slo_id=${__value.raw:percentencode}&`, "no link to the detail")
}

// The dashboards follow Grafana's schema. It was made from the npm package
// @grafana/schema 13.2.3 (Apache-2.0) by
//
//	ts-json-schema-generator --type Dashboard --no-type-check \
//	  --path node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts
func TestGrafanaSchema(t *testing.T) {
	text, err := os.ReadFile("testdata/grafana-13.2.3-dashboard.schema.json")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	// The schema knows queries of annotations of Grafana's own data source only, and
	// says that they should be as those of panels. The formats are the Prometheus
	// data source's, which reads them from the annotation.
	definitions := doc.(map[string]any)["definitions"].(map[string]any)
	definitions["AnnotationTarget"] = map[string]any{"type": "object", "required": []any{"expr", "refId"}}
	annotation := definitions["AnnotationQuery"].(map[string]any)["properties"].(map[string]any)
	annotation["titleFormat"], annotation["textFormat"] = map[string]any{"type": "string"}, map[string]any{"type": "string"}
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("dashboard.json", doc))
	schema, err := c.Compile("dashboard.json")
	require.NoError(t, err)
	for name, text := range grafana.Dashboards() {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(doc), name)
	}
}
