//go:build unix

package config

import (
	"os/exec"
	"syscall"
)

// ownGroup lets the end of a command be the end of the programs it started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
