package loop_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// TestHistoryThatIsReadDuringACycle is shown when the cycle ends, not a minute later. The
// history takes 16 s, and a cycle begins 30 s after each minute.
func TestHistoryThatIsReadDuringACycle(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Second / 2):
			answer(w, r)
		case <-r.Context().Done():
		}
	})
	for second := 10; second < 34; second++ {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now().Add(time.Duration(second) * time.Second)
			until(begin)
			e := loop.New(live(slog.New(slog.DiscardHandler), slow))
			e.SetSLOs(load(t, "3d", events), nil)
			defer run(t, e)()
			until(begin.Add(20 * time.Second))
			require.Equal(t, evaluator.StateOK, e.Report().SLOs[0].State, "started %d s after a minute", second)
		})
	}
}
