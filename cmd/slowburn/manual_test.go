package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo/golden"
)

const manual = "../../docs/reference/commands.md"

// TestManual holds docs/reference/commands.md against the program: every command is there with
// its help, word for word, and nothing that the program doesn't have. With
// -update it is brought up to date.
func TestManual(t *testing.T) {
	text, err := os.ReadFile(manual)
	require.NoError(t, err)
	help := map[string]string{}
	var names []string
	var collect func(*cobra.Command)
	collect = func(c *cobra.Command) {
		names = append(names, c.CommandPath())
		help[c.CommandPath()] = helpOf(t, c.CommandPath())
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && c.Name() != "completion" { // cobra has texts for each shell
				collect(sub)
			}
		}
	}
	collect(newRoot(streams{}))

	block := regexp.MustCompile("(?s)```console\n\\$ ([^\n]*) --help\n.*?```\n")
	documented := map[string]bool{}
	want := block.ReplaceAllStringFunc(string(text), func(old string) string {
		name := block.FindStringSubmatch(old)[1]
		documented[name] = true
		if help[name] == "" {
			return "" // gone
		}
		return helpBlock(name, help[name])
	})
	for _, name := range names {
		if !documented[name] {
			want += "\n## " + name + "\n\n" + helpBlock(name, help[name])
		}
	}
	golden.Require(t, manual, want)
}

func helpBlock(name, help string) string {
	return "```console\n$ " + name + " --help\n" + help + "```\n"
}

func helpOf(t *testing.T, name string) string {
	var out strings.Builder
	args := strings.Fields(name + " --help")[1:]
	require.Equal(t, 0, run(t.Context(), args, streams{strings.NewReader(""), &out, &out}), name)
	return out.String()
}
