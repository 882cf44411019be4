package backend

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Prometheus and Mimir send raw samples by remote read in the chunks in which they store
// them. That takes a small part of the time of a query, which decodes them and writes
// them as text. Thanos and VictoriaMetrics have no remote read.
// https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/

// MethodQuery makes queries read all samples, also if the backend has remote read.
const MethodQuery = "query"

// Samples returns the raw samples of a selector in (from, to]: by remote read if the
// backend has it, or else by a query.
func (c *Client) Samples(ctx context.Context, s slo.Selector, from, to timeline.Minute) ([]Series, error) {
	q := Query{Query: s.Range(time.Duration(to-from) * time.Minute), Time: to.Time()}
	if by := c.readable(ctx); by != nil && !by.matches(s) {
		out, err := c.remoteRead(ctx, by, s, askedFor{from.Millis(), to.Millis()})
		if err == nil {
			c.failing.Store(0)
		}
		if err == nil || !c.giveUpReading(err, to-from) {
			if c.trace != nil {
				c.trace(q.answered(out, err))
			}
			return out, err
		}
	}
	return c.queryAs(ctx, q, 0)
}

// examination is the result of finding out how to read.
type examination struct {
	until time.Time    // until when it holds
	by    *readContext // nil if remote read is not used
}

const (
	readableFor     = 10 * time.Minute // how long an examination holds
	unreadableFor   = time.Hour        // how long remote read is not tried again
	maybeReadableIn = time.Minute      // the same, if the backend could not be examined
)

// readContext describes how a Prometheus changes the labels of series that it sends.
// External labels are those that it adds. Label names are those that it stores.
type readContext struct {
	external map[string]string
	names    map[string]bool // nil if nothing is added
}

// matches reports whether a selector names a label that the server adds. In a matcher it
// takes that label for one that it adds itself, and not for one of the series.
func (by *readContext) matches(s slo.Selector) bool {
	return slices.ContainsFunc(s.Matchers(), func(m *labels.Matcher) bool { _, is := by.external[m.Name]; return is })
}

// readable returns how to read, or nil if remote read is not used. All reads wait for one
// examination.
func (c *Client) readable(ctx context.Context) *readContext {
	id, err := c.identify(ctx)
	if err != nil || id.Kind != KindPrometheus && id.Kind != kindMimir || c.Method == MethodQuery {
		return nil
	}
	now := c.patience.now()
	if e := c.examined.Load(); e != nil && now.Before(e.until) {
		return e.by
	}
	done := c.inquiry.DoChan("remote read", func() (any, error) {
		by, err := &readContext{}, error(nil)
		if id.Kind == KindPrometheus {
			by, err = c.examine(ctx)
		}
		return by, c.conclude(ctx, by, err)
	})
	select {
	case r := <-done:
		return r.Val.(*readContext)
	case <-ctx.Done():
		return nil
	}
}

// conclude remembers the result of an examination. After one that was cancelled, the next
// read examines the backend.
func (c *Client) conclude(ctx context.Context, by *readContext, err error) error {
	e := examination{c.patience.now().Add(readableFor), by}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && mayPass(err):
		e = examination{until: c.patience.now().Add(maybeReadableIn)}
	case err != nil:
		e = examination{until: c.patience.now().Add(unreadableFor)}
		c.logUnreadable(err)
	}
	c.examined.Store(&e)
	return err
}

// logUnreadable logs once why remote read is not used.
func (c *Client) logUnreadable(cause error) {
	c.refused.Do(func() {
		c.log.Info("History is read by queries, not by remote read", "backend", c.Name, "reason", cause)
	})
}

// mayPass reports whether an error is one of a backend that is overloaded or can't be
// reached, so that a query would fail too.
func mayPass(err error) bool {
	if q, ok := errors.AsType[*queryError](err); ok {
		return q.status == http.StatusTooManyRequests || q.status == http.StatusServiceUnavailable || TookLong(err)
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrMemory)
}

