package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// pipes are connections in memory, with the clock of a synctest bubble.
type pipes struct {
	accepted chan net.Conn
	ended    chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.ended)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9099} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accepted <- server
	return client
}

// serveOn serves a handler as serve does, until the test ends.
func serveOn(t *testing.T, h http.Handler) (*pipes, func()) {
	p := newPipes()
	server := newServer(h, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	return p, func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	}
}

// readAnswer reads an answer to its end.
func readAnswer(t *testing.T, from *bufio.Reader) (status int, body string) {
	answer, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

// TestNobodyHoldsAConnection: who sends nothing, only some of a request, or does not read
// the answer, is cut off.
func TestNobodyHoldsAConnection(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for what, c := range map[string]struct {
		sent  string
		reads int64 // bytes of the answer that the client reads before it waits
	}{
		"nothing":      {"", 0},
		"some headers": {"GET / HTTP/1.1\r\nHost: ", 0},
		"some body":    {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome", 0},
		"reads none":   {get, 0},
		"reads some":   {get, 5000},
		"idle":         {get, -1},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handled := make(chan error, 1)
				p, end := serveOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					if err == nil {
						_, err = w.Write(make([]byte, 1<<20))
					}
					handled <- err
				}))
				defer end()
				client := p.dial()
				_, err := io.WriteString(client, c.sent)
				require.NoError(t, err)
				from := bufio.NewReader(client)
				if c.reads < 0 {
					_, body := readAnswer(t, from)
					require.Len(t, body, 1<<20)
					require.NoError(t, <-handled)
				} else {
					_, err = io.CopyN(io.Discard, from, c.reads)
					require.NoError(t, err)
				}
				<-time.After(5 * time.Minute) // of the bubble
				_, err = io.Copy(io.Discard, from)
				require.NoError(t, err, "the connection has ended")
				if c.reads >= 0 && len(handled) > 0 {
					require.Error(t, <-handled)
				}
			})
		})
	}
}

// TestSlowClientGetsAll of an answer of 8 MB at 1 Mbit/s.
func TestSlowClientGetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, end := serveOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8e6)) }))
		defer end()
		client := p.dial()
		_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		read := int64(0)
		for range 8000 / 125 {
			<-time.After(time.Second)
			n, err := io.CopyN(io.Discard, answer.Body, 125_000)
			read += n
			require.NoError(t, err, "after %d bytes", read)
		}
		require.EqualValues(t, 8e6, read)
	})
}

// TestConnectionIsUsedAgain by who scrapes or refreshes once a minute, and by nobody with
// headers of a megabyte.
func TestConnectionIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, end := serveOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }))
		defer end()
		client := p.dial()
		from := bufio.NewReader(client)
		for range 3 {
			_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			require.NoError(t, err)
			_, body := readAnswer(t, from)
			require.Equal(t, "answer", body)
			<-time.After(time.Minute)
		}
		go func() {
			_, _ = fmt.Fprintf(client, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %01000000d\r\n\r\n", 0) // fails when the connection ends
		}()
		status, _ := readAnswer(t, from)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
		_, _ = io.Copy(io.Discard, from) // until the server closes it
	})
}

// reloadIn is a handler whose reload takes a time.
func reloadIn(d time.Duration) http.Handler {
	return web.Handler(web.Options{
		Report: func() *evaluator.Report { return &evaluator.Report{} }, Now: time.Now, Listen: "127.0.0.1:9099",
		Reload: func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return fmt.Errorf("cut off: %w", ctx.Err())
			}
		},
	})
}

// TestReloadTakesItsTime: sources that take longer than the server's deadlines neither end the
// reload nor its answer, but who does not read the answer is cut off.
func TestReloadTakesItsTime(t *testing.T) {
	const post = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		p, end := serveOn(t, reloadIn(10*time.Minute))
		defer end()
		reads, waits := p.dial(), p.dial()
		for _, client := range []net.Conn{reads, waits} {
			_, err := io.WriteString(client, post)
			require.NoError(t, err)
		}
		_, body := readAnswer(t, bufio.NewReader(reads))
		require.Equal(t, "reloaded\n", body)
		<-time.After(10 * time.Minute) // of the bubble
		n, err := io.Copy(io.Discard, waits)
		require.NoError(t, err, "the connection has ended")
		require.Zero(t, n)
	})
	// In HTTP/2 a time for writing that is over ends the stream.
	server := httptest.NewUnstartedServer(reloadIn(2200 * time.Millisecond))
	server.EnableHTTP2, server.Config.WriteTimeout = true, 2*time.Second
	server.StartTLS()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/-/reload", nil)
	require.NoError(t, err)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "reloaded\n", string(text))
	require.Equal(t, 2, answer.ProtoMajor)
}
