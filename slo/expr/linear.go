package expr

import (
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/slo"
)

// linear reads an expression as a sum of counters, which is then counted
// exactly.
type linear struct {
	*query
	terms          slo.Counter
	rates, numbers int // how many of each
	selectors      []*parser.VectorSelector
	gauges         bool        // it is one of gauges instead
	obstacle       parser.Expr // in it, because of which it is not a sum of counters
}

// add adds the expression, weighted, to the terms; it reports false when it is
// no sum of counters.
func (l *linear) add(expr parser.Expr, weight float64) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return l.add(e.Expr, weight)
	case *parser.UnaryExpr:
		if e.Op == parser.SUB {
			weight = -weight
		}
		return l.add(e.Expr, weight)
	case *parser.AggregateExpr:
		if e.Op == parser.SUM {
			return l.add(e.Expr, weight)
		}
	case *parser.VectorSelector:
		if l.gauges && !moved(e) {
			l.term(e, weight)
			return true
		}
	case *parser.Call:
		return l.call(e, weight)
	case *parser.BinaryExpr:
		return l.binary(e, weight)
	}
	return l.fail(expr)
}

// fail notes why an expression is not a sum of counters, unless something in it is the
// reason.
func (l *linear) fail(e parser.Expr) bool {
	if l.obstacle == nil {
		l.obstacle = e
	}
	return false
}

func (l *linear) call(e *parser.Call, weight float64) bool {
	if guardedBy(e) {
		return l.guarded(e.Args[0], weight)
	}
	if l.gauges || e.Func.Name != "rate" && e.Func.Name != "increase" {
		return l.fail(e)
	}
	m, ok := Unwrap(e.Args[0]).(*parser.MatrixSelector)
	if !ok || !l.ranges[m] {
		return l.fail(e)
	}
	s, ok := m.VectorSelector.(*parser.VectorSelector)
	if !ok || moved(s) {
		return l.fail(e)
	}
	if e.Func.Name == "rate" {
		l.rates++
	} else {
		l.numbers++
	}
	l.term(s, weight)
	return true
}

func (l *linear) term(s *parser.VectorSelector, weight float64) {
	l.selectors = append(l.selectors, s)
	l.terms = append(l.terms, slo.Term{Selector: slo.NewSelector(s.LabelMatchers...), Weight: weight})
}

// moved reports whether a selector looks at another time than now.
func moved(s *parser.VectorSelector) bool {
	return s.OriginalOffset != 0 || s.Timestamp != nil || s.StartOrEnd != 0
}

func (l *linear) binary(e *parser.BinaryExpr, weight float64) bool {
	if m := e.VectorMatching; m != nil && (m.Card == parser.CardManyToOne || m.Card == parser.CardOneToMany) {
		return l.fail(e)
	}
	switch e.Op {
	case parser.ADD:
		return l.add(e.LHS, weight) && l.add(e.RHS, weight)
	case parser.SUB:
		return l.add(e.LHS, weight) && l.add(e.RHS, -weight)
	}
	left, isLeft := Constant(e.LHS)
	right, isRight := Constant(e.RHS)
	inner := compared(e)
	switch {
	case e.Op == parser.MUL && isLeft:
		return l.add(e.RHS, weight*left)
	case e.Op == parser.MUL && isRight:
		return l.add(e.LHS, weight*right)
	case e.Op == parser.DIV && isRight:
		return l.add(e.LHS, weight/right)
	case e.Op == parser.LOR && isZero(e.RHS): // counters that are not there count nothing
		return l.add(e.LHS, weight)
	case inner != nil:
		return l.guarded(inner, weight)
	}
	return l.fail(e)
}

// Constant is the value of an expression of numbers alone.
func Constant(e parser.Expr) (n float64, ok bool) {
	switch e := Unwrap(e).(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.UnaryExpr:
		n, ok = Constant(e.Expr)
		if e.Op == parser.SUB {
			n = -n
		}
		return n, ok
	case *parser.BinaryExpr:
		a, isA := Constant(e.LHS)
		b, isB := Constant(e.RHS)
		switch e.Op {
		case parser.ADD:
			return a + b, isA && isB
		case parser.SUB:
			return a - b, isA && isB
		case parser.MUL:
			return a * b, isA && isB
		case parser.DIV:
			return a / b, isA && isB
		}
	}
	return 0, false
}
