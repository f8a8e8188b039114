package heapview

import (
	"crypto/sha256"
	_ "embed" // for the files of the page
	"encoding/base64"
	"net/http"
	"strings"
)

// The files of the page. They are one document when served, so that it works at any path.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/style.css
	styleCSS string
	//go:embed page/charts.js
	chartsJS string
	//go:embed page/tables.js
	tablesJS string
	//go:embed page/sites.js
	sitesJS string
	//go:embed page/main.js
	mainJS string
)

// A page is the document and its policy.
type page struct {
	text   string
	policy string
}

func newPage(actions bool, token string) *page {
	script := "\n" + chartsJS + tablesJS + sitesJS + mainJS
	style := "\n" + styleCSS
	if !actions {
		token = ""
	}
	text := strings.NewReplacer("{{style}}", style, "{{script}}", script, "{{token}}", token).Replace(pageHTML)
	return &page{text, strings.Join([]string{
		"default-src 'none'",
		"script-src " + hashOf(script),
		"style-src " + hashOf(style),
		"connect-src 'self'",
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}, "; ")}
}

// hashOf returns the source of a policy that allows exactly this script or style.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *page) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", p.policy)
	_, _ = w.Write([]byte(p.text))
}
