package rules

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// incidentDay is a database with two processes of 100 requests a minute each,
// scraped each 30 s, for a day and some hours. Each 40 minutes one request fails,
// and 30 % do in the first 20 minutes of the second day.
func incidentDay(t *testing.T) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	for _, instance := range []string{"a", "b"} {
		const scrapes = 2 * 30 * 60
		good, bad := make([]memprom.Sample, 0, scrapes), make([]memprom.Sample, 0, scrapes)
		ok, failed := 5000.0, 3.0
		for scrape := range scrapes {
			now := epoch.Add(7*time.Second + time.Duration(scrape)*30*time.Second)
			fails := 0.0
			switch minute := scrape / 2; {
			case minute >= 1440 && minute < 1460:
				fails = 15
			case instance == "a" && scrape%80 == 40:
				fails = 1
			}
			ok, failed = ok+50-fails, failed+fails
			good, bad = append(good, memprom.Sample{Time: now, Value: ok}), append(bad, memprom.Sample{Time: now, Value: failed})
		}
		lset := labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", instance)
		require.NoError(t, db.Add(t.Context(), labels.NewBuilder(lset).Set("code", "200").Labels(), good...))
		require.NoError(t, db.Add(t.Context(), labels.NewBuilder(lset).Set("code", "500").Labels(), bad...))
	}
	return db
}

// TestIncident has an SLO over two days alert by the rules and by the evaluator.
// What they should say follows from its tiers, 99.9 %, and 30 % bad in the slots
// that end from minute 1441 to 1460. By the classic policy:
//
//   - The page begins with the first of them: a thirtieth of 30 % is 1 % over 30
//     min, a fifth 6 % over 5 min, both over 0.6 %, tier "slow". It is over when 5
//     minutes are clean, at 1465.
//   - The ticket begins with the second: 0.17 % over 6 h and 2 % over 30 min, both
//     over 0.1 %, tier "trend"; 0.5 % over 2 h and 6 % over 10 min are over 0.3 %
//     too, tier "daily". It is over when 30 minutes are clean, at 1490.
//
// By the default one:
//
//   - The page begins with the first of them, too: 6 % over 5 min is over 1.44 %,
//     60 bad events are 0.1 of what two days allow, 576, and where 1 of 1,000 is
//     expected they are no chance. It is kept for 10 minutes: over at 1475.
//   - So does the ticket with the second, by "daily" and by "trickle", for which
//     0.05 of 576 are needed. It is over when the 2 h of "trickle" have less than
//     half of what is allowed, as soon as they are clean, at 1580.
//
// The rules evaluate a slot from 30 to 90 s after its end, as they are shifted
// within the minute, and the evaluator 30 s after it: they begin within a minute
// of each other. The evaluator ends an alert by settled slots only, 2 minutes
// later, so it is the later one by 1 to 2 minutes.
func TestIncident(t *testing.T) {
	type episode struct {
		severity, tier string
		begins, ends   int
	}
	for policy, episodes := range map[string][]episode{
		"classic":         {{slo.Page, "fast", 1441, 1465}, {slo.Ticket, "daily", 1442, 1490}},
		slo.DefaultPolicy: {{slo.Page, "fast", 1441, 1475}, {slo.Ticket, "daily", 1442, 1580}},
	} {
		t.Run(policy, func(t *testing.T) {
			db := incidentDay(t)
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			s := withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 2*day)
			s.Alerting.Policy = policy
			runSeries(t, db, s, epoch, at(1430))
			runGroups(t, db, s, at(1430), at(episodes[1].ends+10))
			for _, tt := range episodes {
				alerts := recorded(t, db, `ALERTS{alertname="ErrorBudgetBurn",alertstate="firing",severity="`+tt.severity+`"}`)
				require.NotEmpty(t, alerts, tt.severity)
				first, last := alerts[0].Time, alerts[len(alerts)-1].Time
				require.Len(t, alerts, 1+int(last.Sub(first)/time.Minute), "one episode")
				between(t, at(tt.begins).Add(30*time.Second), first, time.Minute)
				between(t, at(tt.ends-1).Add(30*time.Second), last, time.Minute)

				fires := func(end int) *evaluator.FiringAlert {
					for _, a := range evaluateAt(t, evaluatorOptions(server.URL), s, at(end)).Alerts {
						if a.Burns() && a.Severity == tt.severity {
							return &a
						}
					}
					return nil
				}
				require.Nil(t, fires(tt.begins-1))
				for _, end := range []int{tt.begins, 1460, tt.ends, tt.ends + 1} {
					a := fires(end)
					require.NotNil(t, a, "%s at minute %d", tt.severity, end)
					require.Equal(t, at(tt.begins), a.Since)
				}
				require.Equal(t, tt.tier, fires(1460).Tier)
				require.Nil(t, fires(tt.ends+2))
			}
		})
	}
}

