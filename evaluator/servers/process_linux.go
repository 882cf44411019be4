package servers

import "syscall"

// endWithParent makes the kernel end the server when the test's process dies
// without its cleanup, as it does after `go test -timeout`.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
