package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progressEvery is the time between two pictures of the progress. Work that ends before
// the first shows none.
const progressEvery = 200 * time.Millisecond

// Progress draws on a terminal how much history is read, without colours, until stop is
// called. On any other writer it draws nothing.
func Progress(w io.Writer, share func() float64) (stop func()) {
	f, ok := terminalOf(w)
	if !ok || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	width := func() int { return widthOf(f) }
	ticker, done := time.NewTicker(progressEvery), make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() { drawProgress(w, width, share, ticker.C, done) })
	return sync.OnceFunc(func() {
		ticker.Stop()
		close(done)
		drawing.Wait()
	})
}

// drawProgress draws at each tick until all is read or done is closed, and
// leaves an empty line.
func drawProgress(w io.Writer, width func() int, share func() float64, ticks <-chan time.Time, done <-chan struct{}) {
	drawn := 0
	defer func() {
		if drawn > 0 {
			fmt.Fprint(w, "\r"+strings.Repeat(" ", drawn)+"\r")
		}
	}()
	for {
		select {
		case <-done:
			return
		case <-ticks:
			read := share()
			if read >= 1 {
				return
			}
			line := progressLine(read, width())
			fmt.Fprint(w, "\r"+line)
			drawn = max(drawn, utf8.RuneCountInString(line))
		}
	}
}

// progressLine returns the progress in less than a terminal's width.
func progressLine(share float64, width int) string {
	const longest = 30
	percent := fmt.Sprintf("%3d %%", int(100*share))
	room := width - 1 - len("Reading history    "+percent)
	if room < 5 {
		line := "Reading" + percent
		return line[:min(len(line), max(width-1, 0))]
	}
	size := min(room, longest)
	full := int(share * float64(size))
	return "Reading history  " + strings.Repeat("█", full) + strings.Repeat("░", size-full) + "  " + percent
}
