package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slowburn-slo/slowburn/slo"
)

// loadOne loads one SLO whose indicator is written in YAML's flow style.
func loadOne(sli string) *Set {
	return Load([]File{{Name: "slo.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: s\nslos:\n- name: a\n  objective: 99\n  sli: " + sli + "\n")}})
}

// measuredBad returns what the parser makes of an expression for bad events.
func measuredBad(t *testing.T, expr string) slo.Measure {
	t.Helper()
	set := loadOne("{events: {total: t_total, bad: '" + strings.ReplaceAll(expr, "'", "''") + "'}}")
	require.Len(t, set.SLOs, 1, "%s: %v", expr, set.Findings)
	return set.SLOs[0].Indicator.Measure()
}

// TestLinearExpressions holds which expressions are sums of counters, and of
// which. The weights are worked out by hand.
func TestLinearExpressions(t *testing.T) {
	for expr, want := range map[string]string{
		`a_total`:                                                   `a_total`,
		`(a_total{x="1"})`:                                          `a_total{x="1"}`,
		`sum(rate(a_total[$window]))`:                               `a_total`,
		`sum(increase(a_total[$window]))`:                           `a_total`,
		`increase(a_total[ $window ])`:                              `a_total`,
		`sum by (pod) (rate(a_total[$window]))`:                     `a_total`,
		`sum without (pod) (rate(a_total[$window]))`:                `a_total`,
		`sum(sum by (pod) ((rate((a_total[$window])))))`:            `a_total`,
		`sum(rate(a_total[$window])) * 60`:                          `60 * a_total`,
		`1e3 * sum(rate(a_total[$window])) / 4`:                     `250 * a_total`,
		`2 * (3 - 1) * sum(rate(a_total[$window]))`:                 `4 * a_total`,
		`-sum(rate(a_total[$window]))`:                              `-a_total`,
		`-(-sum(rate(a_total[$window])))`:                           `a_total`,
		`sum(rate(a_total[$window])) * -0.5`:                        `-0.5 * a_total`,
		`sum(rate(a_total[$window])) or vector(0)`:                  `a_total`,
		`(sum(rate(a_total[$window])) or on() vector(0))`:           `a_total`,
		`sum(rate(a_total[$window]) + rate(b_total[$window]))`:      `a_total + b_total`,
		`sum(rate(a_total[$window])) - sum(rate(b_total[$window]))`: `a_total - b_total`,
		`sum(rate(a_total[$window])) - (sum(rate(b_total[$window])) - 2 * sum(rate(c_total[$window])))`: `a_total - b_total + 2 * c_total`,
		`(sum(increase(a_total[$window])) - sum(increase(b_total[$window]))) / 2`:                       `0.5 * a_total - 0.5 * b_total`,
		`sum(rate(a_total[$window])) > 0`:                                                                         `a_total`,
		`0 < sum(rate(a_total[$window]))`:                                                                         `a_total`,
		`sum(rate(a_total[$window]) >= 0)`:                                                                        `a_total`,
		`sum(rate(a_total[$window])) != 0`:                                                                        `a_total`,
		`0 <= sum(rate(a_total[$window]))`:                                                                        `a_total`,
		`0 != sum(rate(a_total[$window]))`:                                                                        `a_total`,
		`-1 < sum(rate(a_total[$window]))`:                                                                        `a_total`,
		`sum(rate(a_total[$window])) or sum(0 * rate(t_total[$window]))`:                                          `a_total`,
		`sum(rate(a_total[$window])) or -vector(0)`:                                                               `a_total`,
		`sum(rate(a_total[$window])) or label_join(vector(0), "a", "", "b")`:                                      `a_total`,
		`sum(rate(a_total[$window])) or (vector(0) - 0 * up) / 2`:                                                 `a_total`,
		`sum(rate(a_total[$window])) or topk(1, 0 * up)`:                                                          `a_total`,
		`ceil(sum(increase(a_total[$window])))`:                                                                   `a_total`,
		`floor(abs(sum(increase(a_total[$window]))))`:                                                             `a_total`,
		`sum by (job) (rate(a_total[$window])) or 0 * sum by (job) (rate(t_total[$window]))`:                      `a_total`,
		`sum by (job) (rate(a_total[$window])) or sum by (job) (rate(t_total[$window]) * 0)`:                      `a_total`,
		`(sum(increase(a_total[$window])) or vector(0)) > 0`:                                                      `a_total`,
		`clamp_min(sum(rate(a_total[$window])), 0)`:                                                               `a_total`,
		`sum(clamp(rate(a_total[$window]), -0, +Inf))`:                                                            `a_total`,
		`round(sum(increase(a_total[$window])))`:                                                                  `a_total`,
		`round(clamp_min(sum(increase(a_total[$window])) or label_replace(vector(0), "a", "b", "", ""), 0), 0.1)`: `a_total`,
		`sum(rate(t_total[$window])) - (sum(rate(a_total[$window])) > 0 or vector(0))`:                            `t_total - a_total`,
		`2 * clamp_min(sum(rate(a_total[$window])) + sum(rate(b_total[$window])), 0)`:                             `2 * a_total + 2 * b_total`,
		`sum by ("x.y") (rate({"a.b", "c.d"=~"5.."}[$window]))`:                                                   `{"c.d"=~"5..",__name__="a.b"}`,
		`sum by (x) (rate(a_total[$window])) + on (x) sum by (x) (rate(b_total[$window]))`:                        `a_total + b_total`,
	} {
		c, ok := measuredBad(t, expr).(slo.Counters)
		require.True(t, ok, expr)
		require.Equal(t, want, c.Bad.String(), expr)
		require.Equal(t, "t_total", c.Total.String())
		require.True(t, c.Good.IsZero())
	}
}

