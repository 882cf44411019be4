package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion(s streams) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script that completes slowburn's command line",
		Long: strings.TrimSpace(`
Print a script that makes a shell complete slowburn's commands, flags and files.`),
		Example: strings.TrimRight(`
  source <(slowburn completion bash)                  for this bash; needs bash-completion
  slowburn completion bash > /etc/bash_completion.d/slowburn
  slowburn completion zsh > "${fpath[1]}/_slowburn"
  slowburn completion fish > ~/.config/fish/completions/slowburn.fish
  slowburn completion powershell | Out-String | Invoke-Expression`, "\n")[1:],
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("for which shell? %s", oneOf(shells))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			switch root := c.Root(); args[0] {
			case "bash":
				err = root.GenBashCompletionV2(s.out, true)
			case "zsh":
				err = root.GenZshCompletion(s.out)
			case "fish":
				err = root.GenFishCompletion(s.out, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(s.out)
			default:
				return usage("no completion for %q, only for %s", args[0], oneOf(shells))
			}
			if err != nil {
				return failure("writing: %w", err)
			}
			return nil
		},
	}
}

// oneOf lists words for a message: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// completePaths completes the names of SLO files and of directories.
func completePaths(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
