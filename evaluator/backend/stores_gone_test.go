package backend

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// TestStoresOfTimesOfTheirOwn checks Store Gateways that have different times but the
// same labels. If one is gone, queries of its time miss it for a day. The same holds for
// one of two with the same time, because each may have some of the blocks. A sidecar is
// not missed if another has its data.
func TestStoresOfTimesOfTheirOwn(t *testing.T) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	store := func(component, name string, from, to int) thanosStore {
		return thanosStore{
			Name: name, component: component, alike: component + " ",
			MinTime: begin.Add(time.Duration(from) * time.Hour).UnixMilli(), MaxTime: begin.Add(time.Duration(to) * time.Hour).UnixMilli(),
		}
	}
	old, recent, again := store("store", "old", -999, -500), store("store", "recent", -500, -2), store("store", "again", -500, -2)
	a, b := store("sidecar", "a", -48, 99), store("sidecar", "b", -48, 99)
	failing := recent
	failing.LastError = "connection refused"
	renamed := recent
	renamed.Name = "recent-2"
	last := timeline.MinuteOf(begin)
	for name, c := range map[string]struct {
		before, after []thanosStore
		hours         int // hours to read
		later         time.Duration
		want          []string
	}{
		"the recent one":    {[]thanosStore{old, recent}, []thanosStore{old}, 48, time.Minute, []string{"recent"}},
		"of another time":   {[]thanosStore{old, recent}, []thanosStore{recent}, 48, time.Minute, nil},
		"of a time touched": {[]thanosStore{old, recent}, []thanosStore{recent}, 501, time.Minute, []string{"old"}},
		"one of two":        {[]thanosStore{recent, again}, []thanosStore{recent}, 48, time.Minute, []string{"again"}},
		"it fails":          {[]thanosStore{old, recent}, []thanosStore{old, failing}, 48, time.Minute, []string{"recent"}},
		"another name":      {[]thanosStore{old, recent}, []thanosStore{old, renamed}, 48, time.Minute, nil},
		"a replica":         {[]thanosStore{a, b}, []thanosStore{b}, 48, time.Minute, nil},
		"the only sidecar":  {[]thanosStore{a}, nil, 48, time.Minute, []string{"a"}},
		"almost a day":      {[]thanosStore{old, recent}, []thanosStore{old}, 48, 24*time.Hour - time.Minute, []string{"recent"}},
		"a day":             {[]thanosStore{old, recent}, []thanosStore{old}, 48, 24 * time.Hour, nil},
	} {
		s := stores{all: c.before}
		s.note(begin)
		s.all = c.after
		s.note(begin.Add(c.later))
		var got []string
		for _, k := range s.gone(begin.Add(c.later), last-timeline.Minute(60*c.hours), last) {
			require.Equal(t, begin, k.worked)
			got = append(got, k.Name)
		}
		require.Equal(t, c.want, got, name)
	}
}