// mostFailing is how often in a row remote read may fail as an overloaded backend does. After
// that it may be remote read alone that fails, or something between that refuses it.
const mostFailing = 2

// mostRelabelled is how often labels may be others than was examined. Replicas with other
// external labels that answer in turns would cost an examination and a query each time.
const mostRelabelled = 3

// giveUpReading reports whether a query may be answered that remote read is not. Then
// remote read is not used for some time. If only labels changed, it is examined again.
func (c *Client) giveUpReading(err error, length timeline.Minute) bool {
	switch {
	case TooMuch(err, length), errors.Is(err, context.Canceled):
		return false
	case mayPass(err) && c.failing.Add(1) <= mostFailing:
		return false
	case errors.Is(err, errLabelsChanged) && c.relabelled.Add(1) <= mostRelabelled:
		c.examined.Store(nil)
	default:
		c.relabelled.Store(0)
		c.failing.Store(0)
		c.examined.Store(&examination{until: c.patience.now().Add(unreadableFor)})
		c.logUnreadable(err)
	}
	return true
}

// errOtherSource reports that a Prometheus reads from others, whose failures remote read
// does not report.
var errOtherSource = errors.New("its remote_read reads from other servers, and an answer does not say if one of them failed")

// examine returns which labels a Prometheus adds. A label that it both adds and stores
// can't be told apart in answers.
func (c *Client) examine(ctx context.Context) (_ *readContext, err error) {
	defer c.Rescue(&err)
	var config struct {
		Data struct {
			YAML string `json:"yaml"`
		} `json:"data"`
	}
	var names struct {
		Data []string `json:"data"`
	}
	err = c.Get(ctx, "/api/v1/status/config", &config)
	if err == nil {
		err = c.Get(ctx, "/api/v1/labels", &names)
	}
	if err != nil {
		return nil, err
	}
	var text struct {
		Global struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
		RemoteRead []any `yaml:"remote_read"`
	}
	if err := yaml.Unmarshal([]byte(config.Data.YAML), &text); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	if len(text.RemoteRead) > 0 {
		return nil, errOtherSource
	}
	out := &readContext{external: text.Global.ExternalLabels, names: map[string]bool{}}
	for _, name := range names.Data {
		out.names[name] = true
	}
	for name := range out.external {
		if out.names[name] {
			return nil, fmt.Errorf("its external label %s is a label of series too", name)
		}
	}
	return out, nil
}

// errLabelsChanged reports that the labels of an answer are not those that examine found:
// the configuration was changed, or another replica answered.
var errLabelsChanged = errors.New("its external labels changed")

// own removes external labels.
func (by *readContext) own(lbls map[string]string) error {
	for name, v := range by.external {
		if lbls[name] != v {
			return errLabelsChanged
		}
		delete(lbls, name)
	}
	for name := range lbls {
		if by.names != nil && !by.names[name] {
			return errLabelsChanged
		}
	}
	return nil
}

const (
	streamedChunks = "application/x-streamed-protobuf"
	sampleMessage  = "application/x-protobuf"
)

// remoteRead reads the samples of a selector by remote read.
func (c *Client) remoteRead(ctx context.Context, by *readContext, s slo.Selector, asked askedFor) ([]Series, error) {
	body, err := readRequest(s, asked)
	if err != nil {
		return nil, err
	}
	r := request{path: "/api/v1/read", body: body, types: []string{streamedChunks, sampleMessage}, header: map[string]string{
		"Content-Type": sampleMessage, "Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0",
	}}
	ctx, share, done := c.quota.share(ctx)
	defer done()
	var out []Series
	err = c.request(ctx, r, func(body io.Reader, kind string) (err error) {
		defer c.Rescue(&err)
		return share.decoding(func() error {
			d := readDecoder{asked: asked, ration: share.ration(ctx)}
			if kind == streamedChunks {
				err = d.decodeChunks(body)
			} else {
				err = d.decodeSamples(body)
			}
			out = slices.DeleteFunc(d.series, func(v Series) bool { return len(v.Samples)+len(v.NaNs)+len(v.Histograms) == 0 })
			return err
		})
	})
	for i := range out {
		if err == nil {
			err = by.own(out[i].Labels)
		}
	}
	if err == nil {
		err = orderly(out, asked)
	}
	if err != nil || len(out) == 0 {
		return nil, err
	}
	c.metrics.samples.WithLabelValues(c.Name).Add(float64(samplesIn(out)))
	return out, nil
}

