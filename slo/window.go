package slo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// Window is the length of a rolling window: whole minutes, printed with the
// largest of d, h and m that divides it ("28d", never "4w").
type Window time.Duration

// The shortest and the longest window that an SLO may have.
const (
	MinWindow = Window(time.Hour)
	MaxWindow = Window(365 * 24 * time.Hour)
)

// ParseWindow reads a duration such as 30d, 36h or 1y (365 d). The error is in
// the words of a finding.
func ParseWindow(text string) (Window, error) {
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30d or 12h", text)
	}
	w := Window(d)
	switch {
	case w < MinWindow || w > MaxWindow:
		return 0, fmt.Errorf("window %s is not between 1h and 1y", text)
	case time.Duration(w)%time.Minute != 0:
		return 0, fmt.Errorf("window %s is not a whole number of minutes", text)
	}
	return w, nil
}

// Duration is the window's length.
func (w Window) Duration() time.Duration { return time.Duration(w) }

// String prints the window with the largest unit that divides it.
func (w Window) String() string {
	d := time.Duration(w)
	switch {
	case d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
}
