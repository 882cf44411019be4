package servers

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	startTimeout = 2 * time.Minute // a loaded machine; alone it takes a second
	stopTimeout  = 30 * time.Second
	pollInterval = 50 * time.Millisecond
	portTries    = 5
)

// Server is a running server.
type Server struct {
	URL  string // http://127.0.0.1:PORT
	Addr string // 127.0.0.1:PORT
	Dir  string // its directory: the configuration, the log, the data

	t     testing.TB
	ready string // the path that answers 200 once the server is ready
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
}

// start runs the command for a free address and waits until it is ready. Some
// other process may take the address in between; then it tries another.
func (s *Server) start(command func(addr string) []string) {
	s.t.Helper()
	for try := 1; ; try++ {
		s.Addr = freeAddr(s.t)
		s.URL = "http://" + s.Addr
		s.run(command(s.Addr))
		if s.isReady() {
			break
		}
		s.Stop()
		if try == portTries || !strings.Contains(s.log(), "address already in use") {
			s.t.Fatalf("%s did not get ready:\n%s", s.cmd.Path, s.log())
		}
	}
	s.t.Cleanup(func() {
		s.Stop()
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", s.cmd.Path, s.log())
		}
	})
}

// Start runs a server again that was stopped, at the same address with the same data.
func (s *Server) Start() {
	s.t.Helper()
	for range portTries { // a connection may have taken the port
		if s.run(s.cmd.Args); s.isReady() {
			return
		}
	}
	s.t.Fatalf("%s did not get ready again:\n%s", s.cmd.Path, s.log())
}

func (s *Server) run(command []string) {
	s.t.Helper()
	log, err := os.Create(s.logFile())
	require.NoError(s.t, err)
	defer log.Close() // the process has its own descriptor
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, log, log
	s.cmd.SysProcAttr = endWithParent()
	require.NoError(s.t, s.cmd.Start())
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}(s.cmd, s.ended)
}

// isReady waits until the server answers. It is false when the process ended
// or the time is up.
func (s *Server) isReady() bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-s.ended:
			return false
		case <-ctx.Done():
			return false
		case <-poll.C:
			if answers(ctx, s.URL+s.ready) {
				return true
			}
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the server and waits until it is gone. The end of the test calls
// it too; a second call does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails when it is gone already
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-s.ended:
	case <-late.C:
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.t.Errorf("%s did not end within %s", s.cmd.Path, stopTimeout)
	}
}

func (s *Server) logFile() string { return filepath.Join(s.Dir, "log") }

func (s *Server) log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// freeAddr is an address of loopback that was free a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
