package loop_test

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// inCalendar is the SLO of events over a calendar period.
func inCalendar(t *testing.T, c slo.Calendar, zone string) *slo.SLO {
	t.Helper()
	s := load(t, "30d", events)[0]
	var err error
	s.Window, err = slo.NewCalendar(c, zone)
	require.NoError(t, err)
	return s
}

// TestCalendarPeriodsAgainstTheTruth counts a minute's event in periods whose
// length is worked out by hand.
func TestCalendarPeriodsAgainstTheTruth(t *testing.T) {
	tests := []struct {
		name     string
		calendar slo.Calendar
		zone     string
		end      string // of the period, in UTC
		minutes  float64
	}{
		{"an hour is skipped", slo.Month, "Europe/Berlin", "2026-03-31T22:00:00Z", 31*1440 - 60},
		{"an hour is twice", slo.Month, "Europe/Berlin", "2026-10-31T23:00:00Z", 31*1440 + 60},
		{"half an hour is skipped", slo.Month, "Australia/Lord_Howe", "2026-10-31T13:00:00Z", 31*1440 - 30},
		{"half an hour is twice", slo.Month, "Australia/Lord_Howe", "2026-04-30T13:30:00Z", 30*1440 + 30},
		{"a leap day", slo.Month, "Asia/Kathmandu", "2028-02-29T18:15:00Z", 29 * 1440},
		{"a week over the turn of the year", slo.Week, "UTC", "2027-01-04T00:00:00Z", 7 * 1440},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			end, err := time.Parse(time.RFC3339, tt.end)
			require.NoError(t, err)
			db := servers.Embedded(t)
			// The first sample lies in the period before the last but one.
			from := end.Add(-65 * 24 * time.Hour)
			require.NoError(t, db.Load(t.Context(), from, time.Minute, `
				requests_total{job="shop",instance="a",code="200"} 0+1x100000
				requests_total{job="shop",instance="a",code="500"} 0+0x100000`))
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			s := inCalendar(t, tt.calendar, tt.zone)

			at := evaluate(t, server.URL, []*slo.SLO{s}, end).SLOs[0]
			own := at.Windows[1]
			require.Equal(t, [3]float64{tt.minutes, 0, 1}, [3]float64{own.Total, own.Bad, own.Coverage})
			require.Equal(t, tt.minutes, own.End.Sub(own.Start).Minutes())
			require.Equal(t, tt.minutes, *at.Budget.ProjectedTotal)
			require.Nil(t, at.Periods, "they were not read")

			now := end.Add(time.Minute)
			r, err := newEvaluator(server.URL, func() time.Time { return now.Add(time.Hour) }).HistoryAt(t.Context(), []*slo.SLO{s}, now)
			require.NoError(t, err)
			after := r.SLOs[0]
			require.Equal(t, 1.0, after.Windows[1].Total)
			last := after.Periods[0]
			require.Equal(t, [2]time.Time{own.Start, own.End}, [2]time.Time{last.Start, last.End})
			require.Equal(t, [2]float64{own.Total, *at.Budget.Remaining}, [2]float64{last.Total, *last.Remaining}, "as at its end")
			oldest := after.Periods[len(after.Periods)-1]
			require.False(t, oldest.Complete)
			require.True(t, oldest.Start.Before(from) && oldest.End.After(from))
			counted := 0.0
			for i, p := range after.Periods {
				counted += p.Total
				if i > 0 {
					require.Equal(t, after.Periods[i-1].Start, p.End)
				}
			}
			require.Equal(t, end.Sub(from).Minutes(), counted, "all there is")
		})
	}
}

// TestCalendarTheSameWhoeverCounts has a process that is up while a week ends, one
// that was down then, and one that starts say the same to the byte. There is no
// data for three weeks, which end the periods, though there is some before them.
func TestCalendarTheSameWhoeverCounts(t *testing.T) {
	// A bubble's clock begins on 1 January 2000, a Saturday. In Kwajalein the week
	// ends at noon in UTC on Sunday.
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), begin.Add(-40*24*time.Hour), time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+999x14400
		requests_total{job="shop",instance="a",code="500"} 0+1x14400`))
	require.NoError(t, db.Load(t.Context(), begin.Add(-10*24*time.Hour), time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+999x20000
		requests_total{job="shop",instance="a",code="500"} 0+1x20000`))
	slos := []*slo.SLO{inCalendar(t, slo.Week, "Pacific/Kwajalein"), inCalendar(t, slo.Month, "UTC")}
	slos[1].Name = "monthly"
	synctest.Test(t, func(t *testing.T) {
		fresh := func() *loop.Loop { return loop.New(live(slog.New(slog.DiscardHandler), db.Handler())) }
		started := func() (*loop.Loop, func()) {
			e := fresh()
			e.SetSLOs(slos, nil)
			return e, run(t, e)
		}
		text := func(r *evaluator.Report) string {
			out, err := json.Marshal(r)
			require.NoError(t, err)
			return string(out)
		}
		until(begin.Add(35 * time.Hour))
		long, stopLong := started()
		defer stopLong()
		_, stopDown := started()
		until(begin.Add(35*time.Hour + 30*time.Minute))
		stopDown()
		for _, m := range []int{35*60 + 45, 36 * 60, 36*60 + 1, 36*60 + 2, 36*60 + 20, 37 * 60} {
			at := begin.Add(time.Duration(m) * time.Minute)
			until(at.Add(-20 * time.Minute))
			down, stop := started()
			until(at.Add(31 * time.Second))
			r, err := fresh().HistoryAt(t.Context(), slos, at)
			require.NoError(t, err)
			require.Equal(t, text(r), text(long.Report()), "the one that was up at %s", at)
			require.Equal(t, text(r), text(down.Report()), "the one that starts before %s", at)
			// There is data from 22 November to 2 December, and from 22 December on. So the
			// week that ends on 26 December is the last before one without any.
			weeks := 1
			if m > 36*60 {
				weeks = 2
			}
			require.Len(t, r.SLOs[1].Periods, weeks, r.SLOs[1].ID)
			for _, p := range r.SLOs[1].Periods {
				require.True(t, p.Remaining != nil && p.Coverage > 0, p.Name)
			}
			require.False(t, r.SLOs[1].MorePeriods)
			require.Len(t, r.SLOs[0].Periods, 2, "December and November")
			stop()
		}
	})
}
