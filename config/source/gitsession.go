package source

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// session is an empty repository in a directory of its own, and how git runs
// there: by its environment alone, so that no option, no secret and no setting
// of this machine's or of the repository's owner comes in.
type session struct {
	scratch *Scratch
	dir     string // of the scratch
	remote  remote
	env     []string
	redact  *strings.Replacer

	maxSize, maxFiles int // of what is fetched
}

// sshCommand lets ssh use the key and the known hosts of the session's
// directory, where git runs, and nothing of the user's.
const sshCommand = "ssh -F /dev/null -i key" +
	" -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o ConnectTimeout=20" +
	" -o StrictHostKeyChecking=yes -o UserKnownHostsFile=known_hosts -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no"

// open makes a session. Its caller closes it.
func (g *Git) open(ctx context.Context) (*session, error) {
	remote, problems := g.remote()
	if len(problems) > 0 {
		return nil, problems[0]
	}
	token, err := g.token()
	if err != nil {
		return nil, err
	}
	scratch, err := NewScratch("git")
	if err != nil {
		return nil, fmt.Errorf("making a directory for git: %w", err)
	}
	s := &session{
		scratch: scratch, dir: scratch.Dir, remote: remote, redact: strings.NewReplacer(),
		maxSize: cmp.Or(g.MaxSize, defaultGitSize), maxFiles: cmp.Or(g.MaxFiles, defaultGitFiles),
	}
	if err := s.prepare(ctx, g, token); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { _ = s.scratch.Remove() }

func (s *session) prepare(ctx context.Context, g *Git, token string) error {
	settings := [][2]string{
		{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"},
		{"credential.helper", ""},
		{"fetch.recurseSubmodules", "false"},
		{"fetch.unpackLimit", "1"}, // always a pack, whose first bytes say how many objects it has
		{"pack.threads", "1"},      // each takes memory
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"http.followRedirects", "false"}, // they would take the token along
		{"http.lowSpeedLimit", "1000"},    // bytes a second
		{"http.lowSpeedTime", "30"},       // seconds
	}
	if token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(token))
		_, secret, _ := strings.Cut(token, ":")
		s.redact = strings.NewReplacer(basic, "<secret>", secret, "<secret>")
		settings = append(settings, [2]string{"http." + s.remote.address + ".extraHeader", "Authorization: Basic " + basic})
	}
	s.env = s.environment(settings)
	if s.remote.transport == "ssh" {
		for name, file := range map[string]string{"key": g.SSHKeyFile, "known_hosts": g.KnownHostsFile} {
			if err := s.link(name, file); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "home"), 0o700); err != nil {
		return err
	}
	_, err := s.git(ctx, "", "init", "--quiet", "--bare", "--template=", "repo")
	return err
}

// link gives a file a name that needs no quoting, for ssh quotes in its own
// way.
func (s *session) link(name, file string) error {
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(abs); err != nil {
		return fmt.Errorf("reading %s: %w", file, cause(err))
	}
	return os.Symlink(abs, filepath.Join(s.dir, name))
}

// environment is all that git sees of the environment.
func (s *session) environment(settings [][2]string) []string {
	env := []string{
		"HOME=" + filepath.Join(s.dir, "home"),
		"LC_ALL=C",
		"GIT_DIR=" + filepath.Join(s.dir, "repo"),
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=" + s.remote.transport,
		"GIT_SSH_VARIANT=ssh",
		"GIT_SSH_COMMAND=" + sshCommand,
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(settings)),
	}
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	// Proxies and certificates are the machine's, by the variables that this
	// program's own requests heed.
	for from, to := range map[string]string{
		"PATH": "PATH", "SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH",
		"HTTP_PROXY": "http_proxy", "http_proxy": "http_proxy", "HTTPS_PROXY": "https_proxy", "https_proxy": "https_proxy",
		"NO_PROXY": "no_proxy", "no_proxy": "no_proxy",
	} {
		if v := os.Getenv(from); v != "" {
			env = append(env, to+"="+v)
		}
	}
	return env
}

// token is "user:token", or "" without one. A server that wants no special
// user takes any.
func (g *Git) token() (string, error) {
	var text, from string
	switch {
	case g.TokenFile != "":
		b, err := os.ReadFile(g.TokenFile)
		if err != nil {
			return "", fmt.Errorf("reading the token from %s: %w", g.TokenFile, cause(err))
		}
		text, from = string(b), g.TokenFile
	case g.TokenEnv != "":
		text, from = os.Getenv(g.TokenEnv), "the environment variable "+g.TokenEnv
	default:
		return "", nil
	}
	text = strings.TrimSpace(text)
	user, secret, ok := strings.Cut(text, ":")
	if !ok {
		user, secret = "x-access-token", text
	}
	if secret == "" || control.MatchString(text) {
		return "", fmt.Errorf("%s does not hold a token", from)
	}
	return user + ":" + secret, nil
}

const (
	// gitTimeout is how long one git command may take. A slow line needs
	// minutes for a large repository's newest commit.
	gitTimeout = 3 * time.Minute
	// killDelay is how long git's own children may take to end with it.
	killDelay = 5 * time.Second
	// maxOutput bounds what git may print, in bytes: the files and their names,
	// or the names in a tree of several 100,000 files. A tree can be made that
	// would list without end.
	maxOutput = maxTotalSize + 16<<20
	maxStderr = 4 << 10
)

// git runs one command and gives what it prints.
func (s *session) git(ctx context.Context, stdin string, args ...string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	cmd, leash, err := command(limited, args...)
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	defer leash.Close()
	stdout, stderr := &output{max: maxOutput}, &output{max: maxStderr, newest: true}
	cmd.Dir = s.dir
	cmd.Env = s.env
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout = stdout
	cmd.Stderr = stderr
	cmd.WaitDelay = killDelay
	err = cmd.Run()
	switch {
	case err == nil:
		return string(stdout.text), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return "", fmt.Errorf("git %s took longer than %s", args[0], gitTimeout)
	case stdout.full:
		return "", fmt.Errorf("the repository is too large; set path to the directory of the SLO files")
	}
	return "", fmt.Errorf("git %s: %w%s", args[0], err, s.explain(string(stderr.text)))
}

// explain makes git's own messages part of an error: on one line, without
// secrets, and without what would steer a terminal, for servers send some.
func (s *session) explain(stderr string) string {
	var lines []string
	for line := range strings.Lines(s.redact.Replace(stderr)) {
		line = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return -1
		}, line)
		if line != "" {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "; ")
	switch {
	case text == "":
		return ""
	case strings.Contains(text, "dubious ownership"):
		return ": the repository belongs to another user than the one this program runs as"
	case strings.Contains(text, "Out of memory"):
		text += "; it has 512 MiB"
	case strings.Contains(text, "returned error: 30"):
		text += "; redirects are not followed, so use the address that it leads to"
	}
	return ": " + text
}

// output is the first or the newest bytes of what a command prints.
type output struct {
	text   []byte
	max    int
	newest bool
	full   bool
}

var errFull = errors.New("too much output")

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.text = append(o.text, p...)
	if len(o.text) <= o.max {
		return len(p), nil
	}
	o.full = true
	if !o.newest {
		return 0, errFull
	}
	o.text = append(o.text[:0], o.text[len(o.text)-o.max:]...)
	return len(p), nil
}
