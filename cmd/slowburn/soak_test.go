package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

var (
	soakTime = flag.Duration("soak", 0, "for how long TestSoak runs; 0 for not at all")
	soakSeed = flag.Uint64("soak-seed", 0, "what TestSoak does; 0 for something new")
)

// replica is one of the two services of a soak.
type replica struct {
	name string
	args []string
	at   atomic.Pointer[served] // the newest process
	kill func()
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	s, kill := running(t, r.args...)
	r.kill = kill
	r.at.Store(s)
}

// soaking is a soak that runs.
type soaking struct {
	t        *testing.T
	ctx      context.Context // ends with it
	rng      *rand.Rand
	dir      string
	repo     repository
	prom     *servers.Server
	replicas []*replica // the second is never killed, so that what grows can be seen
	world    *soakWorld
	done     map[string]int // how often something was done to them
	all      []*served

	mu      sync.Mutex
	answers map[string]int // of the load, by what became of it
	grown   []growth
}

// growth is a measurement of the second replica.
type growth struct {
	at                              time.Time
	memory, goroutines, descriptors float64
}

// TestSoak runs two replicas for a while beside everything that may go wrong, and holds
// their numbers and alerts against the truth.
func TestSoak(t *testing.T) {
	if *soakTime == 0 {
		t.Skip("it takes a quarter of an hour: make soak") //nolint:forbidigo // the rest of the tests has to end in minutes
	}
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("make soak SOAKSEED=%d chooses the same", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	start := time.Now().UTC()
	world := newSoakWorld(rng, start, *soakTime)
	ctx, cancel := context.WithCancel(t.Context())
	s := &soaking{t: t, ctx: ctx, rng: rng, dir: t.TempDir(), repo: newRepository(t), world: world, done: map[string]int{}, answers: map[string]int{}}
	s.prom = servers.Prometheus(t, servers.PrometheusOptions{Flags: []string{"--web.enable-remote-write-receiver"}})
	world.url = s.prom.URL
	var beside sync.WaitGroup
	t.Cleanup(beside.Wait)
	t.Cleanup(cancel)
	beside.Go(func() { world.write(ctx) })
	am, told := alertmanager(t)
	s.begin(am)
	o := &oracle{world: world, begun: time.Now(), newest: map[string]time.Time{}}
	for range 6 {
		beside.Go(s.read)
	}
	for range 3 {
		beside.Go(s.hold)
	}
	watching, stopWatching := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { s.watch(watching, o) })
	begun := time.Now()
	for time.Since(begun) < *soakTime {
		s.disturb()
	}
	ended := time.Now()
	pages := func() []sentAlert { return told.pages("firing") }
	for end := time.Now().Add(3 * time.Minute); len(o.alerts(pages(), begun, ended).lost) > 0 && time.Now().Before(end); {
		s.pause(time.Second) // the last incident is told within minutes
	}
	stopWatching()
	watched.Wait()
	cancel()
	beside.Wait()
	s.judge(o, o.alerts(pages(), begun, ended), ended.Sub(begun))
}

// begin starts the replicas and waits until both have read all.
func (s *soaking) begin(am *servers.Server) {
	t := s.t
	for i := range 7 {
		s.change(i)
	}
	s.repo.commit("shop7.yaml", shopFile("shop7", "99"))
	require.NoError(t, os.Mkdir(s.dir+"/hostile", 0o755))
	hanging, _ := slowGit(t, false)
	trickling, _ := slowGit(t, true)
	file := write(t, s.dir, "slowburn.yaml", `
specs:
  - {directory: ./slos}
  - {directory: ./hostile}
  - {git: {url: '`+hanging+`', interval: 5s}}
  - {git: {url: '`+trickling+`', interval: 5s}}
  - {git: {url: 'file://`+s.repo.dir+`', interval: 5s}}
backends: [{url: '`+s.prom.URL+`', offset: 5s, settle: 1m}]
alertmanagers: [{url: '`+am.URL+`'}]
policies: {soak: {tiers: [{name: soak, severity: page, bad_share: 20%, long: 5m, short: 5m}]}}
`)
	for _, name := range []string{"first", "second"} {
		r := &replica{name: name, args: []string{"--config", file}}
		r.start(t)
		s.replicas, s.all = append(s.replicas, r), append(s.all, r.at.Load())
	}
	for _, r := range s.replicas {
		for _, service := range s.world.services {
			r.at.Load().untilState(2*time.Minute, service+"/availability", "ok")
		}
	}
}

// shopFile is an SLO file of a service.
func shopFile(service, objective string) string {
	return strings.ReplaceAll(strings.Replace(checkout(objective), "    sli:", "    alerting: {policy: soak}\n    sli:", 1), "checkout", service)
}

// change writes the file of a service with another objective, which changes neither counts
// nor pages.
func (s *soaking) change(i int) {
	write(s.t, s.dir, fmt.Sprintf("slos/shop%d.yaml", i), shopFile(fmt.Sprintf("shop%d", i), strconv.Itoa(90+s.rng.IntN(10))))
}

