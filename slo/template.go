package slo

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	tree "text/template/parse"
)

// Facts are the fields of templates of annotations, about one alert. All of it is text as
// people read it; what is not known is "unknown", or "" where nothing follows.
type Facts struct {
	ID, Service, SLO, Owner string
	Objective               string // percent: "99.9"
	Window                  string // "30d"
	Severity                string // "page" or "ticket", whatever the label calls it
	Tier                    string // "fast"
	LongWindow, ShortWindow string // "1h", "5m"
	Since                   string // "14:02 UTC on 20 Nov"
	BurnRate                string // over the long window: "18"
	Bad, Total              string // in the long window: "870", "48,160"
	BadShare                string // their ratio: "1.8 %"
	Allowed                 string // the ratio that is: "0.1 %"
	BudgetTaken             string // by the long window: "0.84 %"
	BudgetLeft              string // "31 %"
	SpentIn, SpentAt        string // "1h30m", "16:32 UTC on 20 Nov"; "" when the budget lasts
	Revision                string // of the SLO file; "" outside of Git
	Runbook, Dashboard      string // links; "" for none
	Page                    string // the SLO's page, at the time of the alert; "" for nowhere
	Summary, Text           string // what the annotations summary and description are without templates
	Labels, Group, Links    map[string]string
}

// maxAnnotation is the length in bytes of an annotation that a template makes.
const maxAnnotation = 4096

// Annotate makes the text of an annotation from a template in the syntax of
// text/template, of which there are fields, if, and functions that don't make
// much of little.
func Annotate(text string, f Facts) (string, error) {
	t, err := template.New("annotation").Option("missingkey=zero").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, f); err != nil {
		return "", err
	}
	if b.Len() > maxAnnotation {
		return "", fmt.Errorf("the text is longer than %d bytes", maxAnnotation)
	}
	return b.String(), nil
}

// FactsOf are the names of the facts that a template uses, sorted; where functions are
// named, of those in pipelines that have one of them.
func FactsOf(text string, functions ...string) []string {
	used := map[string]bool{}
	t, err := template.New("annotation").Option("missingkey=zero").Parse(text)
	if err != nil || t.Tree == nil {
		return nil
	}
	note := func(n tree.Node) {
		if f, is := n.(*tree.FieldNode); is {
			used[f.Ident[0]] = true
		}
	}
	VisitTemplate(t.Root, func(n tree.Node) {
		if p, is := n.(*tree.PipeNode); is && (len(functions) == 0 || slices.ContainsFunc(p.Cmds, func(c *tree.CommandNode) bool {
			f, is := c.Args[0].(*tree.IdentifierNode)
			return is && slices.Contains(functions, f.Ident)
		})) {
			VisitTemplate(p, note)
		}
	})
	return slices.Sorted(maps.Keys(used))
}

// VisitTemplate visits a node and all below it.
func VisitTemplate(n tree.Node, visit func(tree.Node)) {
	if n == nil || reflect.ValueOf(n).IsNil() {
		return
	}
	visit(n)
	switch n := n.(type) {
	case *tree.ListNode:
		for _, c := range n.Nodes {
			VisitTemplate(c, visit)
		}
	case *tree.ActionNode:
		VisitTemplate(n.Pipe, visit)
	case *tree.IfNode:
		VisitTemplate(n.Pipe, visit)
		VisitTemplate(n.List, visit)
		VisitTemplate(n.ElseList, visit)
	case *tree.PipeNode:
		for _, c := range n.Cmds {
			VisitTemplate(c, visit)
		}
	case *tree.CommandNode:
		for _, a := range n.Args {
			VisitTemplate(a, visit)
		}
	}
}
