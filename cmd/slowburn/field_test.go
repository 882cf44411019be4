package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// Field cases are data as people have it, where counting goes wrong, with the
// true numbers. Each is asked for by the commands, as a user would.

// fieldCase is some data and the SLO file about it.
type fieldCase struct {
	name   string        // its SLO file is testdata/field/NAME.yaml
	length time.Duration // of the data, which ends now
	data   func(f *field)
}

// fieldCases are all cases.
func fieldCases() []fieldCase {
	return slices.Concat(countingCases(), queriesCases(), doubtsCases(), bucketCases(), alertsCases(), gaugesCases(), seldomCases())
}

// field is a backend that holds the data of a case.
type field struct {
	t          *testing.T
	db         *memprom.DB
	start, end time.Time // of the data; whole minutes
	url, file  string
}

// open starts a backend with the data of a case.
func (c fieldCase) open(t *testing.T) *field {
	t.Helper()
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(db.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, db.Close())
	})
	end := time.Now().UTC().Add(-time.Minute).Truncate(time.Minute) // slots are evaluated 30 s later
	f := &field{t: t, db: db, start: end.Add(-c.length), end: end, url: server.URL, file: filepath.Join("testdata", "field", c.name+".yaml")}
	c.data(f)
	return f
}

// at is the time so long after the data begins.
func (f *field) at(after time.Duration) time.Time { return f.start.Add(after) }

// series writes samples of a series, given as in PromQL, from one time after the
// start to another, both included. NaN writes none.
func (f *field) series(text string, from, to, step time.Duration, value func(after time.Duration) float64) {
	f.t.Helper()
	var samples []memprom.Sample
	for after := from; after <= to; after += step {
		if v := value(after); !math.IsNaN(v) {
			samples = append(samples, memprom.Sample{Time: f.at(after), Value: v})
		}
	}
	f.add(text, samples...)
}

// add writes samples of a series, given as in PromQL.
func (f *field) add(text string, samples ...memprom.Sample) {
	f.t.Helper()
	series, err := parser.NewParser(parser.Options{}).ParseMetric(text)
	require.NoError(f.t, err)
	require.NoError(f.t, f.db.Add(f.t.Context(), series, samples...))
}

// run runs a command on the case's SLO file and backend.
func (f *field) run(args ...string) (code int, out, errs string) {
	f.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(f.t.Context(), args, streams{strings.NewReader(""), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

// check returns the output of slowburn check.
func (f *field) check(more ...string) (code int, findings string) {
	f.t.Helper()
	code, out, errs := f.run(append([]string{"check", f.file, "--backend", f.url}, more...)...)
	return code, out + errs
}

// validate returns the output of slowburn validate.
func (f *field) validate(more ...string) (code int, findings string) {
	f.t.Helper()
	code, out, errs := f.run(append([]string{"validate", f.file}, more...)...)
	return code, out + errs
}

// status returns the status of each SLO so long after the data begins, by its name. A
// slot is evaluated 30 s after its end.
func (f *field) status(after time.Duration) map[string]evaluator.Status {
	f.t.Helper()
	_, out, errs := f.run("status", f.file, "--backend", f.url, "--at", f.at(after+30*time.Second).Format(time.RFC3339), "-o", "json")
	var r evaluator.Report
	require.NoError(f.t, json.Unmarshal([]byte(out), &r), errs)
	byName := map[string]evaluator.Status{}
	for _, s := range r.SLOs {
		byName[s.SLO] = s
	}
	return byName
}

// requireOwn requires the counts of the SLO's own window.
func requireOwn(t *testing.T, s evaluator.Status, bad, total, coverage float64) {
	t.Helper()
	w := s.Own()
	require.Equal(t, [3]float64{bad, total, coverage}, [3]float64{w.Bad, w.Total, w.Coverage}, "bad, total and coverage of %s: %s", s.ID, s.StateReason)
}

// doubts are the codes of the doubts about an SLO.
func doubts(s evaluator.Status) []evaluator.DoubtCode {
	var codes []evaluator.DoubtCode
	for _, d := range s.Doubts {
		codes = append(codes, d.Code)
	}
	return codes
}

// fires reports whether an alert of a severity fires.
func fires(s evaluator.Status, severity string) bool {
	return slices.ContainsFunc(s.Alerts, func(a evaluator.FiringAlert) bool { return a.Burns() && a.Severity == severity })
}

// TestFieldCases holds that each case has its file, and that its numbers can be
// asked for.
func TestFieldCases(t *testing.T) {
	files, err := os.ReadDir(filepath.Join("testdata", "field"))
	require.NoError(t, err)
	var names []string
	for _, c := range fieldCases() {
		names = append(names, c.name+".yaml")
	}
	slices.Sort(names)
	var there []string
	for _, f := range files {
		there = append(there, f.Name())
	}
	require.Equal(t, there, names)
}