// TestOtherExpressions holds what is evaluated for each slot, and by what its
// value becomes events: a value over two minutes is half of it a minute, a
// rate is one of seconds.
func TestOtherExpressions(t *testing.T) {
	for expr, factor := range map[string]float64{
		`max(rate(a_total[$window]))`:                                               60,
		`avg(increase(a_total[$window]))`:                                           0.5,
		`sum(irate(a_total[$window]))`:                                              60,
		`sum(deriv(a[$window]))`:                                                    60,
		`sum(changes(a[$window]))`:                                                  0.5,
		`sum(count_over_time(a[$window]))`:                                          0.5,
		`sum(sum_over_time(a[$window]))`:                                            0.5,
		`sum(rate(a_total[$window] offset 5m))`:                                     60,
		`sum(rate(a_total[$window])) * sum(b)`:                                      60,
		`1 / sum(rate(a_total[$window]))`:                                           60,
		`sum(rate(a_total[$window])) > 5`:                                           60,
		`(sum(rate(a_total[$window])) - sum(rate(b_total[$window]))) > 0`:           60,
		`sum(rate(a_total[$window])) > bool 0`:                                      60,
		`clamp_min(sum(rate(a_total[$window])), 1)`:                                 60,
		`clamp(sum(rate(a_total[$window])), 0, 10)`:                                 60,
		`round(sum(increase(a_total[$window])), 10)`:                                0.5,
		`abs(sum(rate(a_total[$window])) - sum(rate(b_total[$window])))`:            60,
		`sum(rate(a_total[$window])) or vector(0) / 0`:                              60,
		`sum(rate(a_total[$window])) or count(0 * up)`:                              60,
		`0 > sum(rate(a_total[$window]))`:                                           60,
		`sum(rate(a_total[$window])) < 0`:                                           60,
		`vector(0) or sum(rate(a_total[$window]))`:                                  60,
		`sum(rate(a_total[$window])) or sum(rate(b_total[$window]))`:                60,
		`sum(rate(a_total[$window])) + 5`:                                           60,
		`sum(rate(a_total[$window])) or vector(1)`:                                  60,
		`sum(rate(a_total[$window])) and sum(b)`:                                    60,
		`sum(increase(a_total[$window:1m]))`:                                        0.5,
		`sum(rate(a_total[$window]) * on (x) group_left () b)`:                      60,
		`sum(rate(a_total[$window]) + on (x) group_left () rate(b_total[$window]))`: 60,
		`clamp_min(sum(rate(a_total[$window])) - sum(rate(b_total[$window])), 0)`:   60,
		`sum(histogram_count(rate(a_seconds[$window])))`:                            60,
		`sum(rate(a_total[$window])) - sum(rate(b_total[5m]))`:                      60,
		`sum(increase_pure(a_total[$window]))`:                                      0.5, // MetricsQL from here
		`sum(increase_prometheus(a_total[$window]))`:                                0.5,
		`sum(rollup_rate(a_total[$window], "avg"))`:                                 60,
		`sum(rate(a_total[$window]) keep_metric_names)`:                             60,
		`sum(rate(a_total[$window])) default 0`:                                     60,
		`sum(rate({__name__="a_total", x="1" or x="2"}[$window]))`:                  60,
		`sum(count_gt_over_time(queue[$window], 3)) if sum(rate(a_total[5m])) > 0`:  0.5,
	} {
		r, ok := measuredBad(t, expr).(slo.Rates)
		require.True(t, ok, expr)
		require.Equal(t, strings.ReplaceAll(expr, "$window", "2m"), r.Bad.Query)
		require.InDelta(t, factor, r.Bad.Factor, 0, expr)
		require.Equal(t, "sum(increase(t_total[2m]))", r.Total.Query)
		require.InDelta(t, 0.5, r.Total.Factor, 0)
	}
}

