package servers

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// Embedded opens an empty embedded Prometheus, which is closed with the test.
func Embedded(t testing.TB) *memprom.DB {
	t.Helper()
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
