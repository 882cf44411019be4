package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// shutdownTime bounds the draining of HTTP; the queue of alerts has a bound of
// its own, and both together stay under 10 s.
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
		Short: "Evaluate for ever: metrics, pages, API, alerts",
		Long: "Read SLO files from directories and Git repositories, evaluate them each minute,\n" +
			"and serve a page, a JSON API and metrics; post alerts to Alertmanagers.\n\n" +
			"SLO files are read again when they change, on SIGHUP and on POST /-/reload.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), s, f) },
	}
	f.register(c)
	c.Flags().StringArrayVar(&f.specs, "specs", nil, "`DIR` or file of SLOs, without --config; may be repeated")
	c.Flags().StringVar(&f.listen, "listen", "", "`ADDRESS` of the page and the API (default 127.0.0.1:9099, or the configuration's)")
	c.MarkFlagsMutuallyExclusive("config", "specs")
	c.MarkFlagsOneRequired("config", "specs")
	return c
}

func serve(ctx context.Context, s streams, f serveFlags) error {
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
	p, err := newProcess(s, cfg)
	if err != nil {
		return err
	}
	return p.run(ctx, s)
}

// process is a running service.
type process struct {
	cfg      *config.Config
	log      *slog.Logger
	reloader *reloader
	eval     *evaluator.Evaluator
	sender   *alerting.Sender
	handler  http.Handler
	listener net.Listener // nil until run, unless somebody took the port before
}

// newProcess wires the parts together; nothing runs yet.
func newProcess(s streams, cfg *config.Config) (*process, error) {
	log := newLogger(s.err)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options, err := evaluatorOptions(cfg, log, reg)
	if err != nil {
		return nil, err
	}
	alertmanagers, err := alertmanagersOf(cfg)
	if err != nil {
		return nil, err
	}
	p := &process{cfg: cfg, log: log, reloader: newReloader(cfg.Sources(), log, reg)}
	p.sender = alerting.NewSender(alerting.SenderOptions{
		Alertmanagers: alertmanagers, ExternalURL: cfg.Web.ExternalURL,
		Report: func() *evaluator.Report { return p.eval.Report() }, Log: log, Registerer: reg, Now: time.Now,
	})
	options.Publish = func(*evaluator.Report) { p.sender.Wake() }
	p.eval = evaluator.New(options)
	p.reloader.apply = p.eval.SetSLOs
	reg.MustRegister(evaluator.NewCollector(p.eval.Report))
	version, _, _ := stamp()
	p.handler = web.Handler(web.Options{
		Report: p.eval.Report, Ready: func() bool { return !p.eval.Report().EvaluatedAt.IsZero() },
		Reload:  p.reloader.reload,
		Metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}), ExternalURL: cfg.Web.ExternalURL,
		Version: version, Now: time.Now,
	})
	return p, nil
}

// run serves until ctx ends, then stops HTTP, ends the loop and drains the
// queue of alerts.
func (p *process) run(ctx context.Context, s streams) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	set, err := p.reloader.first(ctx)
	if errors.Is(err, errFindings) {
		printFindings(s.err, set.Findings)
		return codeError{code: exitFindings}
	} else if err != nil {
		return failure("%w", err)
	}
	printFindings(s.err, set.Findings)
	listener := p.listener
	if listener == nil {
		if listener, err = listenOn(p.cfg.Web.Listen); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{Handler: p.handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- p.serveHTTP(listener, server) }()
	p.log.Info("Serving", "address", listener.Addr().String(), "slos", len(set.SLOs))

	var wg sync.WaitGroup
	wg.Go(func() { p.reloader.watch(ctx) })
	wg.Go(func() { p.onHangup(ctx, hangups) })
	wg.Go(func() { _ = p.eval.Run(ctx) })   // ends with ctx only
	wg.Go(func() { _ = p.sender.Run(ctx) }) // likewise
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
	}
	p.log.Info("Stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	_ = server.Shutdown(drain) // what is still open after the time is cut
	stop()
	wg.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return failure("serving HTTP: %w", err)
	}
	return nil
}

// serveHTTP serves with the TLS and the users of the web configuration file.
func (p *process) serveHTTP(l net.Listener, server *http.Server) error {
	socket := false
	return toolkit.Serve(l, server, &toolkit.FlagConfig{
		WebListenAddresses: &[]string{p.cfg.Web.Listen}, WebSystemdSocket: &socket, WebConfigFile: &p.cfg.Web.ConfigFile,
	}, slog.New(slog.DiscardHandler))
}

func (p *process) onHangup(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if p.reloader.reload(ctx) == nil {
				p.log.Info("Reloaded")
			}
		}
	}
}

// listenOn takes a port; a taken one is a failure in one clear line.
func listenOn(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure("listening on %s: another program uses the port", address)
	} else if err != nil {
		return nil, failure("listening: %w", err)
	}
	return l, nil
}
