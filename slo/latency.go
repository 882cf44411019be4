package slo

import (
	"time"
)

// LatencyUnit is a unit of time that a histogram may be in.
type LatencyUnit struct {
	Key, Name string // "ms", "milliseconds"
	Length    time.Duration
}

// LatencyUnits are the units that SLO files can name, the longest first.
var LatencyUnits = []LatencyUnit{
	{"s", "seconds", time.Second}, {"ms", "milliseconds", time.Millisecond},
	{"us", "microseconds", time.Microsecond}, {"ns", "nanoseconds", time.Nanosecond},
}
