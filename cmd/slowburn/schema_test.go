package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// beyondSchema contains the parser's findings that a schema can't have, with the reason.
var beyondSchema = map[string]string{
	`^each sample counts with type|counts the samples of gauges`: "it depends on the type beside it",
	`^PromQL: `: "a query is read",
	`^expected a selector of a |can't have offset or @$`:                   "a query is read",
	`^the expression |gives no number of events$`:                          "a query is read",
	`found range vector$|found string$|\$window is `:                       "a query is read",
	`is without a range$|^templates of MetricsQL`:                          "a query is read",
	`^(Sloth|Grafana) fills in `:                                           "a query is read",
	`gives the least, the greatest`:                                        "a query is read",
	`select the same series$|must not select by le$`:                       "a query is read",
	`is not a percentage such as 99\.9$`:                                   "JSON has no digits of a number, only its value",
	`has more than 9 decimals$`:                                            "JSON has no digits of a number, only its value",
	`^(objective|sli) is missing$`:                                         "it may come from defaults of the directory",
	`^budgeting by time slices needs|^groups needs`:                        "it may come from defaults of the directory",
	`^slice is for time slices only$`:                                      "budgeting may come from defaults of the directory",
	`can't be bad$|turns bad by itself without data`:                       "budgeting may come from defaults of the directory",
	`is one of the file's labels already$`:                                 "it is said of another part of the file",
	`^there is no SLO|in a circle: |can't be a part|is counted in backend`: "it is said of other SLOs",
	`^slo_id .* is taken already`:                                          "it is said of other SLOs",
	`^template: `:                                                          "a template is read",
	`^pages and tickets both have`:                                         "values are compared",
	`is not later than |is there already$|cannot be equal or greater`:      "values are compared",
	`is before start|is always before start|start day cannot be before`:    "values are compared",
	`^"acme" is not one value for each label`:                              "it is as long as another list",
	`is not a whole number of (seconds|minutes)$`:                          "the length of a duration",
	`does not divide an hour|is less than 1m$`:                             "the length of a duration",
	`is a duration, and size_bytes is in bytes`:                            "the unit is in the name of the histogram",
	`is no time zone$`:                                                     "zones are in a database",
	`^unknown kind `:                                                       "the schema of SLO files is for kinds that it does not know",
	`^not YAML: `:                                                          "it is no document",
	`^expected a mapping of keys to values, found a list$`:                 "the file has a document of another kind",
}

// beyondConfigSchema is beyondSchema for the service's own file.
var beyondConfigSchema = map[string]string{
	`^there is no backend|is there twice`:       "it is said of another part of the file",
	`is longer than long$|is more than factor$`: "values are compared",
	`is not whole minutes from`:                 "the length of a duration",
	`is one of target_labels$`:                  "it is said of another list",
	`^1e6 is not a whole number`:                "JSON has no digits of a number, only its value",
	`would send the token in the clear$`:        "the host may be this machine",
	`^the file has a second document|^not YAML`: "it is about the whole file",
}

// TestSchemasKnowWhatIsWrong holds the schemas against the parsers: each line
// in which one of them finds an error has one for the other too, but for what a
// schema can't tell. The schemas want a value where the parsers take none for a
// key that is left out.
func TestSchemasKnowWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		files, schema string
		beyond        map[string]string
		parse         func(text []byte) []yamlfile.Finding
	}{
		{"../../testdata/cases/*/slo.yaml", spec.Schema(), beyondSchema, func(text []byte) []yamlfile.Finding {
			return spec.Load([]spec.File{{Name: "slo.yaml", Text: text}}).Findings
		}},
		{"../../config/testdata/bad/*.yaml", config.Schema(), beyondConfigSchema, func(text []byte) []yamlfile.Finding {
			_, findings := config.Parse("slowburn.yaml", text)
			return findings
		}},
	} {
		schema := compiled(t, tt.schema)
		files, err := filepath.Glob(tt.files)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		used := map[string]bool{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			found := tt.parse(text)
			wrong := schemaErrors(t, schema, text)
			for _, f := range found {
				reason := ""
				for words := range tt.beyond {
					if regexp.MustCompile(words).MatchString(f.Message) {
						reason, used[words] = words, true
					}
				}
				covered := slices.ContainsFunc(wrong, func(w schemaError) bool { return slices.Contains(w.lines, f.Line) })
				if f.Severity == yamlfile.Error && f.Line > 0 && reason == "" && !covered {
					t.Errorf("%s: the schema takes what the parser refuses: %s", file, f)
				}
			}
			for _, w := range wrong {
				empty := regexp.MustCompile(`:\s*(null)?\s*$`).MatchString(strings.Split(string(text), "\n")[w.lines[0]-1])
				told := slices.ContainsFunc(found, func(f yamlfile.Finding) bool {
					misspelt := strings.HasPrefix(f.Message, "unknown k") && strings.HasSuffix(w.message, "[required]")
					return slices.Contains(w.lines, f.Line) || misspelt
				})
				if !empty && !told {
					t.Errorf("%s:%d: the parser takes what the schema refuses: %s", file, w.lines[0], w.message)
				}
			}
		}
		for words := range tt.beyond {
			require.True(t, used[words], "no case has an error like %s", words)
		}
	}
}

