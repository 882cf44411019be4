package spec

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// hostile are files that are small and cost much, by what is large in them. Each is
// made so that about n of it fit, and 1 MB is reached with the n of mostHostile.
func hostile() map[string]func(n int) []File {
	one := func(text func(b *strings.Builder, n int)) func(n int) []File {
		return func(n int) []File {
			var b strings.Builder
			text(&b, n)
			return []File{{Name: "a.yaml", Text: []byte(b.String())}}
		}
	}
	return map[string]func(n int) []File{
		"nested worst_of": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "j0", hostileSLI)
			hostileSLO(b, "j1", hostileSLI)
			for i := 2; i < n; i++ {
				fmt.Fprintf(b, "  - {name: j%d, objective: 99, worst_of: [s/j%d, s/j%d]}\n", i, i-1, i-2)
			}
		}),
		"chain of worst_of": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "j0", hostileSLI)
			for i := 1; i < n; i++ {
				fmt.Fprintf(b, "  - {name: j%d, objective: 99, worst_of: [s/j%d]}\n", i, i-1)
			}
		}),
		"growing worst_of": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "j0", hostileSLI)
			for i := 1; i < n; i++ {
				hostileSLO(b, fmt.Sprintf("p%d", i), hostileSLI)
				fmt.Fprintf(b, "  - {name: j%d, objective: 99, worst_of: [s/j%d, s/p%d]}\n", i, i-1, i)
			}
		}),
		"unknown parts": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for i := range n {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99, worst_of: [s/b%d]}\n", i, i)
			}
		}),
		"parts of one": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "j", "worst_of: ["+strings.TrimSuffix(hostileList(n, "s/a%d,"), ",")+"]")
		}),
		"keys of a map": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", hostileSLI)
			b.WriteString("links:\n" + hostileList(n, "  k%d: v\n"))
		}),
		"unknown keys": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", hostileSLI)
			b.WriteString(hostileList(n, "k%d: v\n"))
		}),
		"labels": one(func(b *strings.Builder, n int) {
			b.WriteString("labels:\n" + hostileList(n, "  k%d: v\n"))
			hostileTop(b)
			hostileSLO(b, "a", hostileSLI)
		}),
		"labels of alerts in defaults": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults:\n  alerting:\n    labels:\n" + hostileList(n/2, "      k%d: v\n"))
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"annotations in defaults": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults:\n  alerting:\n    annotations:\n" + hostileList(n/2, "      k%d: '{{.SLO}}'\n"))
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"group objectives": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", "group_by: [t], groups: {objectives: {"+hostileList(n, "k%d: 99, ")+"}}, "+hostileSLI)
		}),
		"group objectives in defaults": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults:\n  group_by: [t]\n  groups:\n    objectives:\n" + hostileList(n/2, "      k%d: 99\n"))
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"labels of groups": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", "group_by: ["+hostileList(n, "k%d, ")+"], "+hostileSLI)
		}),
		"aliases of an SLO": one(func(b *strings.Builder, n int) {
			b.WriteString("apiVersion: slowburn/v1\nservice: s\ndefaults: {description: &a {name: a, objective: 99, " + hostileSLI + "}}\n")
			b.WriteString("slos: [" + strings.Repeat("*a,", n) + "]\n")
		}),
		"aliases of a list": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			b.WriteString("  - &a {name: a, objective: 99, exclude: &l [" + strings.Repeat(hostileExclusion+", ", n/8) + "], " + hostileSLI + "}\n")
			for i := range n / 8 {
				fmt.Fprintf(b, "  - {name: b%d, objective: 99, exclude: *l, %s}\n", i, hostileSLI)
			}
		}),
		"exclusions in defaults": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults: {exclude: [" + strings.Repeat(hostileExclusion+", ", n/8) + "]}\n")
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"exclusions of a file": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLOs(b, n/8)
			for i := range n / 16 {
				fmt.Fprintf(b, "---\napiVersion: slowburn/v1\nkind: Exclusion\nmatch: {slo: a%d}\nexclude: [%s]\n", i, hostileExclusion)
			}
			for range n / 16 {
				b.WriteString("---\napiVersion: slowburn/v1\nkind: Exclusion\nexclude: [" + hostileExclusion + "]\n")
			}
		}),
		"time intervals": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults: {exclude: [{reason: r, time_intervals: &i [" + strings.Repeat("{times: [{start_time: '01:00', end_time: '02:00'}]}, ", n/8) + "]}]}\n")
			hostileTop(b)
			for i := range n / 8 {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99, exclude: [{reason: r, time_intervals: *i}], %s}\n", i, hostileSLI)
			}
		}),
		"sli in defaults": one(func(b *strings.Builder, n int) {
			fmt.Fprintf(b, "defaults: {sli: {events: {bad: 'sum(increase(x{%s}[$window]))', total: y}}}\n", hostileList(min(n/8, 900), `k%d="v",`))
			hostileTop(b)
			for i := range n / 8 {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99}\n", i)
			}
		}),
		"wide sli in defaults": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults: {sli: {" + hostileList(n, "k%d: x,") + "}}\n")
			hostileTop(b)
			for i := range n / 8 {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99}\n", i)
			}
		}),
		"matchers": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for i := range n / 1000 {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99, sli: {events: {bad: 'x{%s}', total: 'x{%s}'}}}\n", i, hostileList(900, `k%d="v",`), hostileList(900, `k%d="v",`))
			}
		}),
		"history": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults:\n  objective_history:\n" + strings.Repeat("    - {until: 2020-01-01, objective: 99}\n", n/8))
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"steps of a budget policy": one(func(b *strings.Builder, n int) {
			b.WriteString("defaults:\n  budget_policy:\n")
			for i := range n / 8 {
				fmt.Fprintf(b, "    - {remaining_below: 0.%07d%%, action: a}\n", i)
			}
			hostileTop(b)
			hostileSLOs(b, n/8)
		}),
		"files below defaults": func(n int) []File {
			var d strings.Builder
			d.WriteString("apiVersion: slowburn/v1\nlabels:\n" + hostileList(60, "  k%d: v\n") + "defaults:\n  alerting:\n    annotations:\n" + hostileList(60, "      k%d: '{{.SLO}}'\n"))
			d.WriteString("  exclude:\n" + strings.Repeat("    - "+hostileExclusion+"\n", 400))
			files := []File{{Name: "d/slowburn.defaults.yaml", Text: []byte(d.String())}}
			for i := range n / 8 {
				var b strings.Builder
				fmt.Fprintf(&b, "apiVersion: slowburn/v1\nservice: s%d\nslos:\n", i)
				hostileSLO(&b, "a", hostileSLI)
				files = append(files, File{Name: fmt.Sprintf("d/%d.yaml", i), Text: []byte(b.String())})
			}
			return files
		},
		"nested defaults": func(n int) []File {
			var files []File
			dir := ""
			for i := range n / 40 {
				dir += "d/"
				files = append(files, File{Name: dir + "slowburn.defaults.yaml", Text: []byte("apiVersion: slowburn/v1\nowner: a\nlabels: {k: v}\n")})
				var b strings.Builder
				fmt.Fprintf(&b, "apiVersion: slowburn/v1\nservice: s%d\nslos:\n", i)
				hostileSLO(&b, "a", hostileSLI)
				files = append(files, File{Name: dir + "a.yaml", Text: []byte(b.String())})
			}
			return files
		},
		"names that are taken": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for range n / 4 {
				hostileSLO(b, "a", hostileSLI)
			}
		}),
		"findings in one line": one(func(b *strings.Builder, n int) {
			b.WriteString("{apiVersion: slowburn/v1, service: s, slos: [")
			for i := range n {
				fmt.Fprintf(b, "{name: Ä%d}, ", i)
			}
			b.WriteString("]}\n")
		}),
		"queries with findings in one line": one(func(b *strings.Builder, n int) {
			b.WriteString("{apiVersion: slowburn/v1, service: s, slos: [")
			for i := range n / 4 {
				fmt.Fprintf(b, "{name: a%d, objective: 99, sli: {probe: {metric: 'up{ü='}}}, ", i)
			}
			b.WriteString("]}\n")
		}),
		"operators in one line": one(func(b *strings.Builder, n int) {
			b.WriteString("{apiVersion: slowburn/v1, service: s, slos: [")
			for i := range n / 8 {
				fmt.Fprintf(b, "{name: a%d, objective: 99, sli: {threshold: {query: up, op: '>', value: 1}}}, ", i)
			}
			b.WriteString("]}\n")
		}),
		"a syntax error after wide lines": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for range 16 {
				b.WriteString("  - [" + strings.Repeat("a, ", n/6) + "]\n")
			}
			b.WriteString("  - [}\n")
		}),
		"a syntax error in a wide line": one(func(b *strings.Builder, n int) { b.WriteString("a: [" + strings.Repeat("b, ", 3*n) + "}\n") }),
		"a syntax error after many lines": one(func(b *strings.Builder, n int) {
			b.WriteString(strings.Repeat("- abcdefg\n", n) + "- [}\n")
		}),
		"a syntax error after lines of comments": one(func(b *strings.Builder, n int) {
			b.WriteString(strings.Repeat("# abcdefg\n", n) + "- [}\n")
		}),
		"comments":  one(func(b *strings.Builder, n int) { b.WriteString(strings.Repeat("#\n", 5*n)) }),
		"nodes":     one(func(b *strings.Builder, n int) { b.WriteString("[" + strings.Repeat("a,", 5*n) + "]") }),
		"maps":      one(func(b *strings.Builder, n int) { b.WriteString("[" + strings.Repeat("{},", 3*n) + "]") }),
		"documents": one(func(b *strings.Builder, n int) { b.WriteString(strings.Repeat("a\n---\n", 2*n)) }),
		"depth":     one(func(b *strings.Builder, n int) { b.WriteString(strings.Repeat("[", 10*n)) }),
		"blocks":    one(func(b *strings.Builder, n int) { b.WriteString(strings.Repeat("- ", 5*n)) }),
		"keys without values": one(func(b *strings.Builder, n int) {
			b.WriteString("{" + hostileList(n, "%d,") + "}")
		}),
		"a long text": one(func(b *strings.Builder, n int) { b.WriteString("a: \"" + strings.Repeat("b ", 5*n) + "\"\n") }),
		"a text over lines": one(func(b *strings.Builder, n int) {
			b.WriteString("a:\n" + strings.Repeat(" b\n", 3*n))
		}),
		"blank lines": one(func(b *strings.Builder, n int) { b.WriteString("a: 'b\n" + strings.Repeat("\n", 9*n) + "'\n") }),
		"anchors":     one(func(b *strings.Builder, n int) { b.WriteString("[" + hostileList(n, "&a%d b,") + "]") }),
		"merges": one(func(b *strings.Builder, n int) {
			b.WriteString("labels: &a0 {k: v}\nx:\n")
			for i := range n / 2 {
				fmt.Fprintf(b, "- &a%d {<<: *a%d, k%d: v}\n", i+1, i, i)
			}
			hostileTop(b)
			fmt.Fprintf(b, "  - {<<: *a%d}\n", n/2)
		}),
		"merges of one map": one(func(b *strings.Builder, n int) {
			b.WriteString("x: &a {" + hostileList(n/2, "k%d: v,") + "}\n")
			hostileTop(b)
			b.WriteString(strings.Repeat("  - {<<: *a}\n", n/4))
		}),
		"a template": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", "alerting: {annotations: {a: '"+strings.Repeat("{{if .SLO}}", n/2)+strings.Repeat("{{end}}", n/2)+"'}}, "+hostileSLI)
		}),
		"templates": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", "alerting: {annotations: {a: '"+strings.Repeat("{{.Nothing}}", n/2)+"'}}, "+hostileSLI)
		}),
		"control characters": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			hostileSLO(b, "a", `description: "`+strings.Repeat(`\a`, 3*n)+`", `+hostileSLI)
		}),
		"what Sloth fills in": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for i := range n / 1600 {
				hostileSLO(b, fmt.Sprintf("a%d", i), "sli: {probe: {metric: \""+strings.Repeat("{{.window}}", 1400)+"\"}}")
			}
		}),
		"time zones": one(func(b *strings.Builder, n int) {
			hostileTop(b)
			for i := range n / 4 {
				fmt.Fprintf(b, "  - {name: a%d, objective: 99, window: {calendar: month, timezone: Zone%d}}\n", i, i)
			}
		}),
	}
}

