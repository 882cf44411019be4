package queries_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/grafana"
	"github.com/slowburn-slo/slowburn/dashboards/grafana/queries"
)

func TestOfNeedsVariables(t *testing.T) {
	_, err := queries.Of(grafana.Dashboards()["slowburn-detail.json"], map[string]string{"service": "checkout", "window": "1h"})
	require.ErrorContains(t, err, "no value for slo")
	_, err = queries.Of([]byte("{"), nil)
	require.ErrorContains(t, err, "reading a dashboard")
}
