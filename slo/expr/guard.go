package expr

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// Guards are functions and operators around a sum of counters that change nothing
// that is counted: they leave out what is 0, or make it 0 where it would be absent,
// below 0 or a fraction.

// guarded adds what is inside a guard. It must not be able to fall below 0, where
// some guards cut: a difference of counters can.
func (l *linear) guarded(e parser.Expr, weight float64) bool {
	before := len(l.terms)
	if !l.add(e, weight) {
		return false
	}
	for _, t := range l.terms[before:] {
		if t.Weight*weight < 0 {
			l.obstacle = e
			return false
		}
	}
	return true
}

// guardedBy reports whether a call is a guard of its first argument: clamp_min(x, 0),
// clamp(x, 0, Inf), round(x), or a function like it.
func guardedBy(e *parser.Call) bool {
	number := func(i int) float64 {
		if n, ok := Constant(e.Args[i]); ok {
			return n
		}
		return math.NaN()
	}
	switch e.Func.Name {
	case "clamp_min":
		return number(1) <= 0
	case "clamp":
		return number(1) <= 0 && math.IsInf(number(2), 1)
	case "round":
		return len(e.Args) < 2 || number(1) <= 1
	case "ceil", "floor", "abs":
		return true
	}
	return false
}

// compared returns the values of a comparison that drops nothing but 0, such as x > 0 or
// 0 <= x. It returns nil for others.
func compared(e *parser.BinaryExpr) parser.Expr {
	if e.ReturnBool {
		return nil
	}
	bound, isBound := Constant(e.RHS)
	vector, op := e.LHS, e.Op
	if !isBound {
		bound, isBound = Constant(e.LHS)
		vector, op = e.RHS, map[parser.ItemType]parser.ItemType{parser.LSS: parser.GTR, parser.LTE: parser.GTE, parser.NEQ: parser.NEQ}[e.Op]
	}
	keepsMore := op == parser.GTR || op == parser.GTE || op == parser.NEQ
	if isBound && bound <= 0 && keepsMore {
		return vector
	}
	return nil
}

// isZero reports whether an expression is 0 wherever it has a value.
func isZero(e parser.Expr) bool {
	if n, ok := Constant(e); ok {
		return n == 0
	}
	switch e := Unwrap(e).(type) {
	case *parser.UnaryExpr:
		return isZero(e.Expr)
	case *parser.AggregateExpr:
		return isZero(e.Expr) && (e.Op == parser.SUM || e.Op == parser.MAX || e.Op == parser.MIN || e.Op == parser.AVG || e.Op == parser.TOPK || e.Op == parser.BOTTOMK)
	case *parser.Call:
		switch e.Func.Name {
		case "vector", "label_replace", "label_join", "round", "abs", "ceil", "floor", "sort", "sort_desc":
			return isZero(e.Args[0])
		}
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.MUL:
			return isZero(e.LHS) || isZero(e.RHS)
		case parser.DIV:
			n, ok := Constant(e.RHS)
			return isZero(e.LHS) && ok && n != 0
		case parser.ADD, parser.SUB, parser.LOR:
			return isZero(e.LHS) && isZero(e.RHS)
		}
	}
	return false
}
