// Package backend is a client of servers with the API of Prometheus. It detects which
// product the server is, limits the memory of answers, separates errors of one query from
// errors of the whole server, and decodes answers as a stream. It imports no way to
// count.
package backend
