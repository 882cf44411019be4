package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// shutdownTime bounds the draining of HTTP. With the bound of the queue of alerts, it is less
// than 10 s.
const shutdownTime = 4 * time.Second

type serveFlags struct {
	inputs
	specs  []string
	listen string
}

func newServe(s streams) *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve (--config FILE | --specs DIR --backend URL)",
		Short: "Run continuously: metrics, pages, API, alerts",
		Long: "Read SLO files from directories and Git repositories, evaluate them every minute, serve\n" +
			"pages, a JSON API and metrics, and post alerts to Alertmanagers.\n\n" +
			"SLO files and the configuration are reloaded when they change, on SIGHUP and on\n" +
			"POST /-/reload.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), s, f) },
	}
	f.register(c)
	f.registerNoCache(c)
	c.Flags().StringArrayVar(&f.specs, "specs", nil, "`DIR` or file of SLOs, without --config; may be repeated")
	c.Flags().StringVar(&f.listen, "listen", "", "`ADDRESS` of the page and the API (default 127.0.0.1:9099, or the configuration's)")
	c.MarkFlagsMutuallyExclusive("config", "specs")
	return c
}

func serve(ctx context.Context, s streams, f serveFlags) error {
	if f.configFile == "" && len(f.specs) == 0 {
		return usage("which SLO files? Give --config FILE, or --specs DIR and --backend URL")
	}
	var text []byte
	if f.configFile != "" {
		text, _ = os.ReadFile(f.configFile) // configuration returns the error
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return err
	}
	for _, dir := range f.specs {
		cfg.Specs = append(cfg.Specs, config.Spec{Directory: dir})
	}
	if f.listen != "" {
		cfg.Web.Listen = f.listen
	}
	sv := newService(s, cfg)
	sv.configFile, sv.configText, sv.noCache = f.configFile, text, f.noCache
	return sv.run(ctx)
}

// service is a running process. It stays while its parts are replaced.
type service struct {
	streams    streams
	log        *slog.Logger
	configFile string // "" when there is none to read again
	noCache    bool
	cfg        *config.Config  // at the start
	listener   net.Listener    // nil until run, unless the port is open already
	ctx        context.Context // of its life, set by run
	running    sync.WaitGroup

	mu         sync.Mutex // held while parts are replaced
	configText []byte     // of the live parts
	next       *renewal   // nil when there is none
	live       atomic.Pointer[parts]
}

func newService(s streams, cfg *config.Config) *service {
	return &service{streams: s, log: newLogger(s.err), cfg: cfg}
}

// parts contains all that depends on the configuration.
type parts struct {
	reloader *reload.Reloader
	eval     *loop.Loop
	sender   *notify.Sender
	handler  http.Handler
	running  sync.WaitGroup
	run      func(func(context.Context)) // beside the others, until stop
	stop     func()                      // ends all of it, and waits
}

// newParts wires the parts together; nothing runs yet. came contains when SLOs came.
func (sv *service) newParts(cfg *config.Config, came map[string]time.Time) (*parts, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options, err := evaluatorOptions(cfg, sv.log, reg)
	if err != nil {
		return nil, err
	}
	alertmanagers, err := alertmanagersOf(cfg)
	if err != nil {
		return nil, err
	}
	options.Cache = cacheOf(cfg)
	p := &parts{}
	completer := notify.NewCompleter(cfg.Web.ExternalURL)
	options.Alerts = completer.Complete
	p.sender = notify.NewSender(notify.SenderOptions{
		Alertmanagers: alertmanagers, Completer: completer, Lookup: lookup, Offset: offsetOf(cfg), ExternalURL: cfg.Web.ExternalURL,
		Report: func() *evaluator.Report { return p.eval.Report() }, Log: sv.log, Registerer: reg, Now: time.Now,
	})
	options.Publish = func(*evaluator.Report) { p.sender.Wake() }
	p.eval = loop.New(options)
	p.reloader = reload.New(reload.Options{
		Sources: cfg.Sources(), Limits: cfg.Limits, Check: cfg.Policies.Check, Apply: p.eval.SetSLOs,
		Came: came, Log: sv.log, Registerer: reg, Now: time.Now,
	})
	version, _, _ := stamp()
	p.handler = web.Handler(web.Options{
		Report: p.eval.Report, CountsBetween: p.eval.CountsBetween, Tiers: cfg.Policies.Tiers, Ready: func() bool { return !p.eval.Report().EvaluatedAt.IsZero() },
		Reload: sv.reload, Reread: p.eval.Reread,
		Process: reg, Listen: sv.cfg.Web.Listen, ExternalURL: cfg.Web.ExternalURL,
		Version: version, Now: time.Now,
	})
	return p, nil
}

