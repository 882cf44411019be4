package rules

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// process is a scraped process of a world.
type process struct {
	*world
	first    bool // the world's first one, which lives for ever
	instance string
	at       int // of scrapes after those of second 0, in milliseconds

	rate, failing float64 // events a minute, and the share of them that fails
	eager         bool    // counters are there before they count anything
	counts        map[string]count
	scraped       map[string]count // as of the last scrape
	old           map[string]count // as last scraped before a restart, until its slot is over
	exposed       []string         // series of the last scrape; none when it failed

	action           int // slot of the next thing to happen
	restarted        int // slot of the last restart
	restartsAt       int // the scrape of that slot that is the first one after it
	burst, idle      int // until this slot
	down, downFor    int // the scrape of the present slot that fails first, and how many do
	restartsWhenDown bool
	lost             string // the code that is not exposed
	back             int    // the slot in which it is again
	births           bool   // new counters may appear
}

// count contains the events of a code.
type count struct{ all, fast float64 }

// live runs a process, and those that come after it, to the end of the world.
func (w *world) live(number int) {
	for generation, slot := 0, 0; slot < w.minutes; generation++ {
		p := &process{
			world: w, first: number == 0, instance: fmt.Sprintf("%d-%d", number, generation),
			at: 1 + w.pick(250)*(1000*w.interval-2)/250, restarted: -999,
			rate: []float64{10, 0.3, 200, 3000}[w.pick(4)], failing: []float64{0.01, 0, 0.001, 0.2}[w.pick(4)], eager: w.pick(4) == 1,
		}
		p.action = slot + 3 + p.pick(40)
		slot = p.run(slot) + p.pick(10)
		// Limit: rules know no slot by the first scrapes of a process alone.
		for slot < w.minutes && !w.reached[slot] {
			slot++
		}
	}
}

// run returns the slot in which the process ended.
func (p *process) run(slot int) int {
	p.start()
	scrapes := 60 / p.interval
	// Limit: rules don't see what a process counts between the scrapes of its
	// first slot.
	p.scrape(slot, scrapes-1, true)
	for slot++; slot < p.minutes; slot++ {
		there := len(p.exposed) > 0
		structural, ends := p.act(slot)
		if ends {
			p.scrape(slot, 0, false)
			break
		}
		for i := range scrapes {
			if i > 0 && p.restarted == slot && i == p.restartsAt {
				p.restart(slot)
			}
			// Limit: rules count a new series only when its target is scraped
			// just before the slot and at the end of it. If series end in the
			// slot, they can't tell which came first, and of what is new then
			// they don't see what it counts between the scrapes of the slot.
			surely := p.interval == 60 || p.restarted == slot && p.restartsAt == 0 && p.old["200"].all > 0
			p.births = there && p.downFor == 0 && (!structural || i == 0 && surely)
			p.work(slot)
			fails := p.downFor > 0 && i >= p.down
			if fails {
				p.down, p.downFor = 0, p.downFor-1
				if p.restartsWhenDown && p.downFor == 0 && p.busy(slot) {
					p.restartsAt = 0
					p.restart(slot)
				}
			}
			p.scrape(slot, i, !fails)
		}
		if now := len(p.exposed) > 0; now {
			p.old = nil
			p.resumed[slot+1] = p.resumed[slot+1] || !there
			p.reached[slot] = p.reached[slot] || p.first && there
		}
	}
	return slot
}

// start is how the process begins to count.
func (p *process) start() {
	p.counts = map[string]count{"200": {}, sum: {}}
	if p.eager {
		p.counts["404"], p.counts["500"], p.counts["503"] = count{}, count{}, count{}
	}
}

// busy reports whether a restart shows. Limit: where nothing falls, rules may take
// an earlier restart for it; and of what returns after a time without events, the
// evaluator does not believe more than a process counts in such a time.
func (p *process) busy(slot int) bool { return slot >= p.idle && p.scraped["200"].all > 0 }

func (p *process) restart(slot int) {
	if p.old == nil {
		p.old = p.scraped
	}
	p.start()
	p.tell(slot, "restarts before scrape %d", p.restartsAt)
	p.restarted, p.lost = slot, ""
}

