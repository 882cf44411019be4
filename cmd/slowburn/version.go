package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker; see the Makefile.
var (
	version = ""
	commit  = ""
	date    = ""
)

// stamp returns the version of the program, from the linker or else from the Go toolchain.
func stamp() (v, c, d string) {
	v, c, d = version, commit, date
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, c, d
	}
	v = cmp.Or(v, info.Main.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			c = cmp.Or(c, s.Value)
		case "vcs.time":
			d = cmp.Or(d, s.Value)
		}
	}
	return v, c, d
}

// versionText returns the output of `slowburn version`.
func versionText() string {
	v, c, d := stamp()
	return fmt.Sprintf("slowburn %s, commit %s, built %s, %s %s/%s",
		cmp.Or(v, "unknown"), cmp.Or(c, "unknown"), cmp.Or(d, "unknown"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit and date", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(s.out, versionText())
			return nil
		},
	}
}