// between holds a time against [from, from+length).
func between(t *testing.T, from, got time.Time, length time.Duration) {
	t.Helper()
	require.Falsef(t, got.Before(from) || !got.Before(from.Add(length)), "%s is not within %s of %s", got, length, from)
}

// TestIncidentOverAMonth is the same for 30 days, of which one is known. The
// page's windows end with the newest slot here too: it begins with the third bad
// slot, 1.5 % of the hour, and ends when 30 minutes are clean, at 1490; by the
// default policy when 15 are, or 5 are and 10 more minutes are over, at 1475. Those
// of the ticket are of whole quarters of an hour: with the fifth bad slot the three
// days have 0.104 %, 150 of 1,445, and the evaluator's ticket begins; the rules'
// when the quarter that ends at 1455 is added up, 5 minutes later at most. To the
// default policy they are too few: a month like that day has 8,640,000 requests and
// a budget of 8,640, of which 5 % are 432. There are 396 with the sixth slot and 456
// with the seventh.
func TestIncidentOverAMonth(t *testing.T) {
	for policy, minutes := range map[string][2]int{"classic": {1490, 1445}, slo.DefaultPolicy: {1475, 1447}} {
		t.Run(policy, func(t *testing.T) {
			ends, ticketBegins := minutes[0], minutes[1]
			db := incidentDay(t)
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			s := example(t, "", `requests_total{code="500"}`, "requests_total")
			s.Alerting.Policy = policy
			runSeries(t, db, s, epoch, at(1430))
			runGroups(t, db, s, at(1430), at(1495))
			firing := func(severity string) []memprom.Sample {
				return recorded(t, db, `ALERTS{alertstate="firing",severity="`+severity+`"}`)
			}
			page, ticket := firing(slo.Page), firing(slo.Ticket)
			between(t, at(1443).Add(30*time.Second), page[0].Time, time.Minute)
			between(t, at(ends-1).Add(30*time.Second), page[len(page)-1].Time, time.Minute)
			between(t, at(1455), ticket[0].Time, 6*time.Minute)
			since := map[string]time.Time{}
			for _, a := range evaluateAt(t, evaluatorOptions(server.URL), s, at(1465)).Alerts {
				if a.Burns() {
					since[a.Severity] = a.Since
				}
			}
			require.Equal(t, map[string]time.Time{slo.Page: at(1443), slo.Ticket: at(ticketBegins)}, since)
		})
	}
}

// TestQuietDay has neither alert while one request in 8,000 fails.
func TestQuietDay(t *testing.T) {
	db := incidentDay(t)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	policies := []string{slo.DefaultPolicy, "classic"}
	if testing.Short() {
		policies = policies[:1]
	}
	for _, policy := range policies {
		s := example(t, "", `requests_total{code="500"}`, "requests_total")
		s.Name, s.Alerting.Policy = policy, policy
		runSeries(t, db, s, epoch, at(1440))
		for _, expr := range tierExprs(t, s) {
			q, err := db.Engine().NewRangeQuery(t.Context(), db.Queryable(), nil, expr, epoch, at(1440), time.Minute)
			require.NoError(t, err)
			got, err := q.Exec(t.Context()).Matrix()
			require.NoError(t, err)
			require.Empty(t, got)
			q.Close()
		}
		o := evaluatorOptions(server.URL)
		judged := 0
		o.NewJudge = func() evaluator.Judge {
			judge := alerting.BuiltIn().NewJudge()
			return func(s *slo.SLO, tl *timeline.Timeline, _ timeline.Minute) []evaluator.FiringAlert {
				for end := timeline.MinuteOf(epoch); end <= tl.End(); end++ {
					require.Empty(t, judge(s, tl, end))
					judged++
				}
				return nil
			}
		}
		evaluateAt(t, o, s, at(1440))
		require.Equal(t, 1441, judged)
	}
}