// TestSchemasTakeEveryExample holds that what the documentation shows, and what
// cases have without errors, is valid.
func TestSchemasTakeEveryExample(t *testing.T) {
	t.Parallel()
	ofSLOs, ofConfig := compiled(t, spec.Schema()), compiled(t, config.Schema())
	count := map[string]int{}
	for page, text := range pages(t) {
		for _, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			switch text := example[1]; {
			case strings.HasPrefix(text, "- name: "):
				count["SLO"]++
				require.Empty(t, schemaErrors(t, ofSLOs, []byte("apiVersion: slowburn/v1\nservice: checkout\nslos:\n"+text)), page+":\n"+text)
			case strings.Contains(text, "apiVersion:"):
				count["SLO file"]++
				require.Empty(t, schemaErrors(t, ofSLOs, []byte(text)), page+":\n"+text)
			default:
				count["config"]++
				require.Empty(t, schemaErrors(t, ofConfig, []byte(text)), page+":\n"+text)
			}
		}
	}
	require.Positive(t, count["config"])
	require.GreaterOrEqual(t, count["SLO"], 16)
	require.GreaterOrEqual(t, count["SLO file"], 4)
}

// TestSchemasHaveEveryKey puts an unknown key into each mapping there is, and
// holds the keys that the parser then names against those of the schema. Each
// of them is described.
func TestSchemasHaveEveryKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		schema string
		parse  func(text string) []yamlfile.Finding
		maps   map[string]string // by the place in the schema
	}{
		{spec.Schema(), func(text string) []yamlfile.Finding {
			name := "a.yaml"
			if !strings.Contains(text, "service") && !strings.Contains(text, "kind") {
				name = yamlfile.DefaultsName
			}
			return spec.Load([]spec.File{{Name: name, Text: []byte("{apiVersion: slowburn/v1, " + text[1:])}}).Findings
		}, map[string]string{
			"sloFile":                                "{service: a, ?: 1}",
			"defaultsFile":                           "{?: 1}",
			"exclusionFile":                          "{kind: Exclusion, ?: 1}",
			"slo":                                    "{service: a, slos: [{?: 1}]}",
			"sli":                                    "{service: a, slos: [{sli: {?: 1}}]}",
			"events":                                 "{service: a, slos: [{sli: {events: {?: 1}}}]}",
			"latency":                                "{service: a, slos: [{sli: {latency: {?: 1}}}]}",
			"probe":                                  "{service: a, slos: [{sli: {probe: {?: 1}}}]}",
			"threshold":                              "{service: a, slos: [{sli: {threshold: {?: 1}}}]}",
			"freshness":                              "{service: a, slos: [{sli: {freshness: {?: 1}}}]}",
			"runs":                                   "{service: a, slos: [{sli: {runs: {?: 1}}}]}",
			"window.anyOf.1":                         "{service: a, slos: [{window: {?: 1}}]}",
			"slice":                                  "{service: a, slos: [{budgeting: timeslices, slice: {?: 1}}]}",
			"groups":                                 "{service: a, slos: [{group_by: [x], groups: {?: 1}}]}",
			"exclude.items":                          "{service: a, slos: [{exclude: [{?: 1}]}]}",
			"intervals.items":                        "{service: a, slos: [{exclude: [{time_intervals: [{?: 1}]}]}]}",
			"intervals.items.properties.times.items": "{service: a, slos: [{exclude: [{time_intervals: [{times: [{?: 1}]}]}]}]}",
			"objective_history.items":                "{service: a, slos: [{objective_history: [{?: 1}]}]}",
			"budget_policy.items":                    "{service: a, slos: [{budget_policy: [{?: 1}]}]}",
			"alerting":                               "{service: a, slos: [{alerting: {?: 1}}]}",
			"alerting.properties.severities":         "{service: a, slos: [{alerting: {severities: {?: 1}}}]}",
			"alertSeverity":                          "{service: a, slos: [{alerting: {page: {?: 1}}}]}",
			"alerting.properties.no_data":            "{service: a, slos: [{alerting: {no_data: {?: 1}}}]}",
		}},
		{config.Schema(), func(text string) []yamlfile.Finding {
			_, findings := config.Parse("slowburn.yaml", []byte(text))
			return findings
		}, map[string]string{
			"":                              "{?: 1}",
			"spec":                          "{specs: [{?: 1}]}",
			"git":                           "{specs: [{git: {url: x, ?: 1}}]}",
			"backend":                       "{backends: [{?: 1}]}",
			"alertmanager":                  "{alertmanagers: [{?: 1}]}",
			"web":                           "{web: {?: 1}}",
			"limits":                        "{limits: {?: 1}}",
			"cache":                         "{cache: {?: 1}}",
			"policy":                        "{policies: {mine: {?: 1}}}",
			"tier":                          "{policies: {mine: {tiers: [{?: 1}]}}}",
			"http":                          "{alertmanagers: [{http: {?: 1}}]}",
			"http.properties.basic_auth":    "{alertmanagers: [{http: {basic_auth: {?: 1}}}]}",
			"http.properties.authorization": "{alertmanagers: [{http: {authorization: {?: 1}}}]}",
			"http.properties.oauth2":        "{alertmanagers: [{http: {oauth2: {?: 1}}}]}",
			"tls":                           "{alertmanagers: [{http: {tls_config: {?: 1}}}]}",
			"http.properties.http_headers.additionalProperties": "{alertmanagers: [{http: {http_headers: {X: {?: 1}}}}]}",
		}},
	} {
		var root map[string]any
		require.NoError(t, json.Unmarshal([]byte(tt.schema), &root))
		closed := 0 // mappings with known keys only
		everywhere(root, func(node map[string]any) {
			if node["additionalProperties"] == false {
				closed++
			}
			for key, property := range properties(node) {
				described(t, root, key, property)
			}
		})
		for place, text := range tt.maps {
			known := ""
			for _, f := range tt.parse(strings.ReplaceAll(text, "?", "zzzzzzzzzzzz")) {
				if strings.HasPrefix(f.Message, "unknown key") {
					_, known, _ = strings.Cut(f.Hint, "known keys: ")
				}
			}
			want := strings.Split(known, ", ")
			slices.Sort(want)
			require.Equal(t, want, slices.Sorted(maps.Keys(properties(at(root, place)))), place)
		}
		if place := at(root, "defaults"); place != nil { // an SLO's, but for its name
			want := maps.Clone(properties(at(root, "slo")))
			delete(want, "name")
			require.Equal(t, want, properties(place))
			closed--
		}
		require.Len(t, tt.maps, closed)
	}
}