// TestBareCountersBesideRatesKeepGroups holds that what is made of a selector
// keeps the labels that the groups differ in.
func TestBareCountersBesideRatesKeepGroups(t *testing.T) {
	set := Load([]File{{Name: "slo.yaml", Text: []byte(`apiVersion: slowburn/v1
service: s
slos:
  - name: a
    objective: 99
    group_by: [tenant, region]
    sli: {events: {bad: 'sum by (region, tenant) (changes(a[$window]))', total: b_total}}
`)}})
	require.Empty(t, set.Findings)
	require.Equal(t, "sum by (tenant, region) (increase(b_total[2m]))", set.SLOs[0].Indicator.Measure().(slo.Rates).Total.Query)
}

// TestPlacesBehindWindow holds that whatever stands before a mistake, $window
// and wide characters included, the finding points at it.
func TestPlacesBehindWindow(t *testing.T) {
	before := []string{
		"sum(rate(a_total[$window])) + ", "sum(rate(b_total[ $window ])) - ", `sum(rate(c_total{x="größe 語"}[$window])) + `,
		"2 * ", "-", "sum by (x) (rate(d_total[$window:1m])) + ",
	}
	mistakes := []struct{ text, at, message string }{
		{"a_total{job=shop}", "shop", `PromQL: unexpected identifier "shop" in label matching, expected string`},
		{"sum(nosuch(a_total[$window]))", "nosuch", `PromQL: unknown function with name "nosuch"`},
		{"sum(a_total > $window)", "$window", "$window is a range and stands in brackets only"},
		{`sum(rate(a_total{x="$window"}[$window]))`, "$window", "$window is a range and stands in brackets only"},
		{"sum(max_over_time(a_total[$window]))", "max_over_time", "max_over_time() gives no number of events"},
	}
	rapid.Check(t, func(t *rapid.T) {
		expr := strings.Join(rapid.SliceOfN(rapid.SampledFrom(before), 0, 5).Draw(t, "before"), "")
		m := rapid.SampledFrom(mistakes).Draw(t, "mistake")
		at := len([]rune(expr)) + strings.Index(m.text, m.at)
		expr += m.text + rapid.SampledFrom([]string{"", " + sum(rate(z_total[$window]))"}).Draw(t, "after")
		text := "apiVersion: slowburn/v1\nservice: s\nslos:\n- name: a\n  objective: 99\n  sli:\n    events:\n      total: t_total\n      bad: "
		line, column := 9, len("      bad: '")+1+at
		switch rapid.IntRange(0, 2).Draw(t, "style") {
		case 0:
			text += "'" + expr + "'\n"
		case 1:
			text += `"` + strings.ReplaceAll(expr, `"`, `\"`) + "\"\n"
			column += strings.Count(string([]rune(expr)[:at]), `"`)
		case 2:
			text += "|\n        " + expr + "\n"
			line, column = 10, len("        ")+1+at
		}
		var all []string
		for _, f := range Load([]File{{Name: "slo.yaml", Text: []byte(text)}}).Findings {
			all = append(all, f.String())
		}
		require.Contains(t, all, fmt.Sprintf("slo.yaml:%d:%d: %s", line, column, m.message), text)
	})
}

// TestLongQueries holds that files of other people can't keep the parser busy.
func TestLongQueries(t *testing.T) {
	nested := func(n int) string {
		return strings.Repeat("1 * (", n) + "sum(rate(a_total[$window]))" + strings.Repeat(")", n)
	}
	require.Equal(t, "a_total", measuredBad(t, nested(2500)).(slo.Counters).Bad.String())
	set := loadOne("{events: {total: t_total, bad: '" + nested(3000) + "'}}")
	require.Len(t, set.Findings, 1)
	require.Equal(t, "slo.yaml:6:39: the text is longer than 16 KiB", set.Findings[0].String())

	// What this stands for would take all memory there is.
	bomb := "WITH (a0 = x + x"
	for i := range 200 {
		bomb += fmt.Sprintf(", a%d = a%d + a%d", i+1, i, i)
	}
	set = loadOne("{events: {total: t_total, bad: '" + bomb + ") sum(increase_pure(a200[$window]))'}}")
	require.Equal(t, "slo.yaml:6:40: templates of MetricsQL are not read", set.Findings[0].String())
	set = loadOne("{threshold: {op: <, value: 1, query: '" + strings.Repeat("ru(1, ", 300) + "1" + strings.Repeat(")", 300) + "'}}")
	require.Equal(t, `slo.yaml:6:46: PromQL: unknown function with name "ru"`, set.Findings[0].String())
}
