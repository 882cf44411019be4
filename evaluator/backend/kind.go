package backend

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
	KindPrometheus      = "prometheus"
	KindVictoriaMetrics = "victoriametrics"
	KindThanos          = "thanos"
	kindMimir           = "mimir"
)

// Identity is what a backend is.
type Identity struct {
	Kind    string
	Version string // "" when it does not tell
}

// parameters are those that a kind's queries have beside the usual ones.
func (id Identity) parameters() url.Values {
	switch id.Kind {
	case KindThanos:
		// A part of the answer is no answer, replicas are one, counters are not
		// downsampled, and the other engine answers no ranges when it is distributed.
		return url.Values{"partial_response": {"false"}, "dedup": {"true"}, "max_source_resolution": {"0s"}, "engine": {"prometheus"}}
	case KindVictoriaMetrics:
		// The cache does not see data that comes late, and without it the newest
		// half minute is not held back.
		return url.Values{"nocache": {"1"}}
	}
	return nil
}

// inquiry asks a backend once what it is. All who want to know wait for it.
type inquiry struct {
	done chan struct{} // closed when the others are set
	id   Identity
	err  error
}

// identify tells what the backend is. It is asked before the first query, and
// again after a failure; what it answers is remembered.
func (b *Client) identify(ctx context.Context) (Identity, error) {
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
			return Identity{}, ctx.Err()
		}
		if !errors.Is(q.err, context.Canceled) { // else the one who asked went away
			return q.id, q.err
		}
	}
}

// conclude ends an inquiry. One that failed is forgotten.
func (b *Client) conclude(q *inquiry) {
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
func (b *Client) tell(id Identity) {
	b.metrics.info.DeletePartialMatch(map[string]string{"backend": b.Name})
	b.metrics.info.WithLabelValues(b.Name, id.Kind, id.Version).Set(1)
}

// Forget has a backend that was down asked again: it may be another one then.
func (b *Client) Forget() {
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
func (b *Client) configured() bool { return b.Kind != "" && b.Kind != kindAuto }

// Identity is what the backend is, as far as that is known.
func (b *Client) Identity() (Identity, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inquiry == nil {
		return Identity{}, false
	}
	select {
	case <-b.inquiry.done:
		return b.inquiry.id, true
	default:
		return Identity{}, false
	}
}

// inquire finds out what the backend is: by what it says of itself, and where
// that tells nothing by a function that only VictoriaMetrics has. What can't be
// told is taken for a Prometheus.
func (b *Client) inquire(ctx context.Context) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Timeout+b.patience.limit)
	defer cancel()
	var info buildInfo
	err := b.Call(ctx, "/api/v1/status/buildinfo", nil, func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&info)
	})
	if id := info.identity(); err == nil && id.Kind != "" {
		return id, nil
	}
	if ctx.Err() != nil {
		return Identity{}, cmp.Or(err, ctx.Err())
	}
	answer, err := b.ask(ctx, "/api/v1/query", instant("now()", time.Unix(0, 0)))
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

// identity is what the answer tells. VictoriaMetrics answers nothing, or the
// version of a Prometheus and no more.
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
