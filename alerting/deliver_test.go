package alerting

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestARefusedPostKeepsNoOtherAlertBack: more alerts than one post takes, one of
// them such that Alertmanager answers 400 to the post it is in.
func TestARefusedPostKeepsNoOtherAlertBack(t *testing.T) {
	taken := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var alerts []Alert
		_ = json.NewDecoder(r.Body).Decode(&alerts)
		for _, a := range alerts {
			taken[a.Labels["slo_id"]] = true
		}
		if taken["0"] && len(taken) <= batch {
			http.Error(w, "bad label", http.StatusBadRequest)
		}
	}))
	defer server.Close()
	var alerts []Alert
	for i := range batch + 10 {
		alerts = append(alerts, Alert{Labels: map[string]string{"slo_id": fmt.Sprint(i)}})
	}
	r := newReceiver(Alertmanager{URL: server.URL, HTTP: server.Client()}, slog.New(slog.DiscardHandler), newMetrics(prometheus.NewRegistry()))
	require.EqualError(t, r.deliver(t.Context(), alerts), "it answers 400 Bad Request: bad label")
	require.Len(t, taken, batch+10)
}