func readRequest(s slo.Selector, asked askedFor) ([]byte, error) {
	q := &prompb.Query{StartTimestampMs: asked.from + 1, EndTimestampMs: asked.to}
	for _, m := range s.Matchers() {
		kinds := map[labels.MatchType]prompb.LabelMatcher_Type{
			labels.MatchEqual: prompb.LabelMatcher_EQ, labels.MatchNotEqual: prompb.LabelMatcher_NEQ,
			labels.MatchRegexp: prompb.LabelMatcher_RE, labels.MatchNotRegexp: prompb.LabelMatcher_NRE,
		}
		q.Matchers = append(q.Matchers, &prompb.LabelMatcher{Type: kinds[m.Type], Name: m.Name, Value: m.Value})
	}
	raw, err := (&prompb.ReadRequest{
		Queries:               []*prompb.Query{q},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
	}).Marshal()
	return snappy.Encode(nil, raw), err
}

// readDecoder decodes the answer of a remote read.
type readDecoder struct {
	asked  askedFor
	ration *memoryRation
	series []Series
	last   []prompb.Label // of the last series
	iter   chunkenc.Iterator
}

// decodeChunks reads a stream of frames. Each has its length, the checksum of its data,
// and a ChunkedReadResponse with a part of one series. After an error the server sends
// text, which is not a frame.
func (d *readDecoder) decodeChunks(body io.Reader) error {
	r := bufio.NewReaderSize(body, 64<<10)
	table := crc32.MakeTable(crc32.Castagnoli)
	var frame bytes.Buffer
	for {
		size, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var sum [crc32.Size]byte
		if err == nil {
			_, err = io.ReadFull(r, sum[:])
		}
		if err != nil {
			return err
		}
		if size > maxBody {
			return ErrTooLarge
		}
		frame.Reset()
		if n, err := io.CopyN(&frame, r, int64(size)); err != nil {
			return fmt.Errorf("it is cut off after %d of %d bytes of a frame: %w", n, size, err)
		}
		if crc32.Checksum(frame.Bytes(), table) != binary.BigEndian.Uint32(sum[:]) {
			return errors.New("the checksum of a frame is wrong")
		}
		var part prompb.ChunkedReadResponse
		if err := part.Unmarshal(frame.Bytes()); err != nil {
			return err
		}
		for _, v := range part.ChunkedSeries {
			if err := d.addChunks(v); err != nil {
				return err
			}
		}
	}
}

// grownAtOnce is the largest number of samples for which room is made before their memory is
// reserved. A frame of a Prometheus has less than that.
const grownAtOnce = 1 << 20

// addChunks adds the samples of chunks. Chunks may begin before the time that was asked
// for, and end after it.
func (d *readDecoder) addChunks(v *prompb.ChunkedSeries) error {
	chunks := make([]chunkenc.Chunk, 0, len(v.Chunks))
	floats := 0
	for _, chunk := range v.Chunks {
		if chunk.MaxTimeMs <= d.asked.from || chunk.MinTimeMs > d.asked.to {
			continue
		}
		data, err := chunkenc.FromData(chunkenc.Encoding(chunk.Type), chunk.Data)
		if err != nil {
			return err
		}
		if chunks = append(chunks, data); data.Encoding() == chunkenc.EncXOR {
			floats += min(data.NumSamples(), 4*len(chunk.Data)) // a sample takes at least two bits
		}
	}
	out, err := d.seriesOf(v.Labels)
	if err != nil {
		return err
	}
	out.Samples = slices.Grow(out.Samples, min(floats, grownAtOnce))
	for _, data := range chunks {
		if err := d.addChunk(out, data); err != nil {
			return err
		}
	}
	return nil
}

