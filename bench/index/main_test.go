package main

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/output.txt again")

// Of what the program prints, figures that depend on the machine are made question marks.
func TestOutput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run([]string{"-docs=500", "-words=2000"}, &stdout, &stderr); status != 0 || stderr.Len() > 0 {
		t.Fatalf("status %d, stderr %q", status, stderr.String())
	}
	head, rest, ok := strings.Cut(stdout.String(), "   index")
	if !ok {
		t.Fatalf("no table in\n%s", stdout.String())
	}
	table := regexp.MustCompile(` +[0-9.e+-]+`).ReplaceAllString(" index"+rest, " ?")
	got := strings.TrimRight(head, " ") + regexp.MustCompile(` +`).ReplaceAllString(table, " ")
	const file = "testdata/output.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("it prints\n%s\nand not\n%s", got, want)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]int{"-h": 0, "-docs=0": 2, "-words=1": 2, "-seed=x": 2, "more": 2, "-docs=3 -words=2 -query=!": 0} {
		var stdout, stderr bytes.Buffer
		if got := run(strings.Fields(args), &stdout, &stderr); got != want ||
			got == 2 && (stdout.Len() > 0 || stderr.Len() == 0) {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, got, stdout.String(), stderr.String())
		}
	}
}
