package shop

import (
	"time"
	_ "time/tzdata" // the zone of the maintenance is known on machines without a zone database
)

func inBerlin() *time.Location {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err) // only for a zone that is none
	}
	return berlin
}

// maintenance is on Sundays at 2 o'clock in Berlin, from some minutes on to others.
func maintenance() func(unix int64, from, to int) bool {
	berlin := inBerlin()
	return func(unix int64, from, to int) bool {
		at := time.Unix(unix, 0).In(berlin)
		return at.Weekday() == time.Sunday && at.Hour() == 2 && at.Minute() >= from && at.Minute() < to
	}
}