func properties(node map[string]any) map[string]any {
	p, _ := node["properties"].(map[string]any)
	return p
}

// described holds that a property of a mapping says what it is, by itself or by
// what it refers to.
func described(t *testing.T, root map[string]any, key string, property any) {
	t.Helper()
	node, is := property.(map[string]any)
	if !is || node["const"] != nil || node["maxItems"] != nil || node["pattern"] != nil && node["type"] == nil {
		return // a condition
	}
	if ref, is := node["$ref"].(string); is {
		node = at(root, strings.TrimPrefix(ref, "#/$defs/"))
	}
	require.NotEmpty(t, node["description"], key)
}

// at is a place in a schema, below its definitions.
func at(root map[string]any, place string) map[string]any {
	node := any(root)
	if place != "" {
		node = root["$defs"]
		for key := range strings.SplitSeq(place, ".") {
			switch n := node.(type) {
			case map[string]any:
				node = n[key]
			case []any:
				i, _ := strconv.Atoi(key)
				node = n[i]
			}
		}
	}
	m, _ := node.(map[string]any)
	return m
}

func everywhere(node any, f func(map[string]any)) {
	switch n := node.(type) {
	case map[string]any:
		f(n)
		for _, v := range n {
			everywhere(v, f)
		}
	case []any:
		for _, v := range n {
			everywhere(v, f)
		}
	}
}

