package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates static
var files embed.FS

// asset is a file below /static/.
type asset struct {
	body []byte
	hash string // of the body, in its address and as its ETag
}

// loadAssets reads the embedded files, which can't fail.
func loadAssets() map[string]asset {
	out := map[string]asset{}
	entries, _ := files.ReadDir("static")
	for _, e := range entries {
		body, _ := files.ReadFile("static/" + e.Name())
		out[e.Name()] = asset{body: body, hash: hashOf(body)}
	}
	return out
}

// hashOf names a content, in 16 of the digits of its SHA-256.
func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// assetURL is the address of a file below /static/, which changes with the
// file's content and so may be cached for ever.
func (s *server) assetURL(name string) string {
	return s.prefix + "/static/" + name + "?v=" + s.assets[name].hash
}

func (s *server) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a, ok := s.assets[name]
	if !ok {
		s.notFound(w, r)
		return
	}
	cache := "no-cache"
	if r.URL.Query().Get("v") == a.hash {
		cache = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	respond(w, r, http.StatusOK, a.body)
}

// respond sends a body whose type is set already, compressed where the client
// takes that. A body with status 200 has a strong ETag, and 304 is answered to
// those that have it.
func respond(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	header := w.Header()
	header.Set("Vary", "Accept-Encoding")
	tag := hashOf(body)
	if len(body) > 1024 && acceptsGzip(r) { // less than a packet gains nothing
		body = compressed(body)
		header.Set("Content-Encoding", "gzip")
		tag += "-gzip"
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
		return
	}
	header.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
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

func compressed(body []byte) []byte {
	var buf bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed) // the level is valid
	_, _ = zw.Write(body)                              // into memory
	_ = zw.Close()
	return buf.Bytes()
}
