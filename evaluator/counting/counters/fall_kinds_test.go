package counters

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// exporter is a random exporter of one counter, with the events that really happened.
type exporter struct {
	samples []backend.Sample
	started []backend.Sample // start times in seconds; empty if the process reports none
	truth   float64          // events that a perfect reader would count between the first sample and the last
	slack   float64          // the part of truth that nobody can count
	likely  float64          // value of a member that was left alone, small enough to be new events
	falls   int              // falls without proof
}

// scrapeAt returns the time of a scrape: one each 30 s, half of them on the boundaries of
// slots.
func scrapeAt(i int) int64 { return epochMillis + int64(i)*30_000 }

const epochMillis = 1_700_000_000_000 - 1_700_000_000_000%60_000

const scrapes = 1200 // ten hours

// losesMembers returns a sum of members that appear with nothing and leave with all they
// counted. Events of a member around its end can't be separated from those of the others.
func losesMembers(r *rand.Rand) exporter {
	var e exporter
	members := make([]float64, 2+r.IntN(20))
	for i := range members {
		members[i] = float64(20_000 + r.IntN(1_000_000))
	}
	busy := float64(1 + r.IntN(50))
	before := 0.0
	for i := range scrapes {
		grown := 0.0
		for m := range members {
			n := float64(int(busy * (0.5 + r.Float64())))
			members[m] += n
			grown += n
		}
		if i > 20 && r.IntN(120) == 0 {
			members[r.IntN(len(members))] = 0
		}
		now := 0.0
		for _, n := range members {
			now += n
		}
		e.samples = append(e.samples, backend.Sample{T: scrapeAt(i), V: now})
		if i > 0 {
			e.truth += grown
			if now < before+grown {
				e.slack += grown
			}
			if most := 100 + 10*2*1.5*busy*float64(len(members)); now < before && now <= most {
				e.likely += now
			} else if now < before {
				e.falls++
			}
		}
		before = now
	}
	return e
}

// restores returns a counter of a process that crashes and continues with a state that it
// saved some minutes before, with a new start time.
func restores(r *rand.Rand) exporter {
	var e exporter
	n, start := float64(500_000+r.IntN(1_000_000)), scrapeAt(-5000)
	saved := n
	for i := range scrapes {
		grown := float64(50 + r.IntN(50))
		if i > 30 && i%97 == 0 { // a crash: the events since the last scrape are lost
			n, start = saved, scrapeAt(i)-10_000
			e.slack += grown
			e.falls++
		} else {
			n += grown
			if i > 0 {
				e.truth += grown
			}
		}
		if i%20 == 0 && i%97 != 0 {
			saved = n
		}
		e.samples = append(e.samples, backend.Sample{T: scrapeAt(i), V: n})
		e.started = append(e.started, backend.Sample{T: scrapeAt(i), V: float64(start) / 1000})
	}
	return e
}

// pushes returns a batch whose runs push their counts to a gateway, with their start
// times.
func pushes(r *rand.Rand) exporter {
	var e exporter
	n, start, next := float64(200+r.IntN(2000)), scrapeAt(-20), 30+r.IntN(60)
	for i := range scrapes {
		if i == next {
			n, start = max(1, n*(0.5+r.Float64())), scrapeAt(i)-100_000
			if n = float64(int(n)); n == e.samples[i-1].V {
				n++ // an equal value is not visible
			}
			e.truth += n
			next = i + 30 + r.IntN(60)
		}
		e.samples = append(e.samples, backend.Sample{T: scrapeAt(i), V: n})
		e.started = append(e.started, backend.Sample{T: scrapeAt(i), V: float64(start) / 1000})
	}
	return e
}

// alternates returns a busy process that two scrapers show in turns, one some seconds
// late, and that restarts now and then.
func alternates(r *rand.Rand) exporter {
	var e exporter
	n := 10_000.0
	for i := range scrapes {
		grown := float64(20 + r.IntN(10))
		n += grown
		late := n - grown - float64(r.IntN(int(grown)))
		v := n
		if i%2 == 1 {
			v = late
		}
		e.samples = append(e.samples, backend.Sample{T: scrapeAt(i), V: v})
	}
	e.truth = e.samples[scrapes-2].V - e.samples[0].V
	e.slack = 50
	return e
}

