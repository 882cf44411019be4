package spec

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	tree "text/template/parse"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// sampleFacts are those of an alert, for trying templates.
func sampleFacts() slo.Facts {
	return slo.Facts{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Owner: "team-payments", Objective: "99.9", Window: "30d",
		Severity: "page", Tier: "fast", LongWindow: "1h", ShortWindow: "5m", Since: "14:02 UTC on 20 Nov", BurnRate: "18",
		Bad: "870", Total: "48,160", BadShare: "1.8 %", Allowed: "0.1 %", BudgetTaken: "0.84 %", BudgetLeft: "31 %",
		SpentIn: "1h30m", SpentAt: "16:32 UTC on 20 Nov", Summary: "Summary", Text: "Text",
	}
}

// parseAnnotations reads templates of annotations; nil for none.
func parseAnnotations(v yamlfile.Value, limits Limits) map[string]string {
	if !within(v, "annotations", limits.Labels, "labels") {
		return nil
	}
	out := map[string]string{}
	for _, e := range v.Map().Entries {
		if !labelForm.MatchString(e.Key.Text()) {
			e.Key.Errorf("use letters, digits and _, the first not a digit", "%q is not a valid name of an annotation", e.Key.Text())
		}
		text := e.Value.Text()
		if text != "" {
			checkTemplate(e.Value, text)
		}
		out[e.Key.Text()] = text
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// functions are those that templates can use. Others, such as printf with a width,
// can make any amount of text.
func functions() []string {
	return []string{"and", "or", "not", "eq", "ne", "index", "len", "urlquery"}
}

// templateError is how text/template words an error: with a line, and no column.
var (
	templateError = regexp.MustCompile(`(?s)^template: [^:]*:(\d+)(?::\d+)?: (.*)$`)
	quotedWord    = regexp.MustCompile(`"([^"]+)"`)
)

// checkTemplate reports what is wrong with a template, at its place.
func checkTemplate(v yamlfile.Value, text string) {
	if len(text) > maxTemplate { // which is an error
		return
	}
	t, err := template.New("annotation").Option("missingkey=zero").Parse(text)
	if err != nil {
		message, at, end := place(text, err)
		hint := ""
		if alertVariable.MatchString(text) {
			hint = alertVariableHint
		}
		v.ErrorInside(at, end, hint, "template: "+message)
		return
	}
	fine := true
	refuse := func(n tree.Node, width int, hint, message string) {
		fine = false
		at := min(int(n.Position()), len(text)-1)
		v.ErrorInside(at, min(at+width, len(text)), hint, message)
	}
	if len(t.Templates()) > 1 || t.Tree == nil {
		v.Errorf("", "template: it has define or block, or nothing else")
		return
	}
	slo.VisitTemplate(t.Root, func(n tree.Node) {
		switch n := n.(type) {
		case *tree.FieldNode:
			if message, hint := unknownFact(n.Ident); message != "" {
				path := "." + strings.Join(n.Ident, ".")
				at := max(0, strings.LastIndex(text[:min(int(n.Pos)+len(path), len(text))], path))
				fine = false
				v.ErrorInside(at, at+len(path), hint, message)
			}
		case *tree.RangeNode, *tree.WithNode, *tree.TemplateNode, *tree.VariableNode, *tree.DotNode, *tree.ChainNode:
			refuse(n, 1, "there are fields such as .Service, functions, and if", "template: "+strings.Trim(strings.Fields(n.String())[0], "{}")+" can't be used in annotations")
		case *tree.IdentifierNode:
			if !slices.Contains(functions(), n.Ident) {
				refuse(n, len(n.Ident), "there are: "+strings.Join(functions(), ", "), "template: function "+n.Ident+" can't be used in annotations")
			}
		case *tree.PipeNode:
			if len(n.Decl) > 0 {
				refuse(n, 1, "", "template: variables can't be used in annotations")
			}
		}
	})
	if !fine {
		return
	}
	if _, err := slo.Annotate(text, sampleFacts()); err != nil {
		message, at, end := place(text, err)
		v.ErrorInside(at, end, "", "template: "+message)
	}
}

// place returns the message of an error of a template, and its place in the text.
func place(text string, err error) (message string, at, end int) {
	message, at = err.Error(), 0
	if exec, is := errors.AsType[template.ExecError](err); is {
		message = exec.Err.Error()
	}
	m := templateError.FindStringSubmatch(message)
	if m == nil {
		return message, 0, 1
	}
	message = strings.TrimPrefix(m[2], `executing "annotation" at `)
	line, _ := strconv.Atoi(m[1]) // digits
	for range line - 1 {
		at += strings.IndexByte(text[at:], '\n') + 1
	}
	row, _, _ := strings.Cut(text[at:], "\n")
	end = at + len(row)
	if word := quotedWord.FindStringSubmatch(message); word != nil && strings.Contains(row, word[1]) {
		at += strings.Index(row, word[1])
		end = at + len(word[1])
	}
	return message, at, end
}

// unknownFact returns the message about a field that is not one of Facts, else "".
func unknownFact(path []string) (message, hint string) {
	var known []string
	for f := range reflect.TypeFor[slo.Facts]().Fields() {
		if f.Name == path[0] {
			if isMap := f.Type.Kind() == reflect.Map; isMap && len(path) > 2 || !isMap && len(path) > 1 {
				return "template: ." + path[0] + " is text, and has no fields", ""
			}
			return "", ""
		}
		known = append(known, "."+f.Name)
	}
	hint = "known: " + strings.Join(known, ", ")
	if near := yamlfile.Nearest("."+path[0], known); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return "template: there is no field ." + path[0], hint
}
