package terminal

import (
	"strings"
	"unicode/utf8"
)

// column is a column of a table.
type column struct {
	head  string
	right bool // aligned to the right, as numbers are
	cells []string
}

func (c *column) width() int {
	w := utf8.RuneCountInString(c.head)
	for _, cell := range c.cells {
		w = max(w, utf8.RuneCountInString(cell))
	}
	return w
}

// layOut returns the lines of a table.
func layOut(columns []column) (head string, rows []string) {
	widths := make([]int, len(columns))
	for i := range columns {
		widths[i] = columns[i].width()
	}
	row := func(cell func(column) string) string {
		var text strings.Builder
		for i, c := range columns {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell(c)))
			if i > 0 {
				text.WriteByte(' ')
			}
			if c.right {
				text.WriteString(" " + pad + cell(c))
			} else {
				text.WriteString(" " + cell(c) + pad)
			}
		}
		return strings.TrimRight(text.String(), " ")
	}
	for n := range columns[0].cells {
		rows = append(rows, row(func(c column) string { return c.cells[n] }))
	}
	return row(func(c column) string { return c.head }), rows
}

// addRow adds a plain cell to each column.
func addRow(columns []column, cells ...string) {
	for i, cell := range cells {
		columns[i].cells = append(columns[i].cells, plain(cell))
	}
}
