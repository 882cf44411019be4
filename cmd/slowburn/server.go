package main

import (
	"log/slog"
	"net/http"
	"time"
)

// newServer returns an HTTP server that closes slow connections. The time for writing is
// enough for an answer of 8 MB, all SLOs of a large installation, over a line of 1 Mbit/s.
// Slower handlers set deadlines of their own.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    10 * time.Second, // no request has more than its headers
		WriteTimeout:   2 * time.Minute,
		IdleTimeout:    3 * time.Minute, // longer than scrapes and pages that refresh are apart
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn), // such as failed TLS handshakes
	}
}
