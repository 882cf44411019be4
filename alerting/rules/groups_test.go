package rules

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// grouped is an SLO split by labels.
func grouped(s *slo.SLO, by ...string) *slo.SLO {
	out := *s
	out.Groups = &slo.Groups{By: by, Limit: spec.DefaultGroups, Objectives: map[string]slo.Objective{}}
	return &out
}

// within is a series with one more label, some samples later.
func within(label, line string, later int) string {
	series, values, _ := strings.Cut(line, " ")
	if name, rest, ok := strings.Cut(series, "{"); ok {
		series = name + "{" + label + "," + rest
	} else {
		series += "{" + label + "}"
	}
	return series + strings.Repeat(" _", later) + " " + values
}

// splits reports whether the SLO of a case may be split, and has series.
func (c kindCase) splits(t *testing.T) bool {
	s := grouped(c.slo(t), "tenant")
	_, parts := s.Indicator.Measure().(slo.Parts)
	return !parts && Refusal(s) == "" && c.series != nil
}

// TestSlotsOfGroups has the series of every case for two tenants of the same
// targets, the second two slots later: each tenant has what is worked out by hand
// for the case. What has no tenant is in no group.
func TestSlotsOfGroups(t *testing.T) {
	split, phases := 0, []time.Duration{59999 * time.Millisecond, 0, 30 * time.Second}
	if testing.Short() {
		phases = phases[:1]
	}
	for _, tt := range allCases() {
		s := grouped(tt.slo(t), "tenant")
		if !tt.splits(t) {
			continue
		}
		split++
		for _, phase := range phases {
			t.Run(fmt.Sprintf("%s/%s", tt.name, phase), func(t *testing.T) {
				b := newBackend(t)
				later := tt.seriesAt(b.epoch.Unix() + 120)
				for i, line := range tt.seriesAt(b.epoch.Unix()) {
					b.load(7*time.Second, 30*time.Second, line, within(`tenant="a"`, line, 0), within(`tenant="b"`, later[i], 4), within(`tenant="a\"b"`, line, 0))
				}
				b.run(s, Options{Policies: alerting.BuiltIn()}, phase, 15*time.Minute)
				u := unknown
				for of, want := range map[string][]float64{"a": nil, "b": {u, u}} {
					id := fmt.Sprintf(`,slo_id="%s{tenant=\"%s\"}",slo_service="%s",slo="%s",tenant="%[2]s"`, s.ID(), of, s.Service, s.Name)
					if s.Slice != nil && s.Slice.Length > slo.Window(time.Minute) && of == "b" {
						continue // slices lie on the clock
					}
					require.Equal(t, texts(append(want, tt.wantTotal...)), texts(b.slots(with(totalSlots, id), len(want)+len(tt.wantTotal))), "total of %s", of)
					require.Equal(t, texts(append(want, tt.wantBad...)), texts(b.slots(with(badSlots, id), len(want)+len(tt.wantBad))), "bad of %s", of)
				}
				values, _ := b.samples(`slo:slot:events{slo_id!~"[a-z]+/[a-z]+(\\{tenant=\"[ab]\"\\})?"}`)
				require.Empty(t, values, "of no group")
			})
		}
	}
	require.Greater(t, split, 30)
}

