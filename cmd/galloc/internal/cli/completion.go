package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

var shells = []string{"bash", "zsh", "fish"}

const completionHelp = `usage: galloc completion bash|zsh|fish

Prints a script that makes the shell complete commands, flags and file names.

Examples:
  bash: source <(galloc completion bash)
  zsh:  source <(galloc completion zsh)
  fish: galloc completion fish | source
`

// flagLine is how package flag begins the description of a flag.
var flagLine = regexp.MustCompile(`(?m)^  (-[a-z][a-z0-9-]*)\b`)

// completion is galloc completion. It finds the flags in the help of each command.
func completion(ctx context.Context, commands []Command, args []string, stdout io.Writer) error {
	switch {
	case len(args) == 1 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]):
		if _, err := io.WriteString(stdout, completionHelp); err != nil {
			return err
		}
		return flag.ErrHelp
	case len(args) != 1 || !slices.Contains(shells, args[0]):
		return Usagef("write the shell: %s", strings.Join(shells, ", "))
	}
	names := []string{}
	flags := map[string][]string{}
	for _, c := range commands {
		var help bytes.Buffer
		_ = c.Run(ctx, []string{"-h"}, &help, io.Discard) // the error is flag.ErrHelp
		names = append(names, c.Name)
		for _, m := range flagLine.FindAllStringSubmatch(help.String(), -1) {
			flags[c.Name] = AppendNew(flags[c.Name], m[1])
		}
	}
	all := strings.Join(append(slices.Clone(names), "completion", "version", "help"), " ")
	var b strings.Builder
	if args[0] == "fish" {
		fmt.Fprintf(&b, "complete -c galloc -n __fish_use_subcommand -f -a '%s'\n", all)
		fmt.Fprintf(&b, "complete -c galloc -n '__fish_seen_subcommand_from help' -f -a '%s'\n", strings.Join(names, " "))
		fmt.Fprintf(&b, "complete -c galloc -n '__fish_seen_subcommand_from completion' -f -a '%s'\n", strings.Join(shells, " "))
		for _, name := range names {
			for _, f := range flags[name] {
				fmt.Fprintf(&b, "complete -c galloc -n '__fish_seen_subcommand_from %s' -o %s\n", name, f[1:])
			}
		}
	} else {
		if args[0] == "zsh" { // which then takes completions for bash
			b.WriteString("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n")
		}
		b.WriteString("_galloc() {\n\tlocal word=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n\tCOMPREPLY=()\n")
		fmt.Fprintf(&b, "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"%s\"\n\telse\n\t\tcase \"${COMP_WORDS[1]}\" in\n", all)
		for _, name := range names {
			fmt.Fprintf(&b, "\t\t%s) words=\"%s\" ;;\n", name, strings.Join(append(flags[name], "-h"), " "))
		}
		fmt.Fprintf(&b, "\t\thelp) words=\"%s\" ;;\n\t\tcompletion) words=\"%s\" ;;\n", strings.Join(names, " "), strings.Join(shells, " "))
		b.WriteString("\t\tesac\n\t\tcase \"$word\" in\n\t\t-*) ;;\n\t\t*) [ \"${COMP_WORDS[1]}\" = help ] || [ \"${COMP_WORDS[1]}\" = completion ] ||\n" +
			"\t\t\tCOMPREPLY=($(compgen -f -- \"$word\")) ;;\n\t\tesac\n\tfi\n" +
			"\tCOMPREPLY+=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o filenames -F _galloc galloc\n")
	}
	_, err := io.WriteString(stdout, b.String())
	return Printed(err)
}
