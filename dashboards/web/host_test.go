package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
)

// TestHostOfWhatActs sends requests of a browser whose name for a foreign page leads here (DNS
// rebinding). They may not act. Only Host is different, also without Origin.
func TestHostOfWhatActs(t *testing.T) {
	for _, c := range []struct{ listen, external, allowed, refused string }{
		{"127.0.0.1:9099", "", "127.0.0.1:9099 localhost:9099 LOCALHOST localhost.:9099 [::1]:9099", "evil.example:9099 10.0.0.5:9099 127.0.0.1.evil.example localhost.evil.example:9099 0.0.0.0:9099"},
		{"localhost:9099", "", "localhost:9099 127.0.0.1:9099", "evil.example"},
		{"[::1]:9099", "", "[::1]:9099 [0:0:0:0:0:0:0:1]:9099 localhost", "evil.example [::2]:9099"},
		{"127.0.0.1:9099", "https://slo.example.org/slowburn", "slo.example.org SLO.example.org:443 localhost:9099", "example.org slo.example.org.evil.example"},
		{"10.0.0.5:9099", "http://[fd00::1]:80/", "10.0.0.5:9099 [fd00::1]", "localhost:9099 127.0.0.1:9099 10.0.0.6 evil.example"},
		{"slo1.example.org:9099", "", "slo1.example.org:9099", "slo2.example.org:9099 localhost:9099"},
		{":9099", "", "localhost:9099 127.0.0.1:9099 10.0.0.5:9099 [fd00::1]:9099", "evil.example evil.example:9099 :9099"},
		{"0.0.0.0:9099", "https://slo.example.org", "localhost 10.0.0.5:9099 slo.example.org", "evil.example 1.2.3.4.evil.example"},
		{"[::]:9099", "", "localhost 10.0.0.5:9099", "evil.example"},
	} {
		acted := 0
		h := handler(sample(t), func(o *web.Options) {
			o.Listen, o.ExternalURL, o.Reread = c.listen, c.external, func() { acted++ }
		})
		post := func(host string) *httptest.ResponseRecorder {
			r, w := httptest.NewRequest(http.MethodPost, "/-/reread", nil), httptest.NewRecorder()
			r.Host = host
			h.ServeHTTP(w, r)
			return w
		}
		allowed, refused := strings.Fields(c.allowed), append(strings.Fields(c.refused), "")
		for _, host := range allowed {
			require.Equal(t, http.StatusAccepted, post(host).Code, "%s on %s", host, c.listen)
		}
		for _, host := range refused {
			w := post(host)
			require.Equal(t, http.StatusForbidden, w.Code, "%q on %s", host, c.listen)
			require.Equal(t, "the host "+host+" is neither that of web.external_url nor of web.listen\n", w.Body.String())
		}
		require.Equal(t, len(allowed), acted, "a refused request has done nothing")
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Host = "evil.example"
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, "pages need no Host")
	}
}
