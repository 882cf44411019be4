package notify

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestRejectedFilesAreATicket: one for each source, some time after the errors came,
// which goes on with the process that takes over.
func TestRejectedFilesAreATicket(t *testing.T) {
	x := newTeller(t)
	bad := &evaluator.Report{EvaluatedAt: x.now, Problems: []evaluator.Problem{
		{Source: "./slos", File: "slos/a.yaml", Line: 5, Severity: "error", Message: "objective 100 leaves no error budget"},
		{Source: "./slos", File: "slos/b.yaml", Severity: "error", Message: "unknown key"},
		{Source: "https://git.example.org/x.git", File: "w.yaml", Severity: "warning", Message: "odd"},
	}}
	began := x.now
	for _, minutes := range []int{0, 9} {
		x.now = began.Add(time.Duration(minutes) * time.Minute)
		x.sender.update(bad, x.now)
		require.Empty(t, x.sender.alertsIn(stageFiring))
	}
	x.now = began.Add(10 * time.Minute)
	x.sender.update(bad, x.now)
	alerts := slices.Collect(maps.Values(x.sender.alertsIn(stageFiring)))
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "SLOFilesRejected", "source": "./slos", "severity": "ticket"}, alerts[0].Labels)
	require.Equal(t, "slowburn does not use the newest files of ./slos: 2 errors", alerts[0].Annotations["summary"])
	require.Contains(t, alerts[0].Annotations["description"], "slos/a.yaml: objective 100 leaves no error budget.")
	require.Equal(t, began.Add(10*time.Minute), alerts[0].StartsAt)

	x.sender.rejections = nil // as of a process that has just taken over
	x.sender.update(bad, x.now.Add(time.Minute))
	require.Len(t, x.sender.alertsIn(stageFiring), 1)
	require.Equal(t, began.Add(10*time.Minute), slices.Collect(maps.Values(x.sender.alertsIn(stageFiring)))[0].StartsAt)

	for minutes, since := range map[int]time.Time{3: began, 15: began, 60: began, 70: began.Add(-time.Hour)} { // when a process starts
		x := newTeller(t)
		x.now = began.Add(time.Duration(minutes) * time.Minute)
		dated := &evaluator.Report{EvaluatedAt: x.now, Problems: slices.Clone(bad.Problems)}
		for i := range dated.Problems {
			dated.Problems[i].Since = began
		}
		x.sender.Completer = NewCompleter("")
		if since.Before(began) { // as Alertmanager has it, of a file that was as bad before
			x.sender.Completer.Restore([]listing{{Alert: Alert{Labels: alerts[0].Labels, StartsAt: since.Add(rejectedFor)}, answered: x.now}})
		}
		x.sender.update(dated, x.now)
		if minutes < 10 {
			require.Empty(t, x.sender.alertsIn(stageFiring))
			continue
		}
		require.Equal(t, since.Add(rejectedFor), slices.Collect(maps.Values(x.sender.alertsIn(stageFiring)))[0].StartsAt, minutes)
	}

	bad.Problems = bad.Problems[2:]
	x.sender.update(bad, x.now.Add(2*time.Minute))
	require.Empty(t, x.sender.alertsIn(stageFiring))
	require.Empty(t, x.sender.alertsIn(stageResolved), "another replica may still reject them")
}
