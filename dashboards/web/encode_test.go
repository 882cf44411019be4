package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestAPIWithoutWhatCantBeEncoded has an SLO with the year 10000, which JSON can't have. It is
// left out and named, and the others are there.
func TestAPIWithoutWhatCantBeEncoded(t *testing.T) {
	report := *sample(t)
	report.SLOs = slices.Clone(report.SLOs)
	year := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	report.SLOs[1].StateSince = &year
	report.Problems = []evaluator.Problem{{Source: "slos", Severity: "error", Message: "m", Since: year}}
	w := httptest.NewRecorder()
	handler(&report).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/slos", nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var got struct {
		SLOs []struct {
			ID string `json:"id"`
		} `json:"slos"`
		Problems []evaluator.Problem `json:"problems"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got.SLOs, len(report.SLOs)-1)
	for _, s := range got.SLOs {
		require.NotEqual(t, report.SLOs[1].ID, s.ID)
	}
	require.Len(t, got.Problems, 2)
	require.Equal(t, "m", got.Problems[0].Message)
	require.Zero(t, got.Problems[0].Since)
	require.Contains(t, got.Problems[1].Message, report.SLOs[1].ID+" can't be shown: ")
}
