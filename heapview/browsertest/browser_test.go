// Package browsertest looks at the page of package heapview with a real browser, while the program
// allocates. It is a separate module, and is run by hand:
//
//	go -C heapview/browsertest test -v -screenshots=/tmp/heapview
//
// It needs Chromium or Chrome, and is skipped where there is none.
package browsertest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/heapview"
)

var screenshots = flag.String("screenshots", "", "write pictures of the page to this `directory`")

func init() {
	galloc.RegisterGlobal(heapprof.New(heap.Default(), heapprof.Options{Rate: 64 << 10}))
}

// load allocates and frees, in waves of some seconds, until stop is closed.
func load(stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(1, 2))
	var blocks [][]byte
	defer func() {
		for _, b := range blocks {
			galloc.FreeSlice(nil, b)
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		for range 300 {
			blocks = append(blocks, session(rng))
		}
		if i%8 == 0 {
			blocks = append(blocks, image(rng))
		}
		if keep := 12_000; i%250 > 180 || len(blocks) > 3*keep {
			for range min(900, max(len(blocks)-keep, 0)) {
				j := rng.IntN(len(blocks))
				galloc.FreeSlice(nil, blocks[j])
				blocks[j] = blocks[len(blocks)-1]
				blocks = blocks[:len(blocks)-1]
			}
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

//go:noinline
func session(rng *rand.Rand) []byte { return fill(16 << rng.IntN(9)) }

//go:noinline
func image(rng *rand.Rand) []byte { return fill(100_000 + rng.IntN(400_000)) }

//go:noinline
func fill(n int) []byte {
	b := galloc.Must(galloc.MakeSlice[byte](nil, n))
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// A tab is a page of a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// open starts a browser for the test, or skips it.
func open(t *testing.T) tab {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("there is no chromium or google-chrome in PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	return tab{t, ctx}
}

func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// call sends a command of the protocol.
func call[P, R any](b tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of an expression of the page.
func eval[T any](b tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(expression, err)
	}
	return v
}

// until waits until an expression of the page is true. chromedp.Poll cannot, since it makes a
// function of a string, which the policy of the page forbids.
func (b tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(40 * time.Second); !eval[bool](b, expression); {
		if time.Now().After(end) {
			b.t.Fatal("this does not become true: ", expression)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// press presses a key, as the browser names it, on the element with the focus.
func (b tab) press(key string) {
	b.t.Helper()
	eval[bool](b, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "`+key+`", bubbles: true, cancelable: true }))`+` || true`)
}

// text returns the text of an element.
func (b tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector('`+selector+`').textContent`)
}

// save writes a picture of the page, if the flag is set.
func (b tab) save(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// overlaps is an expression that lists the pieces of text that cover each other, or leave the
// window.
const overlaps = `(() => {
	const bad = [];
	if (document.documentElement.scrollWidth > innerWidth) bad.push("the page is wider than the window: " + document.documentElement.scrollWidth);
	for (const svg of document.querySelectorAll("svg.chart, svg.flame")) {
		const outer = svg.getBoundingClientRect();
		const all = [...svg.querySelectorAll("text")].map((t) => [t, t.getBoundingClientRect()]);
		all.forEach(([t, a], i) => {
			if (a.left < outer.left - 1 || a.right > outer.right + 1 || a.bottom > outer.bottom + 1) bad.push("cut: " + t.textContent);
			for (const [u, b] of all.slice(i + 1)) {
				if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4) bad.push(t.textContent + " on " + u.textContent);
			}
		});
	}
	const boxes = [...document.querySelectorAll("h1, h2, header p, button, label, dt, dd, .legend li")].filter((e) => e.offsetParent && !e.closest(".scroll"));
	boxes.forEach((e, i) => {
		const a = e.getBoundingClientRect();
		if (e.scrollWidth > e.clientWidth + 1 && e.tagName === "DD") bad.push("cut: " + e.textContent);
		for (const f of boxes.slice(i + 1)) {
			if (e.contains(f)) continue;
			const b = f.getBoundingClientRect();
			if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) bad.push(e.textContent + " on " + f.textContent);
		}
	});
	return bad;
})()`

// day sends the page the samples of more than 24 hours, and checks what it keeps.
func (b tab) day() {
	b.t.Helper()
	used := func() float64 {
		call(b, heapprofiler.CollectGarbage, cdp.Empty{})
		return eval[float64](b, `performance.memory.usedJSHeapSize`)
	}
	const hours = `(hours) => {
		const p = [...latest.point];
		for (let i = 0; i < hours * 3600; i++) {
			p[0] += 1000;
			const closed = [];
			if (i % 10 === 0) closed.push({ level: 1, point: [...p] });
			if (i % 120 === 0) closed.push({ level: 2, point: [...p] });
			const sample = { ...latest, point: [...p], closed, events: [{ id: 1e9 + i, first: p[0], last: p[0], kind: "purge", count: 1 }] };
			paused = i % 1200 !== 0; // draw one in 20 minutes
			receive(sample);
		}
		paused = false;
		return kept.levels.map((l) => l.points.length).concat(kept.events.length).join(" ");
	}`
	eval[string](b, "("+hours+")(25)")
	before := used()
	if got := eval[string](b, "("+hours+")(25)"); got != "600 720 720 200" {
		b.t.Errorf("after two days the page has points and events: %s", got)
	}
	after := used()
	b.t.Logf("the tab has %.2f MB after one day, and %.2f MB after two", before/1e6, after/1e6)
	if after > before+1e6 {
		b.t.Errorf("the tab grows by %.2f MB in a day", (after-before)/1e6)
	}
}

func TestThePageInABrowser(t *testing.T) {
	b := open(t)
	view := heapview.New(heapview.Options{History: true, Actions: true})
	server := httptest.NewServer(view)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = view.Close() })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { load(stop) })
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
	})

	var mu sync.Mutex
	var problems []string
	b.do()
	if err := chromedp.Listen(b.ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, server.URL) && !strings.HasPrefix(u, "data:") {
				problems = append(problems, "request of "+u)
			}
		case *runtime.EventExceptionThrown:
			problems = append(problems, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
		case *log.EventEntryAdded:
			problems = append(problems, "log: "+e.Entry.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() {
			t.Log("what the browser reports: ", problems)
		}
	})
	call(b, network.Enable, network.EnableParams{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, log.Enable, cdp.Empty{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})

	backgrounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 800, 1600} {
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(server.URL+"/debug/view"))
			b.until(`document.querySelector("#state").dataset.state === "live"`)
			b.until(`kept.levels[0].points.length >= 20`)
			b.until(`document.querySelectorAll("#classes tbody tr").length >= 8`)
			b.until(`document.querySelectorAll("#process tbody tr").length >= 5`)
			b.until(`document.querySelectorAll("#flame g").length >= 5`)
			count := func(selector string) int { return eval[int](b, `document.querySelectorAll("`+selector+`").length`) }
			if n := count("#lines path"); n < 4 {
				t.Errorf("%s, %d: %d lines", scheme, width, n)
			}
			if n := count("#parts path"); n < 6 {
				t.Errorf("%s, %d: %d areas", scheme, width, n)
			}
			if text := b.text("#spoken"); !strings.Contains(text, "Footprint") {
				t.Errorf("%s, %d: screen readers get %q", scheme, width, text)
			}
			for _, problem := range eval[[]string](b, overlaps) {
				t.Errorf("%s, %d: %s", scheme, width, problem)
			}
			backgrounds[scheme] = eval[string](b, `getComputedStyle(document.body).backgroundColor`)
			b.save(fmt.Sprintf("%s-%d", scheme, width))
		}
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("light and dark have the same background: %s", backgrounds["dark"])
	}
	t.Logf("the first paint was after %.0f ms", eval[float64](b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))

	// By keyboard and by the buttons, in the last page.
	eval[bool](b, `document.querySelector("#classes th:nth-child(7) button").click() || true`)
	if got := eval[string](b, `document.querySelector("#classes th[aria-sort]").textContent + " " + document.querySelector("#classes th[aria-sort]").ariaSort`); got != "Fragmentation ▼ descending" {
		t.Errorf("the table is sorted by %q", got)
	}
	eval[bool](b, `document.querySelector("#lines .chart").focus() || true`)
	b.press("ArrowLeft")
	if got := b.text("#lines .readout"); !strings.Contains(got, "Live ") || !strings.Contains(got, "Go heap ") {
		t.Errorf("the figures at the cursor are %q", got)
	}
	eval[bool](b, `document.querySelector('#flame g[tabindex="0"]').focus() || true`)
	b.press("ArrowDown")
	if got := b.text("#flame-text"); !strings.Contains(got, " in use") || strings.Contains(got, "all stacks") {
		t.Errorf("the call below is %q", got)
	}
	b.press("Enter")
	b.until(`!document.querySelector("#sites-reset").disabled`)
	b.press("Escape")
	b.until(`document.querySelector("#sites-reset").disabled`)

	click := func(selector string) { eval[bool](b, `document.querySelector("`+selector+`").click() || true`) }
	click("#sites-mark")
	eval[bool](b, `(() => {
		const select = document.querySelector("#sites-base");
		select.selectedIndex = 1;
		document.querySelector("#sites-details").open = true;
		return select.dispatchEvent(new Event("change"));
	})()`)
	click("[data-action=trim]")
	b.until(`document.querySelector("#action-result").textContent.startsWith("Released")`)
	click("#sites-read")
	b.until(`sites.profile !== sites.base`)
	if got := b.text("#sites-note"); !strings.Contains(got, "Compared with") {
		t.Errorf("the note on the stacks is %q", got)
	}
	if n := eval[int](b, `document.querySelectorAll("#flame rect[fill='var(--grown)'], #flame rect[fill='var(--shrunk)']").length`); n == 0 {
		t.Error("the flame graph shows no difference")
	}
	b.save("compared")
	b.day()
	click("[data-action=clear]")
	b.until(`kept.levels[0].points.length < 10`)
	_ = view.Close()
	b.until(`document.querySelector("#state").dataset.state === "lost"`)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range problems {
		if !strings.Contains(p, "503") && !strings.Contains(p, "ERR_") { // after Close
			t.Error(p)
		}
	}
}