func compiled(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", doc))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)
	require.Equal(t, 2020, schema.DraftVersion)
	return schema
}

// schemaError is an error of a schema in a part of a file: its line or, for a mapping, its
// first line and those of its keys.
type schemaError struct {
	lines   []int
	message string
}

// schemaErrors returns the errors that a schema finds in a YAML file.
func schemaErrors(t *testing.T, schema *jsonschema.Schema, text []byte) []schemaError {
	t.Helper()
	var out []schemaError
	for d := yaml.NewDecoder(strings.NewReader(string(text))); ; {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil { // the end, or no YAML
			return out
		}
		var wrong *jsonschema.ValidationError
		if err := schema.Validate(asJSON(t, &doc)); errors.As(err, &wrong) {
			out = append(out, errorsOf(&doc, wrong)...)
		} else {
			require.NoError(t, err)
		}
	}
}

func errorsOf(doc *yaml.Node, e *jsonschema.ValidationError) []schemaError {
	place := walk(doc, e.InstanceLocation)
	own := schemaError{[]int{place.Line}, fmt.Sprint(e.InstanceLocation, " ", e.ErrorKind.KeywordPath())}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		own.lines = nil
		for _, key := range k.Properties {
			own.lines = append(own.lines, child(place, key, true).Line)
		}
	case *kind.PropertyNames: // whose InstanceLocation the library spoils
		own.lines = keyLines(doc, k.Property)
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		for i := 0; i+1 < len(place.Content) && place.Kind == yaml.MappingNode; i += 2 {
			own.lines = append(own.lines, place.Content[i].Line)
		}
	default:
		var out []schemaError
		for _, cause := range e.Causes {
			out = append(out, errorsOf(doc, cause)...)
		}
		if len(out) > 0 {
			return out
		}
	}
	return []schemaError{own}
}

// keyLines are the lines of all keys by a name.
func keyLines(n *yaml.Node, key string) []int {
	var out []int
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == key {
			out = append(out, c.Line)
		}
		out = append(out, keyLines(c, key)...)
	}
	return out
}

// walk is the node at a place of a document.
func walk(n *yaml.Node, place []string) *yaml.Node {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	for _, key := range place {
		n = child(n, key, false)
	}
	return n
}

// child is the value of a key, or the key itself, also of a mapping that is
// merged.
func child(n *yaml.Node, key string, itself bool) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(n.Content) {
			return n
		}
		return n.Content[i]
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Value == key && itself:
			return k
		case k.Value == key:
			return v
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k, v := n.Content[i], n.Content[i+1]; k.Tag == "!!merge" {
			for v.Kind == yaml.SequenceNode {
				v = v.Content[0]
			}
			return child(v, key, itself)
		}
	}
	return n
}

// asJSON is a document as editors hand it to a schema: dates are text.
func asJSON(t *testing.T, doc *yaml.Node) any {
	t.Helper()
	seen := map[*yaml.Node]bool{}
	var mend func(n *yaml.Node)
	mend = func(n *yaml.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.Tag == "!!timestamp" || n.Tag == "!=" {
			n.Tag = "!!str"
		}
		for _, c := range n.Content {
			mend(c)
		}
	}
	mend(doc)
	var out any
	require.NoError(t, doc.Decode(&out))
	return plainJSON(out)
}

func plainJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plainJSON(v[key])
		}
	case map[any]any:
		out := map[string]any{}
		for key := range v {
			out[fmt.Sprint(key)] = plainJSON(v[key])
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainJSON(v[i])
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) { // which JSON does not have
			return fmt.Sprint(v)
		}
	}
	return v
}
