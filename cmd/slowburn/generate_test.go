package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestRefusedRules lists each SLO that rules can't carry, where it stands.
func TestRefusedRules(t *testing.T) {
	year, err := slo.NewCalendar(slo.Year, "UTC")
	require.NoError(t, err)
	at := func(name string, line int, window slo.Period) *slo.SLO {
		return &slo.SLO{Service: "shop", Name: name, Window: window, Indicator: slo.Events{Numbers: slo.Counters{}}, Origin: slo.Origin{File: "shop.yaml", Line: line, Column: 5}}
	}
	var b strings.Builder
	_, err = (&rulesFlags{}).supported(streams{err: &b}, []*slo.SLO{at("b", 20, year), at("fine", 2, slo.Rolling(slo.MaxWindow)), at("a", 9, year)}, rules.Options{})
	require.Equal(t, codeError{code: exitFindings}, err)
	require.Regexp(t, `(?s)^shop.yaml:9:5: shop/a: .*calendar: year.*\nshop.yaml:20:5: shop/b: `, b.String())
	require.NotContains(t, b.String(), "fine")
}