// TestGroups has requests of four tenants in two regions: of acme 10 % fail, of
// globex 20 % until it is gone at 0:30, and of initech none are made from 0:20 on.
func TestGroups(t *testing.T) {
	s := grouped(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), hour), "tenant", "region")
	s.Labels = nil
	s.Objective = objective(t, "90")
	s.Groups.Objectives["acme, inc,eu"] = objective(t, "98")
	b := newBackend(t)
	of := func(tenant, region, code, values string) string {
		return fmt.Sprintf(`requests_total{job="j",instance="a",tenant=%q,region=%q,code=%q} `, tenant, region, code) + values
	}
	b.load(20*time.Second, time.Minute,
		of("acme, inc", "eu", "200", "0+90x120"), of("acme, inc", "eu", "500", "0+10x120"),
		of("acme, inc", "us", "200", "0+90x120"), of("acme, inc", "us", "500", "0+10x120"),
		of("globex", "eu", "200", "0+80x29 stale"), of("globex", "eu", "500", "0+20x29 stale"),
		of("initech", "eu", "200", "0+50x20 1000x100"),
		of("", "eu", "200", "0+7x120"), of("umbrella", "", "200", "0+7x120"))
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn()}, 45*time.Second, 110*time.Minute)
	id := func(tenant, region string) string {
		one := *s
		one.Group = map[string]string{"tenant": tenant, "region": region}
		return fmt.Sprintf(`{slo_id=%q,slo_service="checkout",slo="availability",tenant=%q,region=%q}`, one.ID(), tenant, region)
	}
	// The newest slot at 0:40:45 is the one that ended at 0:40. The first known
	// one ended at 0:02, as that of 0:00:20 is the first sample: 39 of acme are
	// known, and of globex, whose last sample is at 0:29:20, the 29 until 0:30.
	const at = 40*time.Minute + 45*time.Second
	for query, want := range map[string]float64{
		"count(slo_info)": 1 + 4,
		`slo_info{source="rules",window="1h"} * on (slo_id) ` + "slo_objective_ratio" + id("acme, inc", "us"): 0.9,
		"slo_objective_ratio" + id("acme, inc", "eu"):                                                         0.98,
		"sum(slo_window_events" + id("acme, inc", "eu") + ")":                                                 3900,
		`slo_burn_rate{window="5m"} * on (slo_id) slo_info` + id("acme, inc", "us"):                           1,
		`slo_burn_rate{window="5m"} * on (slo_id) slo_info` + id("acme, inc", "eu"):                           5,
		"slo_error_budget_remaining_ratio" + id("acme, inc", "eu"):                                            -4,
		"slo_error_budget_remaining_ratio" + id("acme, inc", "us"):                                            0,
		"slo_error_budget_events" + id("acme, inc", "eu"):                                                     78,
		"slo_sli_ratio" + id("globex", "eu"):                                                                  0.8,
		"slo_coverage_ratio" + id("globex", "eu"):                                                             29.0 / 60,
		"slo_error_budget_remaining_ratio" + id("globex", "eu"):                                               -1,
		`count(slo_burn_rate{window="5m"} * on (slo_id) slo_info` + id("globex", "eu") + `) or vector(-1)`:    -1,
		`slo_data_state{state="no_data"} * on (slo_id) slo_info` + id("globex", "eu"):                         1,
		`slo_data_state{state="no_traffic"} * on (slo_id) slo_info` + id("initech", "eu"):                     1,
		`slo_data_state{state="ok"} * on (slo_id) slo_info` + id("acme, inc", "eu"):                           1,
		"count(slo_data_state)": 1 + 4,
		`slo_alert_firing{severity="ticket"} * on (slo_id) slo_info` + id("acme, inc", "eu"): 1,
		`slo_alert_firing{severity="page"} * on (slo_id) slo_info` + id("acme, inc", "eu"):   0,
		`slo_alert_firing{severity="ticket"} * on (slo_id) slo_info` + id("acme, inc", "us"): 0,
		`count(slo_alert_firing)`: 2 * (1 + 4),
		`count(ALERTS)`:           1, // of acme in eu
		`count(slo:slot:events{slo_id=~".*(umbrella|\"\").*"}) or vector(0)`: 0,
	} {
		require.InDelta(t, want, b.value(query, at), 1e-9, query)
	}
	// At 1:30:45 the window begins with the slot that ended at 0:31.
	require.Equal(t, 4.0, b.value("count(slo_info)", 90*time.Minute+45*time.Second))
	require.Equal(t, 0.0, b.value(`count({tenant="globex",slo_id!=""}) or vector(0)`, 90*time.Minute+45*time.Second), "it is gone")
}

