// Package plugin registers the rules of gallocvet with golangci-lint's module plugins, as the
// linter gallocvet. A file .custom-gcl.yml names the module and this package; see the README.
package plugin

import (
	"github.com/galloc-go/galloc/cmd/gallocvet/rules"
	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"
)

func init() {
	register.Plugin("gallocvet", func(any) (register.LinterPlugin, error) { return plugin{}, nil })
}

type plugin struct{}

// BuildAnalyzers returns the analyzers of all rules.
func (plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) { return rules.All(), nil }

// GetLoadMode says that the rules need types.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
