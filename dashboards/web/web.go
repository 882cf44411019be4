// Package web serves the pages and the API of a running slowburn: the list of all
// SLOs, a page for each, the JSON API, and the paths that operate the process.
//
// The pages are rendered on the server from one snapshot, work without JavaScript, and load
// nothing from elsewhere. It may import the reports of evaluator, evaluator/loop, alerting,
// and dashboards/summary and dashboards/chart. A use:
//
//	handler := web.Handler(web.Options{
//		Report: loop.Report, CountsBetween: loop.CountsBetween, Ready: loop.Ready, Reload: reload,
//		Process: prometheus.DefaultGatherer, Version: "1.0.0", Now: time.Now,
//	})
//	http.ListenAndServe("127.0.0.1:9099", handler)
package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Options configure the pages. All but ExternalURL and Version must be set.
type Options struct {
	// Report returns the latest snapshot. It is never nil and never changed: the next one
	// replaces it.
	Report func() *evaluator.Report
	// CountsBetween returns the counts of an SLO in a time. Its error is the end of ctx.
	CountsBetween func(ctx context.Context, id string, from, to time.Time) (*loop.Range, error)
	// Tiers returns the tiers of an SLO's alert policy.
	Tiers func(*slo.SLO) []alerting.Tier
	// Ready reports whether there is a report, for /-/ready.
	Ready func() bool
	// Reload reads the configuration and the SLO files again. Its error is the answer to
	// /-/reload.
	Reload func(ctx context.Context) error
	// Reread begins to read all history again, so that late data counts.
	Reread func()
	// Process gathers the metrics of the process, which /metrics has beside those of the SLOs.
	Process prometheus.Gatherer
	// Listen is the address that the process listens on. Requests that act are accepted for
	// its host and that of ExternalURL only.
	Listen string
	// ExternalURL is the address at which people reach the pages. If it has a path, links
	// start with that path, and everything is served below it and below "/".
	ExternalURL string
	// Version of the program, shown at the foot of each page.
	Version string
	// Now is the clock, for the age of what is shown.
	Now func() time.Time
}

// Handler serves the pages, the JSON API and the operational paths:
//
//	/                       all SLOs, worst first
//	/slo/{service}/{slo}    one SLO; the two parts are its id. from and to show a time
//	/api/v1/slos            the report as JSON
//	/metrics                for Prometheus
//	/-/healthy, /-/ready    200, or 503 while not ready
//	/-/reload, /-/reread    POST or PUT, for the process' own hosts only
//	/static/                style sheet, script and icon
func Handler(o Options) http.Handler {
	s := &server{Options: o, prefix: pathPrefix(o.ExternalURL), assets: loadAssets(), answers: newAnswers(), waiting: make(chan struct{}, maxWaiting)}
	s.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"noun": humanize.Noun, "plural": humanize.Plural, "count": humanize.Count, "percent": humanize.Percent, "sli": humanize.SLI,
		"numbers": dataAttrs, "href": safeHref, "burn": newBurn, "moment": func(t *time.Time) *humanize.Moment { return humanize.NewMoment(t, o.Now()) },
	}).ParseFS(files, "templates/*.html"))

	mux := http.NewServeMux()
	read := []string{http.MethodGet, http.MethodHead}
	mux.Handle("/{$}", withMethods(read, s.list))
	mux.Handle("/slo/{service}/{slo}", withMethods(read, s.detail))
	mux.Handle("/api/v1/slos", withMethods(read, s.slos))
	mux.Handle("/api/", http.HandlerFunc(s.noSuchAPI))
	mux.Handle("/metrics", withMethods(read, s.metrics))
	mux.Handle("/-/healthy", withMethods(read, s.healthy))
	mux.Handle("/-/ready", withMethods(read, s.ready))
	own := newHosts(o.ExternalURL, o.Listen)
	for path, h := range map[string]http.HandlerFunc{"/-/reload": s.reload, "/-/reread": s.reread} {
		mux.Handle(path, withMethods([]string{http.MethodPost, http.MethodPut}, own.addressed(http.NewCrossOriginProtection().Handler(h))))
	}
	mux.Handle("/static/{name}", withMethods(read, s.static))
	mux.Handle("/", http.HandlerFunc(s.notFound))
	return withSecurityHeaders(s.withPrefix(mux))
}

type server struct {
	Options
	prefix string // of the external URL's path: "" or "/slowburn"
	pages  *template.Template
	assets map[string]*answer

	answers *answers
	waiting chan struct{} // has an entry for each request that waits for CountsBetween
}

// order returns the order of SLOs.
func (s *server) order() summary.Order { return summary.Order{Tiers: s.Tiers} }

// pathPrefix returns the path of the external URL without the slash at its end.
func pathPrefix(external string) string {
	u, err := url.Parse(external)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.Path, "/")
}

// withPrefix serves h below the prefix too, for proxies that don't strip it.
func (s *server) withPrefix(h http.Handler) http.Handler {
	if s.prefix == "" {
		return h
	}
	stripped := http.StripPrefix(s.prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == s.prefix:
			http.Redirect(w, r, s.prefix+"/", http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, s.prefix+"/"):
			stripped.ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// withSecurityHeaders adds the headers that keep a page from running, loading or being framed
// by anything foreign, whatever is in SLO files.
func withSecurityHeaders(h http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		h.ServeHTTP(w, r)
	})
}

// withMethods answers 405 to methods other than the given ones.
func withMethods(methods []string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			http.Error(w, r.Method+" is not allowed here, use "+strings.Join(methods, " or "), http.StatusMethodNotAllowed)
			return
		}
		h(w, r)
	})
}

// shortAnswer is how long a client may take to read a few words.
const shortAnswer = 10 * time.Second

func (s *server) healthy(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "slowburn is alive")
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.Ready() {
		writeText(w, http.StatusServiceUnavailable, "slowburn is not ready")
		return
	}
	text := "slowburn is ready"
	if n, first := rejections(s.Report().Problems); n > 0 {
		text += fmt.Sprintf(", degraded: %d errors keep the newest SLO files from being used, such as %s", n, first)
	}
	writeText(w, http.StatusOK, text)
}

// rejections returns how many errors keep files from being used, and the first of them.
func rejections(problems []evaluator.Problem) (n int, first string) {
	for _, p := range problems {
		if p.Severity != "error" {
			continue
		}
		n++
		if n == 1 {
			first = cmp.Or(p.File, p.Source) + ": " + p.Message
		}
	}
	return n, first
}

// reload takes as long as the sources do, so the server's time for writing begins after it.
func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Time{}) // fails in tests, which have no connection
	err := s.Reload(r.Context())
	_ = connection.SetWriteDeadline(s.Now().Add(shortAnswer))
	if err != nil {
		writeText(w, http.StatusInternalServerError, "reloading: "+err.Error())
		return
	}
	writeText(w, http.StatusOK, "reloaded")
}

func (s *server) reread(w http.ResponseWriter, _ *http.Request) {
	s.Reread()
	writeText(w, http.StatusAccepted, "reading all history again")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) //nolint:gosec // it is plain text
}
