package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

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
	// quotedText matches the quoted parts of messages.
	quotedText = regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'")
)

// secretPart is the part of a line that may be secret: from a byte on.
type secretPart struct {
	from  int
	value string
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
			out[i+1] = secretPart{from, strings.TrimSpace(line[from:])}
		}
	}
	return out
}

// hideSecrets takes what may be secret in a text out of the findings about it: of the
// line it leaves what is before, and of messages and hints no word of the values.
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

// secretWords are the values of what may be secret and their words, the longest first. What
// ends with a colon is a key.
func secretWords(parts map[int]secretPart) []string {
	var words []string
	for _, p := range parts {
		words = append(words, p.value)
		for _, w := range strings.FieldsFunc(p.value, func(r rune) bool { return strings.ContainsRune(" \t\"'`{}[],", r) }) {
			if !strings.HasSuffix(w, ":") {
				words = append(append(words, w), strings.Split(w, ":")...)
			}
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return len(w) < shortestSecret })
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
	f.Snippet = line[:p.from] + dots
	begin, width := utf8.RuneCountInString(line[:p.from])+1, utf8.RuneCountInString(f.Snippet)
	column := min(f.Column, begin) // in the snippet
	f.Cut, f.Width = f.Column-column, max(1, min(f.Width, width-column+1))
	f.Message = quotedText.ReplaceAllStringFunc(f.Message, func(q string) string {
		inner := strings.TrimSuffix(q[1:len(q)-1], "...")
		isKey := strings.Contains(p.value+" ", inner+": ")
		if inner != "" && strings.Contains(p.value, inner) && !isKey {
			return q[:1] + dots + q[len(q)-1:]
		}
		return q
	})
}
