package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// A sample each 15 s says that 30 more requests came; in bad minutes 21 of them failed.
const (
	soakStep  = 15 * time.Second
	soakCame  = 30
	soakBad   = 21
	soakSteps = int64(time.Minute / soakStep)
)

// soakWorld is the behaviour of the services of a soak.
type soakWorld struct {
	services []string
	bad      map[string]map[int64]bool // by service and slot: minutes since 1970, at its end

	url     string
	next    time.Time // of the sample that is not written
	sums    map[string][2]float64
	trouble atomic.Int64 // when a sample was late last, in nanoseconds since 1970
}

// newSoakWorld has incidents of 2 to 4 minutes in each service, the first ones just before
// a time.
func newSoakWorld(rng *rand.Rand, start time.Time, length time.Duration) *soakWorld {
	w := &soakWorld{bad: map[string]map[int64]bool{}, sums: map[string][2]float64{}, next: start.Truncate(time.Minute).Add(-2 * time.Hour)}
	for i := range 8 {
		service := fmt.Sprintf("shop%d", i)
		w.services = append(w.services, service)
		w.bad[service] = map[int64]bool{}
		for at := slotOf(start) - 3 + int64(i+rng.IntN(2)); at < slotOf(start.Add(length)); at += 7 + int64(rng.IntN(4)) {
			for range 2 + rng.IntN(3) {
				w.bad[service][at] = true
				at++
			}
		}
	}
	return w
}

// slotOf is the slot in which an instant lies.
func slotOf(at time.Time) int64 { return (at.Unix() + 59) / 60 }

// counts returns what happened in (start, end], which are full minutes.
func (w *soakWorld) counts(service string, start, end time.Time) (total, bad float64) {
	for slot := slotOf(start) + 1; slot <= slotOf(end); slot++ {
		total += float64(soakCame * soakSteps)
		if w.bad[service][slot] {
			bad += float64(soakBad * soakSteps)
		}
	}
	return total, bad
}

// span is when an alert fires: from one instant until before another.
type span struct{ from, until time.Time }

// spans are when the alert of a service has to fire: while more than a fifth of the last 5
// minutes is bad.
func (w *soakWorld) spans(service string, from, to time.Time) []span {
	var out []span
	var began time.Time
	for at := from.Truncate(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		total, bad := w.counts(service, at.Add(-5*time.Minute), at)
		switch fires := bad > total/5; {
		case fires && began.IsZero():
			began = at
		case !fires && !began.IsZero():
			out = append(out, span{began, at})
			began = time.Time{}
		}
	}
	if !began.IsZero() {
		out = append(out, span{began, to})
	}
	return out
}

