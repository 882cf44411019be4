package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindingsHoldNoSecrets, wherever people write them: below a key that is misspelt, a
// level too high, in a type that is none, in text that is no YAML.
func TestFindingsHoldNoSecrets(t *testing.T) {
	const secret = "Hunter2Hunter2"
	for _, text := range []string{
		"backends: [{url: http://p, authorization: Bearer " + secret + "}]",
		"backends:\n  - url: http://p\n    authorization: Bearer " + secret,
		"backends:\n  - url: http://p\n    basic_auth: u:" + secret,
		"backends:\n  - url: http://p\n    http:\n      basic_auth: u:" + secret,
		"backends:\n  - url: http://p\n    http:\n      basic_auth: {username: u, pasword: " + secret + "}",
		"backends:\n  - url: http://p\n    http:\n      basic_auth: {username: u, pasword: " + secret + ": x}",
		"backends:\n  - url: http://p\n    http:\n      basic_auth: {username: u password: " + secret + "}",
		"backends:\n  - url: http://p\n    http:\n      basic_auth: {username: u; password: " + secret + "}",
		"backends:\n  - url: http://p\n    http:\n      basic_auth:\n        username: u\n        pasword: " + secret,
		"backends:\n  - url: http://p\n    http:\n      authorisation:\n        credentials: " + secret,
		"backends:\n  - url: http://p\n    http:\n      authorization:\n        - " + secret,
		"backends:\n  - url: http://p\n    http:\n      bearer: " + secret,
		"backends:\n  - url: http://p\n    http: " + secret,
		"backends:\n  - url: http://p\n    htp: {basic_auth: {password: " + secret + "}}",
		"backends:\n  - url: http://p\n    http:\n      http_headers: {X-Api-Key: " + secret + "}",
		"backends:\n  - url: http://p\n    http:\n      http_headers:\n        X-Api-Key:\n          secrets: " + secret,
		"backends:\n  - url: http://p\n    http:\n      oauth2: {client_id: a, client_secret: [" + secret + "]}",
		"backends:\n  - url: http://p\n    http:\n      tls_config:\n        key: |\n          -----BEGIN\n          " + secret + "\n        cert: 1",
		"backends:\n  - url: http://u:" + secret + "@p\n",
		"backends:\n  - url: http://p\npassword: " + secret,
		"backends:\n  - url: http://p\n    http:\n      basic_auth:\n        password: \"" + secret + "\n",
		"backends:\n  - url: http://p\n    http:\n      basic_auth:\n      - password: [" + secret + "\n",
		"alertmanagers:\n  - url: http://p\n    token: " + secret,
		"alertmanagers:\n  - url: http://p\n    http: {bearer_token: " + secret + ", bearer_token: " + secret + "}",
		"specs:\n  - git: {url: https://g/x, token: " + secret + "}",
		"specs:\n  - git:\n      url: https://g/x\n      passwd: " + secret,
		"api_key: !!int " + secret,
		"credentials: &a " + secret + "\nweb: {listen: *a}",
	} {
		_, findings := Parse("c.yaml", []byte(text+"\n"))
		require.NotEmpty(t, findings, text)
		for _, f := range findings {
			for _, shown := range []string{f.Text(), f.String(), f.Message, f.Hint, f.Snippet} {
				for _, part := range []string{secret, secret[:7]} {
					require.NotContains(t, shown, part, text)
				}
			}
		}
	}
}

// TestFindingsShowTheKey of a secret, with dots for its value; what is no secret is shown.
func TestFindingsShowTheKey(t *testing.T) {
	show := func(text string) string {
		_, findings := Parse("c.yaml", []byte("specs: [{directory: a}]\nbackends:\n  - url: http://p\n"+text))
		var b strings.Builder
		for _, f := range findings {
			b.WriteString(f.Text())
		}
		return b.String()
	}
	require.Equal(t, `c.yaml:4:5: unknown key "pasword"
    4 |     pasword: •••
      |     ^^^^^^^
  hint: known keys: name, url, kind, method, http, offset, settle, timeout, max_concurrency, max_samples, max_samples_per_second, max_series, target_labels, replica_labels
`, show("    pasword: hunter2\n"))
	require.Contains(t, show("    http:\n      follow_redirects: maybe\n"), "    5 |       follow_redirects: maybe\n")
	require.Contains(t, show("    max_concurrency: many\n"), "    4 |     max_concurrency: many\n")
	require.Contains(t, show("    http:\n      basic_auth: {username: a, password: bb, c: d}\n"), `unknown key "c"`)
}
