package backend

import (
	"cmp"
	"net/url"
	"strconv"
	"time"
)

// Query is a query that was sent to the backend.
type Query struct {
	Query   string     `json:"query"`
	Time    time.Time  `json:"time"`
	Start   *time.Time `json:"start"`  // the first minute of a range query; Time is the last
	Series  int        `json:"series"` // in the answer
	Samples int        `json:"samples"`
	Error   string     `json:"error"`
}

func newQuery(form url.Values, answer []Series, err error) Query {
	q := Query{Query: form.Get("query"), Time: unixTime(cmp.Or(form.Get("time"), form.Get("end"))), Series: len(answer)}
	if form.Has("start") {
		start := unixTime(form.Get("start"))
		q.Start = &start
	}
	for _, v := range answer {
		q.Samples += len(v.Samples) + len(v.Histograms)
	}
	if err != nil {
		q.Error = err.Error()
	}
	return q
}

func unixTime(text string) time.Time {
	seconds, _ := strconv.ParseInt(text, 10, 64) // newQuery reads only its own numbers
	return time.Unix(seconds, 0).UTC()
}
