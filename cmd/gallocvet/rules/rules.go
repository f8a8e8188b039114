// Package rules lists the analyzers of gallocvet, for programs that run them with their own.
package rules

import (
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/copied"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/lifetime"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/pointerfree"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/rawaddress"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/registered"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/registration"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/samelayout"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/unchecked"
	"golang.org/x/tools/go/analysis"
)

// All returns the analyzers, one for each rule.
func All() []*analysis.Analyzer {
	return []*analysis.Analyzer{
		lifetime.Analyzer,
		lifetime.Leak,
		registration.OneGlobal,
		registration.FromLibrary,
		unchecked.Analyzer,
		copied.Analyzer,
		samelayout.Analyzer,
		pointerfree.Analyzer,
		registered.AllocBody,
		registered.NoCycle,
		rawaddress.Analyzer,
	}
}
