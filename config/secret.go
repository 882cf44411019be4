package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// The file that is read may hold secrets, and where people err they write them below a
// key that is misspelt or a level too high. So it is not the meaning of a value that makes
// it a secret, but how a line is written: what stands below http:, and below a key whose
// name may be that of a secret. It is in no finding.

const (
	dots = "•••"
	// shortestSecret is the length of words that are taken out of messages wherever they
	// are; shorter ones are parts of others too.
	shortestSecret = 4
)

var (
	// secretKey matches names of keys that may hold a secret, also misspelt ones.
	secretKey = regexp.MustCompile(`(?i)(pas|pw|secret|token|cred|aut|bearer|cookie|header|key|users?$|^ht+ps?$)`)
	// plainKey are keys that hold none, though their names are alike or they are below http.
	plainKey = regexp.MustCompile(`(?i)(_file|_files|_env|_url|_name|_version|_skip_verify|_redirects|_http2|_from_environment)$|^(username|type|files|scopes|url|name|author|keep.*)$`)
	// lineKey is a key in a line, with what comes before it.
	lineKey = regexp.MustCompile(`(^|[{,\s?-])["']?([A-Za-z_][\w.-]*)["']?\s*:(\s|$)`)
	// flowEntry matches the text between braces, brackets and commas that are in no quotes, and
	// flowKey a key at its beginning.
	flowEntry = regexp.MustCompile(`(?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^{}\[\],"'])+`)
	flowKey   = regexp.MustCompile(`^(?::*(?:"[^"]*"|'[^']*'|[^"': ])| )*:+ `)
	// quotedText matches the quoted parts of messages.
	quotedText = regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'")
)

// secretPart is the part of a line that may be secret: from a byte on.
type secretPart struct {
	from  int
	value string
	flow  bool // it is within braces
}

// secretParts are the parts of the lines of a text that may be secret, by their numbers
// from 1 on.
func secretParts(text string) map[int]secretPart {
	out := map[int]secretPart{}
	deeper := -1 // than which a line belongs to a secret key; -1 for none
	for i, line := range strings.Split(text, "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		within := deeper >= 0 && indent > deeper
		if !within {
			deeper = -1
		}
		from := -1
		if within {
			from = indent
		}
		for _, m := range lineKey.FindAllStringSubmatchIndex(line, -1) {
			name := line[m[4]:m[5]]
			switch {
			case plainKey.MatchString(name):
				if within && from == indent {
					from = -1
				}
				continue
			case secretKey.MatchString(name) || within:
				if from = m[1]; !within {
					deeper = indent
					if strings.Trim(line[:m[4]], " \t-?") == "" {
						deeper = m[4] // of an entry of a list the key, not the dash
					}
				}
			default:
				continue
			}
			break
		}
		if from >= 0 {
			out[i+1] = secretPart{from, line[from:], strings.ContainsAny(line[:from], "{[")}
		}
	}
	return out
}

// masked is the part as it is shown, and the texts that are hidden in it: within braces
// and brackets each value, else all.
func (p secretPart) masked() (shown string, hidden []string) {
	if !strings.HasPrefix(strings.TrimSpace(p.value), "{") && !strings.HasPrefix(strings.TrimSpace(p.value), "[") && !p.flow {
		return dots, []string{strings.TrimSpace(p.value)}
	}
	line := p.value + " " // which ends a key as any other space does
	shown = flowEntry.ReplaceAllStringFunc(line, func(entry string) string {
		key := flowKey.FindString(entry)
		text := strings.TrimSpace(entry[len(key):])
		another := strings.Contains(text+" ", ": ") // key, after a comma that is missing
		if text == "" || plainKey.MatchString(strings.Trim(key, ": ")) && !another {
			return entry
		}
		hidden = append(hidden, strings.Trim(text, "\"'"))
		return key + dots
	})
	return strings.TrimSuffix(shown, " "), hidden
}

// hideSecrets takes what may be secret in a text out of the findings about it: of the
// line it leaves the keys, and of messages and hints no word of the values.
func hideSecrets(text string, findings []yamlfile.Finding) {
	parts := secretParts(text)
	words := secretWords(parts)
	lines := strings.Split(text, "\n")
	for i := range findings {
		f := &findings[i]
		if part, secret := parts[f.Line]; secret {
			part.hide(f, lines[f.Line-1])
		}
		if f.Message == source.CredentialsInURL {
			f.Snippet = ""
		}
		f.Message, f.Hint = without(words, f.Message), without(words, f.Hint)
	}
}

// secretWords are the words of what may be secret, the longest first.
func secretWords(parts map[int]secretPart) []string {
	var words []string
	for _, p := range parts {
		_, hidden := p.masked()
		for _, h := range hidden {
			for _, w := range append(strings.FieldsFunc(h, func(r rune) bool { return strings.ContainsRune(" \t\"'`:", r) }), h) {
				if len(w) >= shortestSecret {
					words = append(words, w)
				}
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

func without(words []string, message string) string {
	for _, w := range words {
		message = strings.ReplaceAll(message, w, dots)
	}
	return message
}

// Redact takes what may be secret in the text of a file out of a message about it, and
// what it quotes, for libraries quote the beginnings of values.
func Redact(text, message string) string {
	message = without(secretWords(secretParts(text)), message)
	return quotedText.ReplaceAllStringFunc(message, func(q string) string {
		if q[0] == '`' {
			return "`" + dots + "`"
		}
		return q
	})
}

// hide takes the part of a line out of a finding about that line.
func (p secretPart) hide(f *yamlfile.Finding, line string) {
	shown, hidden := p.masked()
	f.Snippet = line[:p.from] + shown
	column := f.Column // in the snippet
	if before := string([]rune(line)[:min(f.Column-1, len([]rune(line)))]); len(before) > p.from {
		shown, _ = secretPart{p.from, before[p.from:], p.flow || strings.ContainsAny(strings.TrimSpace(p.value)[:1], "{[")}.masked()
		column = len([]rune(line[:p.from]+shown)) + 1
	}
	width := len([]rune(f.Snippet))
	column = min(column, width)
	f.Cut, f.Width = f.Column-column, max(1, min(f.Width, width-column+1))
	for _, s := range []*string{&f.Message, &f.Hint} {
		*s = quotedText.ReplaceAllStringFunc(*s, func(q string) string {
			inner := strings.TrimSuffix(q[1:len(q)-1], "...")
			if inner != "" && slices.ContainsFunc(hidden, func(h string) bool { return strings.Contains(h, inner) }) {
				return q[:1] + dots + q[len(q)-1:]
			}
			return q
		})
	}
}
