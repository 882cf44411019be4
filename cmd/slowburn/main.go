// Command slowburn turns SLO files kept in Git into numbers that can be
// trusted, alerts worth waking for, and pictures worth looking at.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, which scripts rely on.
const (
	exitFindings = 1 // errors in the user's files
	exitUsage    = 2
	exitFailure  = 3
)

// codeError is an error that says how the process ends. An error without a code
// came from reading the command line.
type codeError struct {
	code int
	err  error // nil when everything is said already
}

func (e codeError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e codeError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := codeError{exitUsage, err}
	errors.As(err, &code)
	if message := code.Error(); message != "" {
		fmt.Fprintln(s.err, "slowburn: "+message)
	}
	if code.code == exitUsage {
		fmt.Fprintln(s.err, "Run 'slowburn --help' for what there is.")
	}
	return code.code
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "slowburn",
		Short: "Error budgets, burn rates and alerts, counted exactly",
		Long: strings.TrimSpace(`
slowburn reads SLO files, counts good and bad events in a Prometheus-compatible
backend, and turns them into error budgets, burn rates, alerts, recording rules
and dashboards.

Exit codes: 0 fine, 1 errors in your files, 2 usage, 3 failure.`),
		Example: strings.TrimRight(`
  slowburn demo                                       look around, without a backend
  slowburn validate slos/                             check SLO files
  slowburn status slos/ --backend http://prometheus:9090
  slowburn serve --specs slos/ --backend http://prometheus:9090
  slowburn generate rules slos/ -o rules/`, "\n")[1:],
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newServe(s), newDemo(s), newStatus(s), newValidate(s), newGenerate(s), newVersion(s))
	return root
}

// failure makes an error end the process with exit code 3.
func failure(format string, args ...any) error {
	return codeError{exitFailure, fmt.Errorf(format, args...)}
}
