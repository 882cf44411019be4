package terminal

import (
	"fmt"
	"strings"
)

// document is a text of headings, paragraphs, pictures and tables.
type document interface {
	title(text string)
	text(text string)
	picture(lines []string)
	grid(columns ...column)
	String() string
}

// screenDocument is a document on a screen.
type screenDocument struct{ page }

func (d *screenDocument) text(text string) { d.line(noColour, text) }

func (d *screenDocument) picture(lines []string) {
	for _, l := range lines {
		d.line(noColour, l)
	}
	d.WriteByte('\n')
}

func (d *screenDocument) grid(columns ...column) {
	d.page.grid(columns...)
	d.WriteByte('\n')
}

// markdown is a document in Markdown.
type markdown struct{ strings.Builder }

// escaped returns foreign text in which nothing is markup.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`).Replace(printable(text))
}

func (m *markdown) title(text string) { fmt.Fprintf(m, "### %s\n\n", escaped(text)) }

func (m *markdown) text(text string) { fmt.Fprintf(m, "%s\n\n", escaped(text)) }

func (m *markdown) picture(lines []string) {
	fmt.Fprintf(m, "```text\n%s\n```\n\n", strings.Join(lines, "\n"))
}

func (m *markdown) grid(columns ...column) {
	row := func(cell func(column) string) {
		for _, c := range columns {
			fmt.Fprintf(m, "| %s ", escaped(cell(c)))
		}
		m.WriteString("|\n")
	}
	row(func(c column) string { return strings.ToLower(c.head) })
	for _, c := range columns {
		m.WriteString("|---")
		if c.right {
			m.WriteByte(':')
		}
	}
	m.WriteString("|\n")
	for i := range columns[0].cells {
		row(func(c column) string { return c.cells[i] })
	}
	m.WriteByte('\n')
}