// TestLongWindowsOfGroups has a tenant that is gone after four hours of ten, over
// 8 h.
func TestLongWindowsOfGroups(t *testing.T) {
	s := grouped(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 8*hour), "tenant")
	s.Objective, s.Groups.Objectives["b"] = objective(t, "90"), objective(t, "99")
	b := newBackend(t)
	for tenant, values := range map[string][2]string{"a": {"0+8x700", "0+2x700"}, "b": {"0+9x239 stale", "0+1x239 stale"}} {
		for i, code := range []string{"200", "500"} {
			b.load(20*time.Second, time.Minute, fmt.Sprintf(`requests_total{job="j",instance="a",tenant=%q,code=%q} `, tenant, code)+values[i])
		}
	}
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn()}, 0, 10*time.Hour)
	// At 9:50 the window is (1:44, 9:44]; b's last slot ends at 4:00, so that of
	// it 136 slots are left.
	at := 9*time.Hour + 50*time.Minute
	of := func(metric, tenant string) string { return metric + `{tenant="` + tenant + `"}` }
	for query, want := range map[string]float64{
		of("sum(slo_window_events", "a") + ")": 4800, of("sum(slo_window_events", "b") + ")": 1360,
		of("slo_coverage_ratio", "a"): 1, of("slo_coverage_ratio", "b"): 136.0 / 480,
		of("slo_error_budget_remaining_ratio", "a"): -1, of("slo_error_budget_remaining_ratio", "b"): -9,
		of("slo_info", "b"): 1, `count(ALERTS{tenant="b"}) or vector(0)`: 0,
		`slo_data_state{state="no_data"}`: 1, `count(slo_info)`: 3,
	} {
		require.InDelta(t, want, b.value(query, at), 1e-9, query)
	}
}

// TestGroupsAgree holds the rules of groups against the groups of the evaluator,
// on random worlds that are tenants of one SLO.
func TestGroupsAgree(t *testing.T) {
	compared, seeds := 0, uint64(40)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		worlds := tenants(t, seed)
		if worlds["a"].slo.Window.Length > 2*hour {
			continue
		}
		compared++
		t.Run(fmt.Sprint(seed), func(t *testing.T) { groupsAgree(t, worlds, runSeries) })
	}
	require.Greater(t, compared, int(seeds/8))
}

// tenants are worlds of one SLO.
func tenants(t *testing.T, seed uint64) map[string]*world {
	worlds := map[string]*world{}
	for i, tenant := range []string{"a", "b", "c"} {
		bytes := worldBytes(seed)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for j := 8; j < len(bytes); j++ { // after those that make the SLO
			bytes[j] = byte(r.Uint32())
		}
		worlds[tenant] = newWorld(t, bytes)
	}
	return worlds
}

func groupsAgree(t *testing.T, worlds map[string]*world, run runner) {
	t.Helper()
	db := servers.Embedded(t)
	for tenant, w := range worlds {
		in := *w
		in.series = map[string][]memprom.Sample{}
		for series, samples := range w.series {
			// A process is of one tenant: it restarts with all its counters, which rules of
			// one tenant don't see of the others.
			series = strings.ReplaceAll(series, `instance="`, `instance="`+tenant+"-")
			in.series[strings.TrimSpace(strings.TrimSuffix(within("tenant="+strconv.Quote(tenant), series, 0), " "))] = samples
		}
		in.load(t, db)
	}
	a := worlds["a"]
	s := grouped(a.slo, "tenant")
	s.Groups.Objectives["c"] = objective(t, "97")
	run(t, db, s, at(0), at(a.minutes))
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	for _, late := range []int{35, 20, 5} {
		end := a.minutes - late
		for a.resumed[end] || worlds["b"].resumed[end] || worlds["c"].resumed[end] {
			end--
		}
		all, timelines := evaluateGroups(t, server.URL, s, at(end))
		require.Len(t, all, 4)
		for i := range all[1:] {
			one := &all[i+1]
			require.Positive(t, one.Windows[len(one.Windows)-1].Coverage)
			c := &comparison{t: t, world: worlds[one.Group["tenant"]], db: db, url: server.URL, only: one.ID}
			c.readSlots()
			c.slots(end, timelines[one.ID])
			c.windows(end, one)
		}
	}
}