// TestKindsOfFalls feeds both methods with exporters whose counters fall for one kind of
// reason. They never count more than happened, and less only where nobody can count it.
// Events left out without proof are reported.
func TestKindsOfFalls(t *testing.T) {
	kinds := map[string]func(*rand.Rand) exporter{
		"loses members": losesMembers, "restores": restores, "pushes": pushes, "alternates": alternates,
	}
	for name, kind := range kinds {
		for seed := range uint64(20) {
			for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, seed, method), func(t *testing.T) {
					e := kind(rand.New(rand.NewPCG(seed, 1)))
					s := series1("total", counting.RoleTotal)
					end := timeline.SlotEnd(scrapeAt(scrapes - 1))
					s.Samples = e.samples
					var c counting.Method = NewRaw(counting.RoleTotal)
					steps := 1.0
					if method == evaluator.MethodAggregated {
						c, s.Samples, steps = NewTargets(counting.RoleTotal), onBoundaries(e.samples), 2
					}
					if e.started != nil {
						begun := counting.Starts{}
						for _, x := range e.samples {
							begun[""] = append(begun[""], backend.Sample{T: x.T, V: float64(latest(e.started, x.T))})
						}
						GiveStarts(c, begun)
					}
					got := c.Feed([]counting.RawSeries{s}, timeline.SlotEnd(epochMillis)-1, end)
					for _, c := range got.Unproven {
						got.Resolve(c)
					}
					total := sumOf(got.Total)
					require.LessOrEqual(t, total, e.truth+e.likely+1)
					require.GreaterOrEqual(t, total, e.truth-2*steps*e.slack-1)
					if e.falls > 0 {
						require.NotEmpty(t, got.Undecided)
					}
				})
			}
		}
	}
}

// onBoundaries returns the newest samples at the ends of slots.
func onBoundaries(samples []backend.Sample) []backend.Sample {
	var out []backend.Sample
	for _, x := range samples {
		if x.T%60_000 == 0 {
			out = append(out, x)
		}
	}
	return out
}

// latest returns the start time of the newest sample up to an instant, in milliseconds.
func latest(starts []backend.Sample, at int64) int64 {
	out := int64(0)
	for _, x := range starts {
		if x.T <= at {
			out = int64(x.V * 1000)
		}
	}
	return out
}

// TestCountersThatExpire checks an exporter that drops a counter without events for some
// minutes, and creates it again with the next event. Never more is counted than happened,
// and the rest is undecided.
func TestCountersThatExpire(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		other, expiring := series1("total", counting.RoleTotal), series1("bad", counting.RoleBad)
		n, truth, last := 0.0, 0.0, -100
		for i := range scrapes {
			at := scrapeAt(i)
			other.Samples = append(other.Samples, backend.Sample{T: at, V: float64(5 * i)})
			if i > 0 && r.IntN(60) == 0 && (i-last <= 10 || i-last > 13) { // an absence of a scrape or two may be a partial scrape
				if i-last > 10 {
					n = 0
				}
				events := float64(1 + r.IntN(5))
				n, truth, last = n+events, truth+events, i
			}
			if i-last <= 10 {
				expiring.Samples = append(expiring.Samples, backend.Sample{T: at, V: n})
			}
		}
		got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{other, expiring}, timeline.SlotEnd(epochMillis)-1, timeline.SlotEnd(scrapeAt(scrapes-1)))
		for _, c := range got.Unproven {
			c.Began = epochMillis - 1_000_000
			got.Resolve(c)
		}
		left := 0.0
		for _, l := range got.Undecided {
			left += l.Bad
		}
		require.Equal(t, 5.0*(scrapes-1), sumOf(got.Total))
		require.LessOrEqual(t, sumOf(got.Bad), truth)
		require.Equal(t, truth, sumOf(got.Bad)+left, "seed %d", seed)
	}
}
