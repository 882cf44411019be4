package golden_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo/golden"
)

// TestPart reads one of two parts of a document.
func TestPart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte("a\n<!-- one -->\n1\n<!-- end of one -->\n<!-- two -->\n2\n3\n<!-- end of two -->\nb\n"), 0o600))
	require.Equal(t, "1\n", golden.Part(t, file, "one"))
	golden.RequirePart(t, file, "two", "2\n3\n")
}