// write writes all samples in order, each when it is there, until ctx ends.
func (w *soakWorld) write(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		w.catchUp(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *soakWorld) catchUp(ctx context.Context) {
	now := time.Now()
	if w.next.After(now) {
		return
	}
	next, sums := w.next, map[string][2]float64{}
	series := map[string]*[2]prompb.TimeSeries{}
	for _, service := range w.services {
		sums[service] = w.sums[service]
		series[service] = new([2]prompb.TimeSeries)
		for i, code := range []string{"200", "500"} {
			series[service][i].Labels = prompb.FromLabels(labels.FromStrings("__name__", "http_requests_total", "code", code, "instance", "a", "job", service), nil)
		}
	}
	for ; !next.After(now); next = next.Add(soakStep) {
		for _, service := range w.services {
			failed := 0.0
			if w.bad[service][slotOf(next)] {
				failed = soakBad
			}
			sums[service] = [2]float64{sums[service][0] + soakCame - failed, sums[service][1] + failed}
			for i, v := range sums[service] {
				series[service][i].Samples = append(series[service][i].Samples, prompb.Sample{Timestamp: next.UnixMilli(), Value: v})
			}
		}
	}
	var request prompb.WriteRequest
	for _, service := range w.services {
		request.Timeseries = append(request.Timeseries, series[service][:]...)
	}
	late := len(w.sums) > 0 && now.Sub(w.next) > 4*time.Second // the history is not late
	if w.post(ctx, &request) {
		w.next = next
		w.sums = sums
	} else {
		late = true
	}
	if late {
		w.trouble.Store(time.Now().UnixNano())
	}
}

// post reports whether a Prometheus took samples. It takes the same ones twice.
func (w *soakWorld) post(ctx context.Context, request *prompb.WriteRequest) bool {
	body, err := request.Marshal()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Encoding", "snappy")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode/100 == 2
}

// oracle holds what replicas answer against the truth.
type oracle struct {
	world *soakWorld
	begun time.Time

	compared int
	wrong    []string             // numbers
	missing  []string             // SLOs of directories
	newest   map[string]time.Time // the newest numbers of an SLO that any replica had
	blind    time.Duration        // the longest age of these
	blindOf  string
}

// look compares one report. Its numbers are settled when two cycles have had all samples.
func (o *oracle) look(ctx context.Context, name, url string) {
	troubled := time.Unix(0, o.world.trouble.Load())
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var report evaluator.Report
	if code, body := fetch(ctx, url+"/api/v1/slos"); code != http.StatusOK || json.Unmarshal([]byte(body), &report) != nil {
		return
	}
	for _, service := range o.world.services {
		id := service + "/availability"
		i := slices.IndexFunc(report.SLOs, func(s evaluator.Status) bool { return s.ID == id })
		if i < 0 {
			if service != "shop7" { // which is in a Git repository, and comes later after a start
				o.missing = append(o.missing, fmt.Sprintf("%s of %s at %s", id, name, time.Now().UTC().Format(time.TimeOnly)))
			}
			continue
		}
		status := report.SLOs[i]
		if status.State != evaluator.StateOK {
			continue
		}
		if end := status.Windows[len(status.Windows)-1].End; end.After(o.newest[id]) {
			o.newest[id] = end
		}
		if report.EvaluatedAt.Before(troubled.Add(75 * time.Second)) {
			continue
		}
		for _, window := range status.Windows {
			o.compared++
			total, bad := o.world.counts(service, window.Start, window.End)
			if window.Total != total || window.Bad != bad || window.Coverage != 1 {
				o.wrong = append(o.wrong, fmt.Sprintf("%s of %s at %s in (%s, %s]: %v of %v, known %v; the truth is %v of %v", id, name, report.EvaluatedAt.Format(time.TimeOnly),
					window.Start.Format(time.TimeOnly), window.End.Format(time.TimeOnly), window.Bad, window.Total, window.Coverage, bad, total))
			}
		}
	}
}

// wait notes for how long nobody had newer numbers.
func (o *oracle) wait(now time.Time) {
	for _, service := range o.world.services {
		id := service + "/availability"
		since := o.newest[id]
		if since.IsZero() {
			since = o.begun
		}
		if age := now.Sub(since); age > o.blind {
			o.blind, o.blindOf = age, id
		}
	}
}

// toldAlerts counts the incidents, and the notifications that are wrong.
type toldAlerts struct {
	incidents              int
	lost, doubled, unfound []string
	moved                  []string // whose beginning is told as another one
}

// alerts holds notifications of pages against the incidents between two instants.
func (o *oracle) alerts(pages []sentAlert, from, to time.Time) toldAlerts {
	var out toldAlerts
	left := slices.Clone(pages)
	for _, service := range o.world.services {
		for _, s := range o.world.spans(service, from.Add(-time.Hour), to.Add(time.Hour)) {
			count, name := 0, service+" "+s.from.Format(time.TimeOnly)
			left = slices.DeleteFunc(left, func(a sentAlert) bool {
				is := a.Labels["slo_id"] == service+"/availability" && !a.StartsAt.Before(s.from) && a.StartsAt.Before(s.until)
				if is {
					count++
				}
				if is && !a.StartsAt.Equal(s.from) {
					out.moved = append(out.moved, name+" to "+a.StartsAt.Format(time.TimeOnly))
				}
				return is
			})
			if count > 1 {
				out.doubled = append(out.doubled, name)
			}
			if s.until.Before(from.Add(2*time.Minute)) || s.from.After(to) {
				continue // over before somebody could look, or not yet told
			}
			out.incidents++
			if count == 0 {
				out.lost = append(out.lost, name)
			}
		}
	}
	for _, a := range left {
		out.unfound = append(out.unfound, fmt.Sprintf("%s %s", a.Labels["slo_id"], a.StartsAt.Format(time.TimeOnly)))
	}
	return out
}

// fetch is the status and the body of a GET, 0 when there is no whole answer.
func fetch(ctx context.Context, url string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, resp.Body); err != nil {
		return 0, ""
	}
	return resp.StatusCode, body.String()
}