// begin lets the sources be read, until ctx ends or stop is called.
func (p *parts) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	p.stop = func() {
		cancel()
		p.running.Wait()
	}
	p.run = func(f func(context.Context)) { p.running.Go(func() { f(ctx) }) }
	p.run(p.reloader.Run)
}

// start runs the rest.
func (p *parts) start() {
	p.run(p.reloader.Watch)
	p.run(func(ctx context.Context) { _ = p.eval.Run(ctx) })   // ends with ctx only
	p.run(func(ctx context.Context) { _ = p.sender.Run(ctx) }) // likewise
}

// run serves until ctx ends, then stops HTTP, ends the loop and drains the
// queue of alerts.
func (sv *service) run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if err := source.ClearScratch(); err != nil {
		sv.log.Warn("Removing the temporary directories of a killed process", "err", err)
	}
	p, err := sv.newParts(sv.cfg, nil)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sv.ctx = ctx
	p.begin(ctx)
	defer func() { p.stop() }()
	set, err := p.reloader.First(ctx)
	if errors.Is(err, reload.ErrFindings) {
		printFindings(sv.streams.err, yamlfile.AtMost(reload.MaxFindings, set.Findings))
		return codeError{code: exitFindings}
	} else if err != nil {
		return failure("%w", err)
	}
	printFindings(sv.streams.err, yamlfile.AtMost(reload.MaxFindings, set.Findings))
	if err := checkWeb(sv.cfg.Web.ConfigFile); err != nil {
		return failure("reading web.config_file %s: %w", sv.cfg.Web.ConfigFile, err)
	}
	if sv.listener == nil {
		if sv.listener, err = listenOn(ctx, sv.cfg.Web.Listen); err != nil {
			return err
		}
	}
	p.start()
	sv.live.Store(p)
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sv.live.Load().handler.ServeHTTP(w, r) }), sv.log)
	served := make(chan error, 1)
	go func() { served <- sv.serveHTTP(server) }()
	sv.log.Info("Serving", "address", sv.listener.Addr().String(), "slos", len(set.SLOs))
	sv.running.Go(func() { sv.onHangup(ctx, hangups) })
	sv.running.Go(func() { sv.watchConfig(ctx) })
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
	}
	sv.log.Info("Stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	_ = server.Shutdown(drain) // it closes what is still open then
	stop()
	sv.running.Wait()
	sv.live.Load().stop()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return failure("serving HTTP: %w", err)
	}
	return nil
}

