package rules

import (
	"strconv"
	"strings"
)

// expr is an expression of PromQL that can be laid out over lines.
type expr struct {
	text  string // on one line, but for lines of users
	level int    // how tightly its operators bind
	parts []expr // operands or arguments, none of a text
	ops   []string
	open  string // of a call, with the parenthesis
	end   string
}

// The levels of binary operators, from those that bind least.
const (
	levelOr = iota + 1
	levelAnd
	levelComparison
	levelSum
	levelProduct
	levelPower
	levelAtom
)

// levelOf returns the level of an operator with its matching, such as "and on (x)".
func levelOf(op string) int {
	switch word, _, _ := strings.Cut(op, " "); word {
	case "or":
		return levelOr
	case "and", "unless":
		return levelAnd
	case "+", "-":
		return levelSum
	case "*", "/", "%":
		return levelProduct
	case "^":
		return levelPower
	}
	return levelComparison
}

// raw is an expression that needs no parentheses, such as a selector.
func raw(s string) expr { return expr{text: s, level: levelAtom} }

// call calls a function, whose arguments may be numbers and strings too.
func call(name string, args ...expr) expr { return enclosed(name+"(", args, ")") }

// enclosed has expressions between two texts.
func enclosed(open string, parts []expr, end string) expr {
	list := make([]string, len(parts))
	for i, p := range parts {
		list[i] = p.text
	}
	return expr{text: open + strings.Join(list, ", ") + end, level: levelAtom, parts: parts, open: open, end: end}
}

func quoted(s string) expr { return raw(strconv.Quote(s)) }

// overTime is a function of the samples of a selector in a range.
func overTime(name, selector, span string) expr {
	return call(name+"_over_time", raw(selector+"["+span+"]"))
}

// infix joins two expressions by an operator with its matching.
func infix(a expr, op string, b expr) expr {
	level := levelOf(op)
	if a.level < level {
		a = enclosed("(", []expr{a}, ")")
	}
	if b.level <= level {
		b = enclosed("(", []expr{b}, ")")
	}
	out := expr{text: a.text + " " + op + " " + b.text, level: level, parts: []expr{a, b}, ops: []string{op}}
	if a.level == level {
		out.parts = append(append([]expr{}, a.parts...), b)
		out.ops = append(append([]string{}, a.ops...), op)
	}
	return out
}

// or has the series of the first of these expressions that has them.
func or(list ...expr) expr {
	out := list[0]
	for _, e := range list[1:] {
		out = infix(out, "or", e)
	}
	return out
}

// orOn is like or, with matching such as "on (slo_id)".
func (e expr) orOn(matching string, other expr) expr     { return infix(e, "or "+matching, other) }
func (e expr) and(other expr) expr                       { return infix(e, "and", other) }
func (e expr) andOn(matching string, other expr) expr    { return infix(e, "and "+matching, other) }
func (e expr) unless(other expr) expr                    { return infix(e, "unless", other) }
func (e expr) unlessOn(matching string, other expr) expr { return infix(e, "unless "+matching, other) }
func (e expr) plus(other expr) expr                      { return infix(e, "+", other) }
func (e expr) minus(other expr) expr                     { return infix(e, "-", other) }
func (e expr) times(other expr) expr                     { return infix(e, "*", other) }
func (e expr) dividedBy(other expr) expr                 { return infix(e, "/", other) }

func (e expr) remainder(number string) expr { return infix(e, "%", raw(number)) }

// is keeps the series whose values compare so, as in is(">", raw("0")).
func (e expr) is(comparison string, other expr) expr { return infix(e, comparison, other) }

// above keeps the series whose values are above a number.
func (e expr) above(number string) expr { return e.is(">", raw(number)) }

// zero is 0 for each series.
func (e expr) zero() expr { return raw("0").times(e) }

// notNegative and atMost replace lower and higher values.
func (e expr) notNegative() expr         { return call("clamp_min", e, raw("0")) }
func (e expr) atMost(number string) expr { return call("clamp_max", e, raw(number)) }

// width is how long a line becomes before an expression is laid out over more.
const width = 190

// write writes the expression from a column on, after as much of a line as before says.
func (e expr) write(b *strings.Builder, column, before int) {
	line := "\n" + strings.Repeat(" ", column)
	switch {
	case !strings.Contains(e.text, "\n") && (column+before+len(e.text) <= width || len(e.parts) == 0):
		b.WriteString(e.text)
	case len(e.parts) == 0:
		b.WriteString(strings.ReplaceAll(e.text, "\n", line))
	case len(e.ops) == 0:
		b.WriteString(e.open)
		for i, p := range e.parts {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(line + "  ")
			p.write(b, column+2, 0)
		}
		b.WriteString(line + e.end)
	default:
		for i, p := range e.parts {
			indent := column
			if i > 0 {
				op := e.ops[i-1] + " "
				before = len(op)
				b.WriteString(line + op)
			}
			if len(p.ops) > 0 {
				indent += 2
			}
			p.write(b, indent, before)
		}
	}
}

// layout is the expression over lines, from a column on.
func (e expr) layout(column int) string {
	var b strings.Builder
	e.write(&b, column, 0)
	return b.String()
}
