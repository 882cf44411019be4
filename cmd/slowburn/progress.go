package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// progressEvery is the time between two pictures of the progress. What is done
// before the first is not worth one.
const progressEvery = 200 * time.Millisecond

// showProgress shows on a terminal how much history is read, until stop is
// called; on anything else it shows nothing. It has no colours.
func showProgress(w io.Writer, share func() float64) (stop func()) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	width := func() int {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
		return 0
	}
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

// progressLine is the progress in less than a terminal's width.
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