// reload reads the SLO files again, and the configuration before it when that
// changed. The error says that something old stayed.
func (sv *service) reload(ctx context.Context) error {
	if sv.configFile == "" {
		return sv.live.Load().reloader.Reload(ctx)
	}
	text, err := os.ReadFile(sv.configFile)
	if err != nil {
		sv.live.Load().reloader.SetConfigError(sv.configFile, err)
		return sv.live.Load().reloader.Reload(ctx)
	}
	n := sv.renew(text)
	if n == nil {
		return sv.live.Load().reloader.Reload(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, reload.Patience)
	defer cancel()
	select {
	case <-n.done:
		if n.err == nil {
			return nil
		}
		return sv.live.Load().reloader.Reload(ctx)
	case <-wait.Done():
		slow := fmt.Errorf("%s: sources of the new configuration are still being read, it is taken over when that ends", sv.configFile)
		return errors.Join(sv.live.Load().reloader.Reload(ctx), slow)
	}
}

// renewal is a new configuration that is being loaded. Its sources may be slow. The old ones
// are followed until it is taken over.
type renewal struct {
	text   []byte
	cancel context.CancelFunc
	done   chan struct{}
	err    error // when it is done
}

// renew begins to take over a configuration, unless it has begun already. It cancels another
// renewal. It returns nil when the configuration is the live one.
func (sv *service) renew(text []byte) *renewal {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.next != nil && bytes.Equal(text, sv.next.text) {
		return sv.next
	}
	if sv.next != nil {
		sv.next.cancel()
		sv.next = nil
	}
	if bytes.Equal(text, sv.configText) {
		sv.live.Load().reloader.SetConfigError(sv.configFile, nil)
		return nil
	}
	ctx, cancel := context.WithCancel(sv.ctx)
	n := &renewal{text: text, cancel: cancel, done: make(chan struct{})}
	sv.next = n
	sv.running.Go(func() {
		defer close(n.done)
		defer cancel()
		if n.err = sv.replace(ctx, n); n.err == nil {
			return
		}
		sv.mu.Lock()
		defer sv.mu.Unlock()
		if sv.next == n {
			sv.next = nil
			sv.live.Load().reloader.SetConfigError(sv.configFile, n.err)
			sv.live.Load().reloader.Settle()
		}
	})
	return n
}

// replace ends the parts of the old configuration and starts those of a new one, with the
// alerts that fire.
func (sv *service) replace(ctx context.Context, n *renewal) error {
	cfg, findings := config.Parse(sv.configFile, n.text)
	if err := errorOf(findings); err != nil {
		return err
	}
	if sv.noCache {
		cfg.Cache.Directory = ""
	}
	old := sv.live.Load()
	p, err := sv.newParts(cfg, old.reloader.Known())
	if err != nil {
		return err
	}
	p.begin(sv.ctx)
	set, err := p.reloader.Whole(ctx)
	if err != nil {
		p.stop()
	}
	if errors.Is(err, reload.ErrFindings) {
		return errorOf(set.Findings)
	} else if err != nil {
		return err
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.next != n { // there is another one
		p.stop()
		return context.Canceled
	}
	p.reloader.SetConfigError(sv.configFile, nil)
	old.stop()
	p.sender.TakeOver(old.sender)
	p.start()
	sv.live.Store(p)
	sv.configText, sv.next = n.text, nil
	sv.log.Info("Configuration is taken over", "slos", len(set.SLOs))
	return nil
}

// errorOf returns a reload.FindingsError with all findings that are errors, nil without any.
func errorOf(findings []yamlfile.Finding) error {
	errs := slices.Clone(findings)
	errs = slices.DeleteFunc(errs, func(f yamlfile.Finding) bool { return f.Severity != yamlfile.Error })
	if len(errs) == 0 {
		return nil
	}
	return reload.FindingsError(errs)
}

// watchConfig reloads when the configuration's file changed.
func (sv *service) watchConfig(ctx context.Context) {
	if sv.configFile == "" {
		return
	}
	for file := source.NewDirectory(sv.configFile, nil); file.Wait(ctx) == nil; {
		_, _ = file.Read(ctx) // Wait compares with it; reload reads the file itself
		_ = sv.reload(ctx)    // the log, a metric and the page report it
	}
}

// serveHTTP serves with the TLS and the users of the web configuration file.
func (sv *service) serveHTTP(server *http.Server) error {
	socket := false
	return toolkit.Serve(sv.listener, server, &toolkit.FlagConfig{
		WebListenAddresses: &[]string{sv.cfg.Web.Listen}, WebSystemdSocket: &socket, WebConfigFile: &sv.cfg.Web.ConfigFile,
	}, slog.New(slog.DiscardHandler))
}

func (sv *service) onHangup(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if sv.reload(ctx) == nil {
				sv.log.Info("Reloaded")
			}
		}
	}
}

// listenOn opens a port. If another program uses it, the error is one clear line.
func listenOn(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure("listening on %s: another program uses the port", address)
	} else if err != nil {
		return nil, failure("listening: %w", err)
	}
	return l, nil
}