func (d *readDecoder) addChunk(out *Series, data chunkenc.Chunk) (err error) {
	d.iter = data.Iterator(d.iter)
	for kind := d.iter.Next(); kind != chunkenc.ValNone && err == nil; kind = d.iter.Next() {
		if kind == chunkenc.ValFloat {
			t, v := d.iter.At()
			err = d.addSample(out, t, v)
		} else {
			t, h := d.iter.AtFloatHistogram(nil)
			err = d.addHistogram(out, t, h)
		}
	}
	return cmp.Or(err, d.iter.Err())
}

// seriesOf returns the series with these labels, which is the last one or a new one.
func (d *readDecoder) seriesOf(lbls []prompb.Label) (*Series, error) {
	same := func(a, b prompb.Label) bool { return a.Name == b.Name && a.Value == b.Value }
	if n := len(d.series); n > 0 && slices.EqualFunc(lbls, d.last, same) {
		return &d.series[n-1], nil
	}
	v, bytes := Series{Labels: make(map[string]string, len(lbls))}, int64(seriesBytes)
	for _, l := range lbls {
		v.Labels[l.Name] = l.Value
		bytes += 2*int64(len(l.Name)+len(l.Value)) + labelBytes
	}
	d.series, d.last = append(d.series, v), lbls
	return &d.series[len(d.series)-1], d.ration.add(bytes)
}

// addSample adds a sample. It leaves out stale markers, as queries do.
func (d *readDecoder) addSample(out *Series, t int64, v float64) error {
	switch {
	case t <= d.asked.from || t > d.asked.to || value.IsStaleNaN(v):
		return nil
	case math.IsNaN(v):
		out.NaNs = append(out.NaNs, t)
	default:
		out.Samples = append(out.Samples, Sample{T: t, V: v})
	}
	return d.ration.add(sampleBytes)
}

// addHistogram adds a sample of a native histogram, with the buckets that are not empty.
func (d *readDecoder) addHistogram(out *Series, t int64, h *histogram.FloatHistogram) error {
	if t <= d.asked.from || t > d.asked.to || value.IsStaleNaN(h.Sum) {
		return nil
	}
	sample := Histogram{T: t, Count: h.Count}
	for it := h.AllBucketIterator(); it.Next(); {
		if b := it.At(); b.Count != 0 {
			sample.buckets = append(sample.buckets, Bucket{b.Lower, b.Upper, b.Count})
		}
	}
	out.Histograms = append(out.Histograms, sample)
	return d.ration.add(histogramBytes + bucketBytes*int64(len(sample.buckets)))
}

// decodeSamples reads an answer of a backend that has no chunks, such as Cortex.
func (d *readDecoder) decodeSamples(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if n, err := snappy.DecodedLen(raw); err != nil {
		return err
	} else if err := d.ration.take(int64(n)); err != nil {
		return err
	}
	if raw, err = snappy.Decode(nil, raw); err != nil {
		return err
	}
	var answer prompb.ReadResponse
	if err := answer.Unmarshal(raw); err != nil {
		return err
	}
	for _, result := range answer.Results {
		for _, v := range result.Timeseries {
			out, err := d.seriesOf(v.Labels)
			if err != nil {
				return err
			}
			for _, s := range v.Samples {
				if err := d.addSample(out, s.Timestamp, s.Value); err != nil {
					return err
				}
			}
			for _, h := range v.Histograms {
				if err := d.addHistogram(out, h.Timestamp, h.ToFloatHistogram()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
