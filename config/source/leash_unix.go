//go:build unix

package source

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// leash lets git and the programs it starts end with this program, also when that is
// killed: then the kernel closes the other end of file 3. The shell stays to reap the one
// that watches, which nobody would in a container without an init.
//
// git reads what a server says about its branches into memory, without a limit: 512 MiB of
// it are more than a fetch within the limits needs.
const leash = `
ulimit -d 524288 2>/dev/null
{ read -r _ <&3; kill -9 0; } </dev/null >/dev/null 2>&1 &
"$0" "$@" 3<&-
status=$?
exec 2>/dev/null
kill -9 $!
wait $!
exit $status`

// command is git, which ends with this program or when it is cancelled, and with it the
// programs it started. The closer is for when it has ended.
func command(ctx context.Context, args ...string) (*exec.Cmd, io.Closer, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", leash, git}, args...)...) //nolint:gosec // arguments are words of the script, never text of it
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd, pipe{r, w}, nil
}

type pipe struct{ r, w *os.File }

func (p pipe) Close() error {
	_ = p.r.Close()
	return p.w.Close()
}
