package loop_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// TestAnAnswerThatIsCutOff is an error of the backend, wherever it ends, and no fault of
// slowburn. It counts nothing.
func TestAnAnswerThatIsCutOff(t *testing.T) {
	whole := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1763596800,"1"],[1763596860,"2"]]},`
	for _, n := range []int{len(whole), len(whole) - 3, len(whole) - 9, len(whole) - 50, 70, 40} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			switch {
			case strings.HasSuffix(r.URL.Path, "query_range"):
				_, _ = io.WriteString(w, whole[:n])
			case strings.HasPrefix(r.FormValue("query"), "count("):
				_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`)
			default:
				_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
			}
		}))
		for _, indicator := range []string{`{threshold: {query: "up", op: "<", value: 1}}`, events} {
			o := options(server.URL, func() time.Time { return start.Add(3 * time.Hour) })
			o.Backends[0].Kind, o.Backends[0].Method = "prometheus", evaluator.MethodAggregated
			r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1d", indicator), start.Add(3*time.Hour))
			require.NoError(t, err)
			require.Equal(t, evaluator.StateQueryFailed, r.SLOs[0].State)
			require.Contains(t, r.SLOs[0].StateReason, "it is cut off", "%s, %d bytes", indicator, n)
		}
		server.Close()
	}
}
