package evaluator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"
)

// The kinds of backends.
const (
	kindAuto            = "auto"
	kindPrometheus      = "prometheus"
	kindVictoriaMetrics = "victoriametrics"
	kindThanos          = "thanos"
	kindMimir           = "mimir"
)

// identity is what a backend is.
type identity struct {
	kind    string
	version string // "" when it does not tell
}

// parameters are those that a kind's queries have beside the usual ones.
func (id identity) parameters() url.Values {
	switch id.kind {
	case kindThanos:
		// A part of the answer is no answer, replicas are one, counters are not
		// downsampled, and the other engine answers no ranges when it is distributed.
		return url.Values{"partial_response": {"false"}, "dedup": {"true"}, "max_source_resolution": {"0s"}, "engine": {"prometheus"}}
	case kindVictoriaMetrics:
		// The cache does not see data that comes late, and without it the newest
		// half minute is not held back.
		return url.Values{"nocache": {"1"}}
	}
	return nil
}

// inquiry asks a backend once what it is. All who want to know wait for it.
type inquiry struct {
	done chan struct{} // closed when the others are set
	id   identity
	err  error
}

// identify tells what the backend is. It is asked before the first query, and
// again after a failure; what it answers is remembered.
func (b *client) identify(ctx context.Context) (identity, error) {
	for {
		b.mu.Lock()
		q := b.inquiry
		mine := q == nil
		if mine {
			q = &inquiry{done: make(chan struct{})}
			b.inquiry = q
		}
		b.mu.Unlock()
		if mine {
			q.id, q.err = b.inquire(ctx)
			b.conclude(q)
			return q.id, q.err
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			return identity{}, ctx.Err()
		}
		if !errors.Is(q.err, context.Canceled) { // else the one who asked went away
			return q.id, q.err
		}
	}
}

// conclude ends an inquiry. One that failed is forgotten.
func (b *client) conclude(q *inquiry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.err != nil {
		b.inquiry = nil
	} else {
		b.tell(q.id)
	}
	close(q.done)
}

// tell sets the metric of what the backend is.
func (b *client) tell(id identity) {
	b.metrics.info.DeletePartialMatch(map[string]string{"backend": b.Name})
	b.metrics.info.WithLabelValues(b.Name, id.kind, id.version).Set(1)
}

// forget has a backend that was down asked again: it may be another one then.
func (b *client) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.configured() || b.inquiry == nil {
		return
	}
	select {
	case <-b.inquiry.done:
		b.inquiry = nil
	default: // it is being asked
	}
}

// configured reports whether the user said what the backend is.
func (b *client) configured() bool { return b.Kind != "" && b.Kind != kindAuto }

// known is what the backend is, as far as that is known.
func (b *client) known() (identity, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inquiry == nil {
		return identity{}, false
	}
	select {
	case <-b.inquiry.done:
		return b.inquiry.id, true
	default:
		return identity{}, false
	}
}

// inquire finds out what the backend is: by what it says of itself, and where
// that tells nothing by a function that only VictoriaMetrics has. What can't be
// told is taken for a Prometheus.
func (b *client) inquire(ctx context.Context) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Timeout+b.patience.limit)
	defer cancel()
	var info buildInfo
	err := b.call(ctx, "/api/v1/status/buildinfo", nil, func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&info)
	})
	if id := info.identity(); err == nil && id.kind != "" {
		return id, nil
	}
	if ctx.Err() != nil {
		return identity{}, cmp.Or(err, ctx.Err())
	}
	answer, err := b.ask(ctx, "/api/v1/query", instant("now()", time.Unix(0, 0)))
	switch {
	case err != nil && !refused(err):
		return identity{}, err
	case err == nil && len(answer) == 1 && len(answer[0].labels) == 0 && len(answer[0].samples) == 1:
		return identity{kind: kindVictoriaMetrics}, nil
	}
	return identity{kind: kindPrometheus}, nil
}

// buildInfo is the answer of /api/v1/status/buildinfo.
type buildInfo struct {
	Data struct {
		Application string `json:"application"`
		Version     string `json:"version"`
		GoVersion   string `json:"goVersion"`
	} `json:"data"`
}

// identity is what the answer tells. VictoriaMetrics answers nothing, or the
// version of a Prometheus and no more.
func (i buildInfo) identity() identity {
	d := i.Data
	switch {
	case strings.Contains(d.Application, "Mimir"):
		return identity{kindMimir, d.Version}
	case d.GoVersion == "":
		return identity{}
	case strings.HasPrefix(d.Version, "0."):
		return identity{kindThanos, d.Version}
	}
	return identity{kindPrometheus, d.Version}
}

// BackendInfo is what is known of a backend.
type BackendInfo struct {
	Name    string
	Kind    string // prometheus, victoriametrics, thanos, mimir
	Version string // "" when it does not tell
}

// backendInfos are those of the backends that are known.
func (e *Evaluator) backendInfos() []BackendInfo {
	var out []BackendInfo
	for _, b := range e.backends {
		if id, ok := b.known(); ok {
			out = append(out, BackendInfo{b.Name, id.kind, id.version})
		}
	}
	return out
}
