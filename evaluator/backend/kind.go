package backend

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
)

// The kinds of backends.
const (
	kindAuto            = "auto"
	KindPrometheus      = "prometheus"
	KindVictoriaMetrics = "victoriametrics"
	KindThanos          = "thanos"
	kindMimir           = "mimir"
)

// Identity is the product of a backend and its version.
type Identity struct {
	Kind    string
	Version string // "" if the backend does not report it
}

// parameters returns the query parameters that only this kind needs.
func (id Identity) parameters() url.Values {
	switch id.Kind {
	case KindThanos:
		// An incomplete answer is an error, replicas are merged, and counters are not
		// downsampled. The other engine answers no range queries in distributed mode.
		return url.Values{"partial_response": {"false"}, "dedup": {"true"}, "max_source_resolution": {"0s"}, "engine": {"prometheus"}}
	case KindVictoriaMetrics:
		// The cache misses data that comes late. Without the cache, the newest half
		// minute is returned too.
		return url.Values{"nocache": {"1"}}
	}
	return nil
}

// identify returns the kind of the backend. It detects it before the first query, and
// again after a failure, and remembers the result. All queries wait for one detection.
func (c *Client) identify(ctx context.Context) (Identity, error) {
	for {
		if id, known := c.Identity(); known {
			return id, nil
		}
		detected := c.inquiry.DoChan("", func() (any, error) {
			id, err := c.inquire(ctx)
			if err == nil {
				c.setIdentity(id)
			}
			return id, err
		})
		select {
		case r := <-detected:
			if ctx.Err() != nil || !errors.Is(r.Err, context.Canceled) { // otherwise the query that detected it was cancelled
				return r.Val.(Identity), r.Err
			}
		case <-ctx.Done():
			return Identity{}, ctx.Err()
		}
	}
}

// setIdentity remembers the kind, and sets the metric with it.
func (c *Client) setIdentity(id Identity) {
	c.identity.Store(&id)
	c.metrics.info.DeletePartialMatch(map[string]string{"backend": c.Name})
	c.metrics.info.WithLabelValues(c.Name, id.Kind, id.Version).Set(1)
}

// Forget makes a backend that was down be detected again, because it may be another
// product now.
func (c *Client) Forget() {
	if !c.configured() {
		c.identity.Store(nil)
	}
}

// configured reports whether the user configured the kind.
func (c *Client) configured() bool { return c.Kind != "" && c.Kind != kindAuto }

// Identity returns the kind of the backend, or false if it is not known yet.
func (c *Client) Identity() (Identity, bool) {
	if id := c.identity.Load(); id != nil {
		return *id, true
	}
	return Identity{}, false
}

// inquire detects the kind: by the build information, and if that does not show it, by a
// function that only VictoriaMetrics has. Anything else counts as a Prometheus.
func (c *Client) inquire(ctx context.Context) (_ Identity, err error) {
	defer c.Rescue(&err)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+c.patience.limit)
	defer cancel()
	var info buildInfo
	err = c.Get(ctx, "/api/v1/status/buildinfo", &info)
	if id := info.identity(); err == nil && id.Kind != "" {
		return id, nil
	}
	if ctx.Err() != nil {
		return Identity{}, cmp.Or(err, ctx.Err())
	}
	answer, err := c.send(ctx, Query{Query: "now()", Time: time.Unix(0, 0)}, 0, nil)
	switch {
	case err != nil && !Refused(err):
		return Identity{}, err
	case err == nil && len(answer) == 1 && len(answer[0].Labels) == 0 && len(answer[0].Samples) == 1:
		return Identity{Kind: KindVictoriaMetrics}, nil
	}
	return Identity{Kind: KindPrometheus}, nil
}

// buildInfo is the answer of /api/v1/status/buildinfo.
type buildInfo struct {
	Data struct {
		Application string `json:"application"`
		Version     string `json:"version"`
		GoVersion   string `json:"goVersion"`
	} `json:"data"`
}

// identity returns the kind that the answer shows. VictoriaMetrics answers nothing, or
// only the version of a Prometheus.
func (i buildInfo) identity() Identity {
	d := i.Data
	switch {
	case strings.Contains(d.Application, "Mimir"):
		return Identity{kindMimir, d.Version}
	case d.GoVersion == "":
		return Identity{}
	case strings.HasPrefix(d.Version, "0."):
		return Identity{KindThanos, d.Version}
	}
	return Identity{KindPrometheus, d.Version}
}
