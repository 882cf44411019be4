package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer is a response. All its readers share the compressed body, however slowly they read.
// Clients that don't accept gzip get it decompressed while it is sent.
type answer struct {
	status int
	packed []byte // gzip of the body
	size   int    // of the body
	tag    string // from a hash of the body
}

// pack makes an answer from the text that a function writes. The function returns the status.
func pack(write func(io.Writer) (status int, err error)) (*answer, error) {
	var packed bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // the level is valid
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(zip, sum), 32<<10)
	status, err := write(out)
	if err != nil {
		return nil, err
	}
	_ = out.Flush() // this and Close write into memory
	_ = zip.Close()
	size := binary.LittleEndian.Uint32(packed.Bytes()[packed.Len()-4:]) // gzip ends with it
	return &answer{status, bytes.Clone(packed.Bytes()), int(size), hex.EncodeToString(sum.Sum(nil)[:8])}, nil
}

// send sends the answer, after the caller has set its type. Answers with status 200 have a strong
// ETag, and a client that has that body already gets 304.
func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Accept-Encoding")
	packed := a.size > 1024 && acceptsGzip(r) // less than a packet gains nothing
	tag, length := `"`+a.tag+`"`, a.size
	if packed {
		tag, length = `"`+a.tag+`-gzip"`, len(a.packed)
	}
	if a.status == http.StatusOK {
		header.Set("ETag", tag)
		if hasTag(r, tag) {
			header.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Length", strconv.Itoa(length))
	if packed {
		header.Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	body := io.Reader(bytes.NewReader(a.packed))
	if !packed {
		body, _ = gzip.NewReader(body) // it was written by pack
	}
	_, _ = io.CopyN(w, body, int64(length)) // fails when the client is gone or does not read
}

// hasTag reports whether the client has the body with a tag.
func hasTag(r *http.Request, tag string) bool {
	return slices.ContainsFunc(r.Header.Values("If-None-Match"), func(line string) bool {
		for known := range strings.SplitSeq(line, ",") {
			if known = strings.TrimPrefix(strings.TrimSpace(known), "W/"); known == tag || known == "*" {
				return true
			}
		}
		return false
	})
}

// acceptsGzip reports whether the client lists gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if coding == "gzip" {
			return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