// tell notes what happens in a slot, for whoever has to find out why a test
// fails.
func (p *process) tell(slot int, format string, args ...any) {
	p.story = append(p.story, fmt.Sprintf("%d: %s ", slot+1, p.instance)+fmt.Sprintf(format, args...))
}

// act does what happens at the first scrape of a slot. It tells whether series
// may end there, and whether the process does.
func (p *process) act(slot int) (structural, ends bool) {
	if p.lost != "" && slot == p.back {
		p.lost = ""
	}
	if slot != p.action || p.downFor > 0 {
		return false, false
	}
	length := 1 + p.pick(25)
	switch kind := p.pick(8); kind {
	case 0, 1:
		p.tell(slot, "fails for %d min", length)
		p.burst = slot + length
	case 2:
		p.tell(slot, "is idle for %d min", 4*length)
		p.idle = slot + 4*length
	case 3, 4:
		if !p.busy(slot) {
			break
		}
		p.restarted, p.restartsAt, structural = slot, p.pick(60/p.interval), true
		if p.restartsAt == 0 {
			p.restart(slot)
		}
	case 5:
		p.down, p.downFor = p.pick(60/p.interval), length*60/p.interval
		if p.pick(2) == 1 {
			p.downFor = 1 + p.pick(5)
		}
		if p.interval == 60 {
			// Limit: of one failed scrape a minute apart rules make an unknown
			// slot, the evaluator none.
			p.downFor = max(p.downFor, 2)
		}
		p.tell(slot, "is not reached by %d scrapes from %d on", p.downFor, p.down)
		p.restartsWhenDown = p.pick(2) == 1
	case 6:
		// Limit: rules take a series that returns within half an hour after a
		// restart for new, and one that was away for longer too.
		if _, counted := p.counts["404"]; counted && slot+length-p.restarted > 32 {
			p.tell(slot, "loses a code for %d min", length)
			p.lost, p.back, structural = "404", slot+length, true
		}
	case 7:
		if ends = !p.first; ends {
			p.tell(slot, "ends")
		}
	}
	p.action = slot + length + 6 + p.pick(40)
	return structural, ends
}

// work counts the events since the last scrape.
func (p *process) work(slot int) {
	if slot < p.idle {
		return
	}
	n, failing, slow := p.some(p.rate*float64(p.interval)/60), p.failing, 0.02
	if slot < p.burst {
		failing, slow = 0.3, 0.4
	}
	for _, c := range []struct {
		code  string
		share float64
	}{{"500", failing}, {"503", failing / 3}, {"404", 0.05}, {"200", 1}} {
		events := min(n, p.some(n*c.share))
		if c.share == 1 {
			events = n
		}
		n -= events
		if _, there := p.counts[c.code]; events > 0 && (there || p.births) {
			p.count(c.code, events, min(events, p.some(events*slow)))
			p.count(sum, events, 0)
		}
	}
}

// count counts, but limit: rules miss a restart when a counter is as high at
// the end of its slot as before. The evaluator sees it by the other counters.
func (p *process) count(code string, events, slow float64) {
	c := p.counts[code]
	c.all, c.fast = c.all+events, c.fast+events-slow
	if o, was := p.old[code]; was {
		c.all, c.fast = min(c.all, max(o.all-1, 0)), min(c.fast, max(o.fast-1, 0))
	}
	p.counts[code] = c
}

// scrape writes the i-th scrape of a slot.
func (p *process) scrape(slot, i int, ok bool) {
	at := epoch.Add(time.Duration((slot*60+i*p.interval)*1000+p.at) * time.Millisecond)
	var exposed []string
	add := func(name string, v float64) {
		p.series[name] = append(p.series[name], memprom.Sample{Time: at, Value: v})
	}
	for _, code := range slices.Sorted(maps.Keys(p.counts)) {
		if !ok || code == p.lost {
			continue
		}
		for name, all := range p.shape.exposed(code) {
			name += `,job="shop",instance="` + p.instance + `"}`
			exposed = append(exposed, name)
			if c := p.counts[code]; all {
				add(name, c.all)
			} else {
				add(name, c.fast)
			}
		}
	}
	for _, name := range p.exposed {
		if !slices.Contains(exposed, name) {
			add(name, memprom.Stale())
		}
	}
	p.exposed = exposed
	if ok {
		p.scraped = maps.Clone(p.counts)
	}
}