// evaluateGroups evaluates an SLO and its groups, and gives their timelines by their
// ids.
func evaluateGroups(t *testing.T, url string, s *slo.SLO, end time.Time) ([]evaluator.Status, map[string]*timeline.Timeline) {
	t.Helper()
	timelines := map[string]*timeline.Timeline{}
	o := evaluatorOptions(url)
	o.NewJudge = func() evaluator.Judge {
		return func(s *slo.SLO, t *timeline.Timeline, _ timeline.Minute) []evaluator.FiringAlert {
			timelines[s.ID()] = t
			return nil
		}
	}
	o.Lookback = func(s *slo.SLO) time.Duration { return s.Window.Length.Duration() + runUp }
	return evaluateAllAt(t, o, s, end), timelines
}

// TestAlertOfAGroupPromtool has the oldest supported promtool fire the alert of
// a group whose name means something in templates and formats.
func TestAlertOfAGroupPromtool(t *testing.T) {
	s := grouped(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), hour), "tenant")
	s.Links, s.Objective = nil, objective(t, "90")
	s.Groups.Objectives["100% `{{x}}"] = objective(t, "50")
	s.Alerting.Annotations = map[string]string{"link": `/?id={{ urlquery .ID }}&tenant={{ .Group.tenant | urlquery }}`}
	// With the objective 50 a burn rate of 1.8 is a ticket: trend.
	test := `
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'requests_total{tenant="acme",code="200"}', values: '0+100x60'}
      - {series: 'requests_total{tenant="acme",code="500"}', values: '0x60'}
      - {series: "requests_total{tenant='100% ` + "`" + `{{x}}',code='200'}", values: '0+10x60'}
      - {series: "requests_total{tenant='100% ` + "`" + `{{x}}',code='500'}", values: '0+90x60'}
    alert_rule_test:
      - alertname: ErrorBudgetBurn
        eval_time: 31m
        exp_alerts:
          - exp_labels: {slo_id: checkout/availability, slo_service: checkout, slo: availability, slo_owner: team-payments, severity: ticket, tier: "1", region: 'eu {{ "x" }}'}
            exp_annotations:
              summary: checkout availability burns its error budget 4.5x too fast
              description: "The share of bad events is 4.5 times what 90 % over 1h allows. Nothing (-350%) of the error budget is left."
              tier: daily
              link: /?id=checkout%2Favailability&tenant=
          - exp_labels: {slo_id: 'checkout/availability{tenant="100% ` + "`" + `{{x}}"}', tenant: '100% ` + "`" + `{{x}}', slo_service: checkout, slo: availability, slo_owner: team-payments, severity: ticket, tier: "1", region: 'eu {{ "x" }}'}
            exp_annotations:
              summary: 'checkout/availability{tenant="100% ` + "`" + `{{x}}"} burns its error budget 1.8x too fast'
              description: "The share of bad events is 1.8 times what its objective over 1h allows. Nothing (-80%) of the error budget is left."
              tier: trend
              link: /?id=checkout%2Favailability%7Btenant%3D%22100%25+%60%7B%7Bx%7D%7D%22%7D&tenant=100%25+%60%7B%7Bx%7D%7D
`
	proveRules(t, s, alerting.BuiltIn(), test)
}

// TestPlainValues holds what stands in an slo_id as it is against how slo.SLO.ID
// writes it, for every character that Unicode assigns.
func TestPlainValues(t *testing.T) {
	pattern := regexp.MustCompile("^" + plain + "$")
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if text := string(r); unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.C) && text != "\ufffd" {
			require.Equal(t, strconv.Quote(text) == `"`+text+`"`, pattern.MatchString(text), "%q", text)
		}
	}
	require.False(t, pattern.MatchString(""))
}
