package web

import (
	"embed"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed templates static
var files embed.FS

// loadAssets reads the embedded files, which can't fail.
func loadAssets() map[string]*answer {
	out := map[string]*answer{}
	entries, _ := files.ReadDir("static")
	for _, e := range entries {
		body, _ := files.ReadFile("static/" + e.Name())
		out[e.Name()], _ = pack(func(w io.Writer) (int, error) {
			_, err := w.Write(body)
			return http.StatusOK, err
		})
	}
	return out
}

// assetURL returns the address of a file below /static/. It changes with the file's content,
// so that browsers may keep the file for ever.
func (s *server) assetURL(name string) string {
	return s.prefix + "/static/" + name + "?v=" + s.assets[name].tag
}

func (s *server) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a, ok := s.assets[name]
	if !ok {
		s.notFound(w, r)
		return
	}
	cache := "no-cache"
	if r.URL.Query().Get("v") == a.tag {
		cache = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	a.send(w, r)
}

// freshPage is how long requests share a page, with the ages that it shows.
const freshPage = 5 * time.Second

// reply sends the answer to a question.
func (s *server) reply(w http.ResponseWriter, r *http.Request, kind string, q question) {
	answer, done, err := s.answers.get(r, w, q, s.Now())
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, errBusy) {
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "5")
		}
		if kind == jsonType {
			jsonError(w, status, err)
			return
		}
		writeText(w, status, err.Error())
		return
	}
	defer done()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	answer.send(w, r)
}

// page sends a page about a report.
func (s *server) page(w http.ResponseWriter, r *http.Request, q question) {
	q.key, q.until = keyOf(r), s.Now().Add(freshPage)
	s.reply(w, r, "text/html; charset=utf-8", q)
}

// keyOf returns a question's key, if the answer depends on the address alone.
func keyOf(r *http.Request) string { return r.URL.EscapedPath() + "?" + r.URL.RawQuery }