// pause waits, or ends with the soak.
func (s *soaking) pause(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

func (s *soaking) seconds(least, most int) time.Duration {
	return time.Duration(least+s.rng.IntN(most-least+1)) * time.Second
}

// disturb does one thing to the services, and lets it work.
func (s *soaking) disturb() {
	does := []struct {
		name  string
		often int
		do    func()
	}{
		{"kill -9 of a replica, and a start", 3, s.restart},
		{"SIGSTOP of a replica for up to a minute", 2, s.suspend},
		{"restart of the Prometheus", 1, func() {
			s.prom.Stop()
			s.pause(s.seconds(0, 20))
			s.prom.Start()
		}},
		{"storm of 40 reloads while files change", 3, s.storm},
		{"hostile SLO files", 6, s.harm},
		{"commit to the Git repository", 2, func() {
			s.repo.commit("shop7.yaml", shopFile("shop7", fmt.Sprintf("9%d.%d", s.rng.IntN(10), s.rng.IntN(1000))))
		}},
		{"new configuration whose sources hang", 1, func() {
			text, err := os.ReadFile(s.dir + "/slowburn.yaml")
			require.NoError(s.t, err)
			write(s.t, s.dir, "slowburn.yaml", string(text)+"# changed\n")
		}},
	}
	which := s.rng.IntN(18)
	for _, one := range does {
		if which -= one.often; which < 0 {
			s.done[one.name]++
			one.do()
			s.pause(s.seconds(1, 8))
			return
		}
	}
}

func (s *soaking) restart() {
	r := s.replicas[0]
	r.kill()
	s.pause(s.seconds(0, 15))
	r.start(s.t)
	s.all = append(s.all, r.at.Load())
}

func (s *soaking) suspend() {
	process := s.replicas[s.rng.IntN(2)].at.Load().process
	require.NoError(s.t, process.Signal(syscall.SIGSTOP))
	s.pause(s.seconds(2, 60))
	require.NoError(s.t, process.Signal(syscall.SIGCONT))
}

func (s *soaking) storm() {
	var all sync.WaitGroup
	for i := range 40 {
		url := s.replicas[i%2].at.Load().URL + "/-/reload"
		all.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
			if err != nil {
				return
			}
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		})
		if i%4 == 0 {
			s.change(s.rng.IntN(7))
		}
	}
	all.Wait()
}

// harm makes, or removes, files that somebody should not have written.
func (s *soaking) harm() {
	slo := strings.ReplaceAll(checkout("99"), "checkout", "evil")
	texts := []string{
		"slos: [", strings.Repeat("[", 200_000), strings.Repeat("#", 2<<20), "\xff\xfe\x00", slo,
		"a: &a [x, x, x, x]\n" + strings.Repeat("b: &a [*a, *a, *a, *a, *a, *a]\n", 20),
		shopFile("shop0", "50"), // one that others have
		"apiVersion: slowburn/v1\nservice: evil\nslos:\n  - {name: all, objective: 99, worst_of: [" + strings.Repeat("shop0/availability, ", 10_000) + "]}\n",
		strings.Replace(slo, `code=~"5.."`, `code=~"(a+)+(a+)+$|.*.*.*.*"`, 1), strings.Replace(slo, `http_requests_total{job="evil"}`, `{__name__=~".+"}`, 1),
		"apiVersion: slowburn/v1\nservice: \"evil\\x1b[2J\"\nslos: []\n", "exclude: [{every: 1s}]\n" + slo,
		strings.Replace(slo, "    sli:", "    alerting: {annotations: {summary: '{{ range $x := .Labels }}{{ end }}'}}\n    sli:", 1),
	}
	name := filepath.Join(s.dir, "hostile", []string{"a.yaml", "b.yaml", "slowburn.defaults.yaml", "deep/c.yml"}[s.rng.IntN(4)])
	require.NoError(s.t, os.RemoveAll(name))
	require.NoError(s.t, os.MkdirAll(filepath.Dir(name), 0o755))
	switch i := s.rng.IntN(len(texts) + 4); i {
	case 0: // it stays away
	case 1:
		require.NoError(s.t, os.Symlink("/etc/passwd", name))
	case 2:
		require.NoError(s.t, syscall.Mkfifo(name, 0o600))
	case 3:
		require.NoError(s.t, os.Mkdir(name, 0o755))
	default:
		require.NoError(s.t, os.WriteFile(name, []byte(texts[i-4]), 0o600))
	}
}

// read asks for pages, the API and metrics, one after the other.
func (s *soaking) read() {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	paths := []string{"/", "/slo/shop0/availability", "/slo/shop7/availability?from=" + strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10), "/api/v1/slos", "/api/v1/slos?sort=worst&limit=2", "/metrics", "/-/ready", "/?state=firing"}
	for i := 0; s.ctx.Err() == nil; i++ {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		code, _ := fetch(ctx, s.replicas[i%2].at.Load().URL+paths[i%len(paths)])
		cancel()
		what := fmt.Sprintf("answered %d", code)
		if code == 0 {
			what = "not answered"
		}
		s.mu.Lock()
		s.answers[what]++
		s.mu.Unlock()
		select {
		case <-s.ctx.Done():
		case <-tick.C:
		}
	}
}