// The n of files of up to 1 MB, and of files that are read twice.
const (
	mostHostile = 64_000
	fewHostile  = 4_000
)

// allocated is how many bytes reading files allocates.
func allocated(limits Limits, files []File) (int64, *Set) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	set := limits.Load(files)
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc), set
}

func sizeOf(files []File) (n int) {
	for _, f := range files {
		n += len(f.Text)
	}
	return n
}

// TestHostileFiles: reading a file of up to 1 MB allocates less than 200 MB, whatever it
// says, and its findings are few and short. A directory of thousands of files may allocate more.
func TestHostileFiles(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(hostile())) {
		t.Run(name, func(t *testing.T) {
			n := mostHostile
			files := hostile()[name](n)
			for len(files) == 1 && sizeOf(files) > 1<<20 {
				n -= n / 8
				files = hostile()[name](n)
			}
			bytes, set := allocated(Limits{}, files)
			require.Less(t, bytes, int64(200<<20)+int64(len(files))<<15)
			if len(files) == 1 {
				require.LessOrEqual(t, len(set.Findings), yamlfile.MaxFindings+1)
			}
			for _, f := range set.Findings {
				require.LessOrEqual(t, len(f.Message), 500)
				require.LessOrEqual(t, len(f.Hint), 500)
				require.LessOrEqual(t, utf8.RuneCountInString(f.Snippet), 206)
				require.Less(t, len(f.Text()), 4000)
			}
		})
	}
}

