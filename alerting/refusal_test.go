package alerting_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

func TestRefusal(t *testing.T) {
	require.Empty(t, alerting.Refusal(&slo.SLO{Window: slo.Rolling(slo.Window(30 * 24 * time.Hour))}))
	quarter, err := slo.NewCalendar(slo.Quarter, "Europe/Berlin")
	require.NoError(t, err)
	require.Contains(t, alerting.Refusal(&slo.SLO{Window: quarter}), "calendar: quarter")
}