// hold asks for much, and does not read it.
func (s *soaking) hold() {
	for i := 0; s.ctx.Err() == nil; i++ {
		address := strings.TrimPrefix(s.replicas[i%2].at.Load().URL, "http://")
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(s.ctx, "tcp", address)
		if err != nil {
			s.pause(time.Second)
			continue
		}
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		for range 1000 {
			if _, err := conn.Write([]byte("GET /metrics HTTP/1.1\r\nHost: " + address + "\r\n\r\n")); err != nil {
				break
			}
		}
		s.pause(20 * time.Second)
		_ = conn.Close()
	}
}

var taken = regexp.MustCompile(`(?m)^(process_resident_memory_bytes|go_goroutines|process_open_fds) (\S+)$`)

// watch has the oracle look at both replicas each second, and notes what one takes.
func (s *soaking) watch(ctx context.Context, o *oracle) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, r := range s.replicas {
			o.look(ctx, r.name, r.at.Load().URL)
		}
		o.wait(time.Now())
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, body := fetch(short, s.replicas[1].at.Load().URL+"/metrics")
		cancel()
		values := map[string]float64{}
		for _, found := range taken.FindAllStringSubmatch(body, -1) {
			values[found[1]], _ = strconv.ParseFloat(found[2], 64) // a metric is a number
		}
		if len(values) == 3 {
			s.grown = append(s.grown, growth{time.Now(), values["process_resident_memory_bytes"], values["go_goroutines"], values["process_open_fds"]})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// median is that of what one replica took in a part of the soak.
func (s *soaking) median(from, to float64, of func(growth) float64) float64 {
	n := float64(len(s.grown))
	var values []float64
	for _, g := range s.grown[int(from*n):int(to*n)] {
		values = append(values, of(g))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// judge prints the figures, and fails the test where they are bad.
func (s *soaking) judge(o *oracle, a toldAlerts, length time.Duration) {
	t := s.t
	var table strings.Builder
	row := func(what string, figure any) { fmt.Fprintf(&table, "| %s | %v |\n", what, figure) }
	table.WriteString("\n| | |\n|---|--:|\n")
	row("time of two replicas with 8 SLOs", length.Round(time.Second))
	for _, what := range slices.Sorted(maps.Keys(s.done)) {
		row(what, s.done[what])
	}
	for _, what := range slices.Sorted(maps.Keys(s.answers)) {
		row("requests "+what, s.answers[what])
	}
	row("numbers compared with the truth", o.compared)
	row("wrong numbers", len(o.wrong))
	row("SLOs that were missing", len(o.missing))
	row("incidents", a.incidents)
	row("lost notifications", len(a.lost))
	row("doubled notifications", len(a.doubled))
	row("notifications without an incident", len(a.unfound))
	row("notifications with another beginning", len(a.moved))
	row("longest time without newer numbers ("+o.blindOf+")", o.blind.Round(time.Second))
	var panics []string
	for _, one := range s.all {
		panics = append(panics, regexp.MustCompile(`(?m)^.*(panic|fatal error:|goroutine \d+ \[).*$`).FindAllString(one.log.String(), -1)...)
	}
	row("lines of panics in logs", len(panics))
	for _, g := range []struct {
		name  string
		of    func(growth) float64
		slack float64
	}{
		{"memory in MiB", func(g growth) float64 { return g.memory / (1 << 20) }, 20},
		{"goroutines", func(g growth) float64 { return g.goroutines }, 50},
		{"descriptors", func(g growth) float64 { return g.descriptors }, 50},
	} {
		early, late := s.median(0.15, 0.25, g.of), s.median(0.9, 1, g.of)
		row(g.name+" after a fifth of the time, and at the end", fmt.Sprintf("%.0f, %.0f", early, late))
		if late > 2*early+g.slack {
			t.Errorf("%s grow from %.0f to %.0f", g.name, early, late)
		}
	}
	t.Log(table.String())
	for what, list := range map[string][]string{
		"wrong": o.wrong, "missing": o.missing, "lost": a.lost, "doubled": a.doubled, "without an incident": a.unfound, "panics": panics,
	} {
		if len(list) > 0 {
			t.Errorf("%s: %d\n%s", what, len(list), strings.Join(list[:min(len(list), 20)], "\n"))
		}
	}
	if len(a.moved) > 0 {
		t.Logf("another beginning: %s", strings.Join(a.moved, ", "))
	}
	if o.blind > 5*time.Minute {
		t.Errorf("%s had no newer numbers for %s", o.blindOf, o.blind)
	}
	require.NotZero(t, o.compared)
}
