package cli_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
)

var toys = []cli.Command{{
	Name: "paint", Usage: "[flags]  paint",
	Run: func(_ context.Context, _ []string, stdout, _ io.Writer) error {
		fmt.Fprint(stdout, "usage: galloc paint\n  -red\n    \tuse red\n  -dark-blue shade\n    \tuse blue, -not this\n")
		return flag.ErrHelp
	},
}}

// Bash completes what the script says.
func TestCompletionInBash(t *testing.T) {
	status, script, _ := clitest.Run(t.Context(), toys, "completion", "bash")
	if status != cli.ExitOK {
		t.Fatalf("exit status %d", status)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here: ", err)
	}
	dir := t.TempDir()
	for line, want := range map[string]string{
		"galloc p":           "paint",
		"galloc paint -d":    "-dark-blue",
		"galloc paint -":     "-red -dark-blue -h",
		"galloc help p":      "paint",
		"galloc completion ": "bash zsh fish",
		"galloc paint /de":   "/dev",
	} {
		words := strings.Split(line, " ")
		test := fmt.Sprintf("%s\nCOMP_WORDS=(%s); COMP_CWORD=%d; _galloc; echo ${COMPREPLY[@]}",
			script, strings.ReplaceAll("'"+line+"'", " ", "' '"), len(words)-1)
		cmd := exec.Command(bash, "--norc", "-c", test)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q is completed to %q, %v: want %q", line, got, err, want)
		}
	}
}

func TestCompletionInOtherShells(t *testing.T) {
	for shell, want := range map[string]string{
		"zsh":  "bashcompinit...paint) words=\"-red -dark-blue -h\"...complete -o filenames",
		"fish": "-a 'paint completion version help'...seen_subcommand_from paint' -o red\n...-o dark-blue\n",
	} {
		_, script, _ := clitest.Run(t.Context(), toys, "completion", shell)
		clitest.WantText(t, shell, script, want)
	}
}
