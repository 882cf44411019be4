//go:build !unix

package source

import (
	"context"
	"io"
	"os/exec"
	"strings"
)

// command is git. What it started may outlive it where there are no groups of processes.
func command(ctx context.Context, args ...string) (*exec.Cmd, io.Closer, error) {
	return exec.CommandContext(ctx, "git", args...), io.NopCloser(strings.NewReader("")), nil
}
