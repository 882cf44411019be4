package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/shop"
)

const (
	// demoHistory is a little more than the shop's windows of 30 d.
	demoHistory = 30*24*time.Hour + 2*time.Hour
	// demoStep is the time between two steps of the shop.
	demoStep = 5 * time.Second
)

func newDemo(s streams) *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Serve a simulated shop with 30 days of history, without a backend",
		Long: "Start an embedded Prometheus with 30 days of a simulated shop that goes on live, and\n" +
			"serve its SLOs as 'slowburn serve' does. Ctrl-C ends it and removes its files.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), s, listen) },
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9099", "`ADDRESS` of the page and the API")
	return c
}

func demo(ctx context.Context, s streams, listen string) (err error) {
	listener, err := listenOn(ctx, listen)
	if err != nil {
		return err
	}
	defer listener.Close() // closed already when all went well
	scratch, err := source.NewScratch("demo")
	if err != nil {
		return failure("making a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.Remove()) }()
	sim, err := startShop(ctx, s, scratch.Dir)
	if err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while the history was being made
		}
		return failure("making the demo's history: %w", err)
	}
	defer func() { err = errors.Join(err, sim.close()) }()
	backend, err := config.NewBackend("demo", sim.url)
	if err != nil {
		return failure("naming the demo's backend: %w", err)
	}
	cfg := config.Default()
	cfg.Backends = []config.Backend{backend}
	cfg.Specs = []config.Spec{{Directory: sim.specs}}
	cfg.Cache.Directory = filepath.Join(filepath.Dir(sim.specs), "cache")
	cfg.Web.Listen = listen
	sv := newService(s, cfg)
	sv.listener = listener
	ctx, stop := context.WithCancel(ctx)
	var live sync.WaitGroup
	live.Go(func() { sim.run(ctx, sv.log) })
	defer live.Wait()
	defer stop()
	page := "http://" + listener.Addr().String()
	fmt.Fprintf(s.out, `
  page        %s
  API         %s/api/v1/slos
  metrics     %s/metrics
  SLO files   %s (edit one, and it is reloaded)
  Prometheus  %s (embedded; try %s status %s --backend %s)

In about a minute an incident begins in the service checkout: an alert fires two
minutes later, and resolves some minutes after the incident is over. Another
service has one every half an hour. Ctrl-C ends the demo.

`, page, page, page, sim.specs, sim.url, os.Args[0], sim.specs, sim.url)
	return sv.run(ctx)
}

// simulation is the shop, its embedded Prometheus, and its SLO files.
type simulation struct {
	shop   *shop.Shop
	db     *memprom.DB
	server *http.Server
	url    string
	specs  string
}

// startShop makes the history of the shop and serves it. Nothing is left open
// when it fails.
func startShop(ctx context.Context, s streams, dir string) (*simulation, error) {
	began := time.Now()
	sim := &simulation{specs: filepath.Join(dir, "slos")}
	if err := writeSpecs(sim.specs, began); err != nil {
		return nil, err
	}
	db, err := memprom.Open(filepath.Join(dir, "prometheus"), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	sim.db = db
	fmt.Fprintln(s.out, "Simulating 30 days of a shop ...")
	sim.shop = shop.New(shop.Options{Seed: 1, HistoryStart: began.Add(-demoHistory), LiveStart: began})
	if err := sim.shop.Advance(ctx, db, began); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	listener, err := listenOn(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	sim.url = "http://" + listener.Addr().String()
	sim.server = &http.Server{Handler: db.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = sim.server.Serve(listener) }() // ends with close
	return sim, nil
}

// writeSpecs writes the SLO files of a shop that goes live.
func writeSpecs(dir string, live time.Time) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, text := range shop.Specs(live) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// run lets the shop go on until ctx ends.
func (sim *simulation) run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(demoStep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := sim.shop.Advance(ctx, sim.db, now); err != nil {
				if ctx.Err() == nil {
					log.Error("Advancing the demo's shop", "err", err)
				}
				return
			}
		}
	}
}

func (sim *simulation) close() error {
	return errors.Join(sim.server.Close(), sim.db.Close())
}
