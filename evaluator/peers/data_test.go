package peers_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/slowburn-slo/slowburn/evaluator/truth"
)

// history is how much of the past a Prometheus holds.
const history = truth.Days * 24 * time.Hour

// writeBlock writes the samples of series until an instant into a block in dir.
func writeBlock(tb testing.TB, dir string, until time.Time, series []*truth.Series) {
	tb.Helper()
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 3*history.Milliseconds())
	require.NoError(tb, err)
	for _, s := range series {
		app := w.Appender(tb.Context())
		for _, x := range s.Samples {
			if x.T > until.UnixMilli() {
				break
			}
			_, err := app.Append(0, s.Labels, x.T, x.V)
			require.NoError(tb, err)
		}
		require.NoError(tb, app.Commit())
	}
	_, err = w.Flush(tb.Context())
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
}

// feeder sends samples to Prometheis as time passes.
type feeder struct {
	urls   []string
	series []*truth.Series
	next   []int // of each series
}

// newFeeder sends what is after an instant.
func newFeeder(series []*truth.Series, after time.Time, urls ...string) *feeder {
	f := &feeder{urls: urls, series: series, next: make([]int, len(series))}
	for i, s := range series {
		for f.next[i] < len(s.Samples) && s.Samples[f.next[i]].T <= after.UnixMilli() {
			f.next[i]++
		}
	}
	return f
}

// run sends until ctx ends.
func (f *feeder) run(ctx context.Context, tb testing.TB) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		f.send(ctx, tb)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *feeder) send(ctx context.Context, tb testing.TB) {
	var raw []byte // a remote.write request: series of labels and samples
	now := time.Now().UnixMilli()
	for i, s := range f.series {
		var series []byte
		first := f.next[i]
		for ; f.next[i] < len(s.Samples) && s.Samples[f.next[i]].T <= now; f.next[i]++ {
			x := s.Samples[f.next[i]]
			sample := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(x.V))
			sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(x.T))
			series = message(series, 2, sample)
		}
		if f.next[i] == first {
			continue
		}
		s.Labels.Range(func(l labels.Label) {
			series = message(series, 1, message(message(nil, 1, []byte(l.Name)), 2, []byte(l.Value)))
		})
		raw = message(raw, 1, series)
	}
	if len(raw) == 0 {
		return
	}
	body := snappy.Encode(nil, raw)
	for _, url := range f.urls {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/write", bytes.NewReader(body))
		if err != nil {
			tb.Error(err)
			return
		}
		req.Header.Set("Content-Encoding", "snappy")
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			if ctx.Err() == nil {
				tb.Error(err)
			}
			return
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			tb.Errorf("writing to %s: %s", url, resp.Status)
		}
	}
}

// message appends a field that holds a message or a string.
func message(out []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), m)
}
