// Package queries finds the queries in a dashboard of Grafana. It is for tests.
package queries

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Of returns all queries of a dashboard's variables, panels and annotations, with
// Grafana's variables replaced by the values of vars. For a variable of a label's values it
// returns the selector of the series. It fails for a variable that vars lacks.
func Of(dashboard []byte, vars map[string]string) ([]string, error) {
	type target struct{ Expr string }
	type panel struct{ Targets []target }
	var d struct {
		Panels []struct {
			panel
			Panels []panel // of a row
		}
		Annotations struct{ List []struct{ Target target } }
		Templating  struct {
			List []struct {
				Type, Name string
				Query      json.RawMessage // an object for type query
			}
		}
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		return nil, fmt.Errorf("reading a dashboard: %w", err)
	}
	var found []string
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		var q struct{ Query string }
		if err := json.Unmarshal(v.Query, &q); err != nil {
			return nil, fmt.Errorf("reading variable %s: %w", v.Name, err)
		}
		inner, ok := strings.CutPrefix(q.Query, "label_values(")
		comma := strings.LastIndex(inner, ",")
		if !ok || comma < 0 {
			return nil, fmt.Errorf("reading variable %s: %q does not ask for the values of a label", v.Name, q.Query)
		}
		found = append(found, inner[:comma])
	}
	for _, p := range d.Panels {
		for _, q := range append([]panel{p.panel}, p.Panels...) {
			for _, t := range q.Targets {
				found = append(found, t.Expr)
			}
		}
	}
	for _, a := range d.Annotations.List {
		found = append(found, a.Target.Expr)
	}
	for i, q := range found {
		var missing []string
		found[i] = os.Expand(q, func(name string) string {
			name, format, _ := strings.Cut(name, ":")
			value, ok := vars[name]
			if !ok {
				missing = append(missing, name)
			}
			if format == "doublequote" {
				return strconv.Quote(value)
			}
			return value
		})
		if len(missing) > 0 {
			return nil, fmt.Errorf("filling in %q: no value for %s", q, strings.Join(missing, ", "))
		}
	}
	return found, nil
}