// TestHostileGrowth: twice the input is at most 2.5 times the allocations, within the
// limits and with none.
func TestHostileGrowth(t *testing.T) {
	const none = math.MaxInt32
	for _, name := range slices.Sorted(maps.Keys(hostile())) {
		t.Run(name, func(t *testing.T) {
			for limit, limits := range map[string]Limits{"limits": {}, "no limits": {none, none, none, none, none, none}} {
				if limit == "no limits" && (name == "growing worst_of" || name == "exclusions of a file") {
					continue // each SLO gets all of them
				}
				once, twice := hostile()[name](fewHostile), hostile()[name](2*fewHostile)
				allocated(limits, once) // what is made once in a process
				a, _ := allocated(limits, once)
				b, _ := allocated(limits, twice)
				require.LessOrEqual(t, float64(b), 2.5*float64(a)+1<<20, "%s: %d and %d kB", limit, a>>10, b>>10)
			}
		})
	}
}

const (
	hostileSLI       = "sli: {probe: {metric: up}}"
	hostileExclusion = "{from: 2026-01-01, to: 2026-01-02, reason: r}"
)

func hostileTop(b *strings.Builder) {
	b.WriteString("apiVersion: slowburn/v1\nservice: s\nslos:\n")
}

func hostileSLO(b *strings.Builder, name, rest string) {
	fmt.Fprintf(b, "  - {name: %s, objective: 99, %s}\n", name, rest)
}

func hostileList(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func hostileSLOs(b *strings.Builder, n int) {
	for i := range n {
		hostileSLO(b, fmt.Sprintf("a%d", i), hostileSLI)
	}
}
