package main

import (
	"log/slog"
	"net/http"
	"time"
)

// newServer is an HTTP server on which nobody holds a connection for long. The time for
// writing is that of an answer of 8 MB, all SLOs of a large installation, over a line of
// 1 Mbit/s. What may take longer sets deadlines of its own.
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
