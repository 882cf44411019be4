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

// codeError is an error with the exit code of the process. An error without a code is from
// the command line.
type codeError struct {
	code int
	err  error // nil when everything is printed already
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
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams contains the streams that a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := codeError{exitUsage, err}
	switch asked := errors.As(err, &code); {
	case asked && ctx.Err() != nil:
		fmt.Fprintln(s.err, "slowburn: interrupted")
	case code.err != nil:
		fmt.Fprintln(s.err, "slowburn: "+strings.TrimSpace(code.Error()))
	}
	if code.code == exitUsage {
		if cmd.Name() == "help" {
			cmd = root
		}
		fmt.Fprintf(s.err, "Run '%s --help' for usage.\n", cmd.CommandPath())
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
	root.AddCommand(newServe(s), newDemo(s), newStatus(s), newExplain(s), newBacktest(s), newValidate(s), newCheck(s), newGenerate(s), newCache(s), newVersion(s))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = knownCommand
		case "completion":
			c.RunE = func(*cobra.Command, []string) error { return usage("for which shell? bash, zsh, fish or powershell") }
		}
	}
	return root
}

// knownCommand makes it an error to ask for the help of a command that there is not.
func knownCommand(c *cobra.Command, args []string) error {
	if _, rest, err := c.Root().Find(args); err != nil || len(rest) > 0 {
		return usage("there is no command %q", strings.Join(args, " "))
	}
	return nil
}

// noArgs refuses arguments, with the reason.
func noArgs(why string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("unexpected argument %q: %s", args[0], why)
		}
		return nil
	}
}

// usage makes an error about the command line.
func usage(format string, args ...any) error {
	return codeError{exitUsage, fmt.Errorf(format, args...)}
}

// failure makes an error end the process with exit code 3.
func failure(format string, args ...any) error {
	return codeError{exitFailure, fmt.Errorf(format, args...)}
}
