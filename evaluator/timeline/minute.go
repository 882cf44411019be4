package timeline

import (
	"time"
)

// Millis returns a minute in milliseconds since the epoch, or a length in milliseconds.
func (m Minute) Millis() int64 { return int64(m) * 60_000 }

// SlotEnd returns the end of the slot (start, end] that contains the time.
func SlotEnd(millis int64) Minute { return Minute((millis + 59_999) / 60_000) }

// Minutes returns a length of time in whole minutes, rounded up.
func Minutes(d time.Duration) Minute { return Minute((d + time.Minute - 1) / time.Minute) }
