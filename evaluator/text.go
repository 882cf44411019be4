package evaluator

import (
	"math"
	"strconv"
	"strings"
)

// ForPeople returns a number with at most two decimals, and commas between thousands.
func ForPeople(n float64) string {
	text := strconv.FormatFloat(math.Round(100*n)/100, 'f', -1, 64)
	whole, _, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// MinuteFormat is the format of instants in messages.
const MinuteFormat = "2006-01-02 15:04 MST"
