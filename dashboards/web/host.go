package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hosts contains the names and addresses for which a request may act. If a foreign page's name
// leads to this process (DNS rebinding), a browser takes it for the same origin. Only the
// header Host is different then.
type hosts struct {
	names map[string]bool
	all   bool // the process listens on all addresses
}

// newHosts allows the host of the external URL and that of the listen address. A process
// that listens on loopback or on all addresses is also reached as localhost.
func newHosts(external, listen string) hosts {
	h := hosts{names: map[string]bool{}}
	if u, err := url.Parse(external); err == nil && u.Host != "" {
		h.names[hostName(u.Host)] = true
	}
	name := hostName(listen)
	h.names[name] = true
	address, err := netip.ParseAddr(name)
	h.all = name == "" || err == nil && address.IsUnspecified()
	if h.all || name == "localhost" || err == nil && address.IsLoopback() {
		h.names["localhost"], h.names["127.0.0.1"], h.names["::1"] = true, true, true
	}
	return h
}

// has reports whether Host names this process. An empty name never does.
func (h hosts) has(host string) bool {
	name := hostName(host)
	if h.all { // a foreign page has a name, never an address
		if _, err := netip.ParseAddr(name); err == nil {
			return true
		}
	}
	return name != "" && h.names[name]
}

// hostName returns a host without its port, in the spelling that is compared.
func hostName(hostport string) string {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = strings.Trim(hostport, "[]")
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Unmap().String()
	}
	return name
}

// addressed answers 403 to requests for other hosts.
func (h hosts) addressed(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.has(r.Host) {
			writeText(w, http.StatusForbidden, "the host "+r.Host+" is neither that of web.external_url nor of web.listen")
			return
		}
		next.ServeHTTP(w, r)
	}
}
