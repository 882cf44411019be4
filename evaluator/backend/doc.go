// Package backend asks a server with the API of Prometheus. It finds out which product
// the server is, bounds what answers take, tells errors of one query from those of the
// whole server, and decodes answers as a stream. It imports no way to count.
package backend
