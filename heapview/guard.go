package heapview

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// tokenHeader has the secret of the page in requests for actions.
const tokenHeader = "Galloc-Token"

// A problem is a refused request.
type problem struct {
	status int
	text   string
}

func forbidden(text string) *problem {
	return &problem{http.StatusForbidden, "galloc/heapview: " + text}
}

// setHeaders sets the headers of all responses. The page sets a policy that allows more.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// refusal returns why a request is refused, or nil.
func (v *View) refusal(r *http.Request) *problem {
	if !v.options.Remote {
		if p := refuseRemote(r); p != nil {
			return p
		}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if !sameOrigin(r) && !navigates(r) {
			return forbidden("another site may not read this: open the page itself")
		}
		return nil
	case http.MethodPost:
	default:
		return &problem{http.StatusMethodNotAllowed, "use GET, or POST for actions"}
	}
	switch {
	case !v.options.Actions:
		return forbidden("actions are not allowed here: the program must set Options.Actions")
	case !sameOrigin(r):
		return forbidden("another site may not do this: use the page itself")
	case subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(v.token)) != 1:
		return forbidden("the page is of an earlier run of the program: load it again")
	}
	return nil
}

// refuseRemote returns why a request is not from this machine and for it, or nil. A page of another
// site can make its DNS name mean 127.0.0.1, and then read what a server there answers. But its
// requests have that name as their host.
func refuseRemote(r *http.Request) *problem {
	if !isLocalPeer(r) {
		return forbidden("this page is only for the machine that the program runs on.\n" +
			"Forward the port, such as by ssh -L 8080:localhost:8080 MACHINE, and open the page at localhost.\n" +
			"Or the program sets Options.Remote, after it has made sure that only the right people reach the page.")
	}
	if !isLocalHost(r.Host) {
		return forbidden("the host of the request is not this machine: open the page as localhost or 127.0.0.1,\n" +
			"or the program sets Options.Remote, after it has made sure that only the right people reach the page.")
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return forbidden("a proxy has forwarded the request, so it may come from anywhere: open the page without\n" +
				"the proxy, or the program sets Options.Remote, and the proxy checks who asks.")
		}
	}
	return nil
}

// isLocalPeer reports whether a request comes from this machine.
func isLocalPeer(r *http.Request) bool {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return true
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// isLocalHost reports whether a Host header names this machine.
func isLocalHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// sameOrigin reports whether a browser says that a request comes from the origin of the page, or is
// by the user. Programs that are not browsers say nothing, and cannot be misled by another site.
func sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// navigates reports whether a request opens the page, which a link on another site may do.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" &&
		r.URL.Query().Get("part") == ""
}
