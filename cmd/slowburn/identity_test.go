package main

import (
	"testing"

	promconfig "github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config"
)

// TestIdentityOf tells backends apart whose address is the same and whose data may not be.
func TestIdentityOf(t *testing.T) {
	seen := map[string]string{}
	for name, client := range map[string]promconfig.HTTPClientConfig{
		"nothing":     {},
		"user":        {BasicAuth: &promconfig.BasicAuth{Username: "a"}},
		"other user":  {BasicAuth: &promconfig.BasicAuth{Username: "b"}},
		"token":       {Authorization: &promconfig.Authorization{Type: "Bearer", Credentials: "a"}},
		"other token": {Authorization: &promconfig.Authorization{Type: "Bearer", Credentials: "b"}},
		"client":      {OAuth2: &promconfig.OAuth2{ClientID: "a"}},
		"certificate": {TLSConfig: promconfig.TLSConfig{CertFile: "a"}},
		"tenant":      {HTTPHeaders: &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Scope-OrgID": {Values: []string{"a"}}}}},
		"other":       {HTTPHeaders: &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Scope-OrgID": {Values: []string{"b"}}}}},
	} {
		id := identityOf(config.Backend{Client: client})
		require.Empty(t, seen[id], name)
		seen[id] = name
		require.Equal(t, id, identityOf(config.Backend{Client: client}))
	}
}
