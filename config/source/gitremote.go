package source

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
)

// FieldError is something wrong with a field of an address or of a Git.
type FieldError struct{ Field, Message, Hint string }

func (p FieldError) Error() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + "; " + p.Hint
}

// remote is a repository's address, made safe.
type remote struct {
	transport string // one of transports
	address   string // as git takes it
	loopback  bool   // on this machine
}

var (
	scheme    = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	helper    = regexp.MustCompile(`^([A-Za-z0-9+.-]*)::`)
	scpLike   = regexp.MustCompile(`^(?:[^/:@]+@)?([^/:@]+):(.+)$`)
	unsafeRef = regexp.MustCompile(`[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-./]|[./]$|^@$`)
	control   = regexp.MustCompile(`[\x00-\x1f\x7f]`)
)

// CredentialsInURL is the message about a URL that holds a password.
const CredentialsInURL = "the URL has credentials in it"

const tokenHint = "put the token into token_file or token_env"

func refuse(message, hint string) (remote, error) { return remote{}, FieldError{"url", message, hint} }

// parseRemote reads a repository's address. It refuses what git would take for
// an option or for a program to run.
func parseRemote(text string) (remote, error) {
	switch {
	case text == "":
		return refuse("url is missing", "")
	case control.MatchString(text):
		return refuse("the URL has control characters in it", "")
	case strings.HasPrefix(text, "-"):
		return refuse("the URL begins with a dash", "")
	case helper.MatchString(text):
		name := helper.FindStringSubmatch(text)[1]
		return refuse(fmt.Sprintf("transport %q is not supported", name+"::"), "use https, ssh or file")
	case scheme.MatchString(text):
		return parseURL(text)
	}
	if m := scpLike.FindStringSubmatch(text); m != nil {
		if strings.HasPrefix(m[1], "-") {
			return refuse("the URL's host begins with a dash", "")
		}
		return remote{transport: "ssh", address: text}, nil
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return refuse(err.Error(), "")
	}
	return remote{transport: "file", address: path}, nil
}

func parseURL(text string) (remote, error) {
	u, err := url.Parse(text)
	if err != nil {
		return refuse("the URL is not one", "") // the error would repeat what may hold a password
	}
	name := scheme.FindStringSubmatch(text)[1]
	_, password := u.User.Password()
	switch {
	case !slices.Contains([]string{"https", "http", "ssh", "file"}, name):
		return refuse(fmt.Sprintf("transport %q is not supported", name), "use https, ssh or file")
	case password || u.User != nil && name != "ssh":
		return refuse(CredentialsInURL, tokenHint)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return refuse("the URL has a query or a fragment", "")
	case name == "file" && u.Host != "":
		return refuse("the URL names a host", "write file:///path")
	case name != "file" && u.Hostname() == "":
		return refuse("the URL has no host", "")
	case strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-"):
		return refuse("the URL's host begins with a dash", "")
	case strings.Trim(u.Path, "/") == "":
		return refuse("the URL has no path", "")
	}
	ip := net.ParseIP(u.Hostname())
	return remote{transport: name, address: text, loopback: u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()}, nil
}

// Check returns what is wrong with the fields.
func (g *Git) Check() []FieldError {
	_, problems := g.remote()
	return problems
}

// ResolveIn makes a relative path of the repository one below base.
func (g *Git) ResolveIn(base string) {
	if r, err := parseRemote(g.URL); err == nil && r.transport == "file" && !scheme.MatchString(g.URL) {
		g.URL = promconfig.JoinDir(base, g.URL)
	}
}

// remote returns the address, and what is wrong with the fields.
func (g *Git) remote() (remote, []FieldError) {
	var problems []FieldError
	add := func(wrong bool, field, message, hint string) {
		if wrong {
			problems = append(problems, FieldError{field, message, hint})
		}
	}
	r, err := parseRemote(g.URL)
	if p, ok := errors.AsType[FieldError](err); ok {
		problems = append(problems, p)
	}
	add(g.Branch == "" || unsafeRef.MatchString(g.Branch), "branch", fmt.Sprintf("%q is not the name of a branch", g.Branch), "")
	add(g.Path != "" && (!filepath.IsLocal(g.Path) || control.MatchString(g.Path)), "path",
		fmt.Sprintf("%q is not a path inside the repository", g.Path), "")
	add(g.Interval <= 0, "interval", "interval must be more than 0", "")
	token := "token_file"
	if g.TokenFile == "" {
		token = "token_env"
	}
	add(g.TokenFile != "" && g.TokenEnv != "", "token_env", "token_file and token_env are both there", "")
	if g.TokenFile != "" || g.TokenEnv != "" {
		add(r.transport == "ssh" || r.transport == "file", token, "a token is for https only", "")
		add(r.transport == "http" && !r.loopback, token, "http would send the token in the clear", "use https")
	}
	key, hosts := g.SSHKeyFile != "", g.KnownHostsFile != ""
	if r.transport == "ssh" {
		add(!key, "ssh_key_file", "ssh_key_file is missing", "ssh needs a private key")
		add(!hosts, "known_hosts_file", "known_hosts_file is missing", "ssh needs the host's public key: ssh-keyscan prints it")
	} else if err == nil {
		add(key, "ssh_key_file", "ssh_key_file is for ssh only", "")
		add(hosts, "known_hosts_file", "known_hosts_file is for ssh only", "")
	}
	return r, problems
}
