package rust

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../rust.md"

var update = flag.Bool("update", false, "write the files into the page")

// block matches a block of the page: a link to a file, and the content of the file.
var block = regexp.MustCompile("(?ms)^\\[([a-z]+/[a-z_]+\\.[a-z]+)\\]\\(rust/([^)]+)\\)\\n\\n```[a-z]+\\n(.*?)^```$")

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page shows the programs that the tests run. go test ./docs/rust -update writes them into the
// page.
func TestThePageShowsTheFiles(t *testing.T) {
	text := readPage(t)
	var shown []string
	updated := block.ReplaceAllStringFunc(text, func(b string) string {
		m := block.FindStringSubmatch(b)
		content, err := os.ReadFile(m[1])
		if err != nil {
			t.Error(err)
			return b
		}
		shown = append(shown, m[1])
		if m[2] != m[1] {
			t.Errorf("the link of %s leads to %s", m[1], m[2])
		}
		if m[3] != string(content) && !*update {
			t.Errorf("%s differs from the page; go test ./docs/rust -update writes it there", m[1])
		}
		return strings.TrimSuffix(b, m[3]+"```") + string(content) + "```"
	})
	if *update && !t.Failed() {
		if err := os.WriteFile(page, []byte(updated), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(text, "\n```"); n != 2*len(shown) {
		t.Errorf("the page has %d lines of ```, but %d blocks that are files", n, len(shown))
	}
	files, err := filepath.Glob("*/*")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = filepath.ToSlash(f)
	}
	slices.Sort(shown)
	if !slices.Equal(files, shown) {
		t.Errorf("the files are %q, and the page shows %q", files, shown)
	}
}

// The names of package galloc on the page exist.
func TestNamesOnThePageExist(t *testing.T) {
	sources, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				exist[d.Name.Name] = exist[d.Name.Name] || d.Recv == nil
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						exist[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							exist[n.Name] = true
						}
					}
				}
			}
		}
	}
	prose := block.ReplaceAllString(readPage(t), "")
	names := regexp.MustCompile(`\bgalloc\.([A-Z]\w*)`).FindAllStringSubmatch(prose, -1)
	if len(names) < 40 {
		t.Errorf("only %d names are on the page", len(names))
	}
	for _, m := range names {
		if !exist[m[1]] {
			t.Errorf("there is no galloc.%s", m[1])
		}
	}
}

// The table at the end has each name of Rust's documentation and of its two RFCs.
func TestEveryNameOfRustHasALine(t *testing.T) {
	_, table, ok := strings.Cut(readPage(t), "## Every name\n")
	if !ok {
		t.Fatal("there is no table")
	}
	var left []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			left = append(left, cells[1])
		}
	}
	for _, name := range []string{
		"Layout", "LayoutError", "GlobalAlloc", "System", "AllocError", "Allocator", "Global", "Alloc", "AllocErr", "Excess",
		"alloc", "alloc_zeroed", "dealloc", "realloc", "handle_alloc_error", "set_alloc_error_hook", "take_alloc_error_hook",
		"__rust_allocate", "__rust_deallocate", "__rust_reallocate", "__rust_reallocate_inplace", "__rust_usable_size",
		"#![allocator]", "#![needs_allocator]", "#![no_std]", "#[global_allocator]", "alloc_system", "alloc_jemalloc", "jemallocator::Jemalloc",
		"std::heap", "heap_api", "allocator_api", "usable_size", "Ordering::SeqCst",
	} {
		if !strings.Contains(strings.Join(left, ""), "`"+name+"`") {
			t.Errorf("no line for %s", name)
		}
	}
}
