package source

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run runs a program without any of the user's settings for git.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, args, out)
	return strings.TrimSpace(string(out))
}

// newRepository makes a repository with slos/a.yaml on branch main.
func newRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "slos.git")
	require.NoError(t, os.Mkdir(dir, 0o755))
	run(t, dir, "git", "init", "--quiet", "--initial-branch=main")
	write(t, dir+"/slos/a.yaml", "1")
	commit(t, dir)
	return dir
}

// commit commits all files and gives the commit's hash.
func commit(t *testing.T, dir string) string {
	t.Helper()
	run(t, dir, "git", "add", "--all")
	run(t, dir, "git", "commit", "--quiet", "--message=change")
	return run(t, dir, "git", "rev-parse", "HEAD")
}

// committed is when the newest commit was made.
func committed(t *testing.T, dir string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, run(t, dir, "git", "show", "--no-patch", "--format=%cI", "HEAD"))
	require.NoError(t, err)
	return at.UTC()
}

func newGit(url string) *Git {
	return &Git{URL: url, Branch: "main", Interval: 10 * time.Millisecond}
}

func readError(t *testing.T, g *Git) string {
	t.Helper()
	tree, err := g.Read(t.Context())
	require.Error(t, err)
	require.Zero(t, tree)
	return err.Error()
}

func TestGitRead(t *testing.T) {
	dir := newRepository(t)
	t.Setenv("TMPDIR", t.TempDir())
	write(t, dir+"/slos/deep/b.yml", "2")
	write(t, dir+"/common/c.yaml", "3")
	write(t, dir+"/README.md", "no")
	write(t, dir+"/slos/.hidden/x.yaml", "no")
	write(t, dir+"/slos/empty.yaml", "")
	link(t, "../common/c.yaml", dir+"/slos/c.yaml")
	link(t, "../common", dir+"/slos/all")
	link(t, "nowhere", dir+"/slos/dangling")
	hash := commit(t, dir)
	all := map[string]string{
		"common/c.yaml": "3", "slos/a.yaml": "1", "slos/deep/b.yml": "2", "slos/c.yaml": "3", "slos/all/c.yaml": "3", "slos/empty.yaml": "",
	}
	require.Equal(t, all, texts(t, newGit("file://"+dir)))
	require.Equal(t, all, texts(t, newGit(dir)))

	g := newGit(dir)
	g.Path, g.Backends = "/../slos/deep/", []string{"eu"}
	require.Contains(t, readError(t, g), `"/../slos/deep/" is not a path inside the repository`)
	g.Path = "slos/deep/"
	tree, err := g.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, Tree{Source: dir, Revision: hash, Committed: committed(t, dir), Backends: []string{"eu"}, Files: []File{{Name: "slos/deep/b.yml", Text: []byte("2")}}}, tree)
	g.Path = "slos/all"
	require.Equal(t, map[string]string{"slos/all/c.yaml": "3"}, texts(t, &Git{URL: dir, Branch: "main", Path: "slos/all", Interval: time.Second}))
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, &Git{URL: dir, Branch: "main", Path: "slos/a.yaml", Interval: time.Second}))

	write(t, filepath.Join(dir, "slos/slowburn.defaults.yaml"), "d")
	commit(t, dir)
	require.Equal(t, map[string]string{"slos/a.yaml": "1", "slos/slowburn.defaults.yaml": "d"},
		texts(t, &Git{URL: dir, Branch: "main", Path: "slos/a.yaml", Interval: time.Second}), "defaults are read beside a single file")

	leftover, err := filepath.Glob(filepath.Join(os.TempDir(), "slowburn-git-*"))
	require.NoError(t, err)
	require.Empty(t, leftover)
}

func TestGitRefusesTrees(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		make       func(dir string)
	}{
		{"link to a file of the machine", "slos/x.yaml is a link to /etc/passwd, which is outside of the repository",
			func(dir string) { link(t, "/etc/passwd", dir+"/slos/x.yaml") }},
		{"link out of the repository", "slos/x.yaml is a link to ../outside.yaml, which is outside of the repository",
			func(dir string) { link(t, "../../outside.yaml", dir+"/slos/x.yaml") }},
		{"link to a directory outside", "slos/x is a link to /etc, which is outside of the repository",
			func(dir string) { link(t, "/etc", dir+"/slos/x") }},
		{"link that would steer a terminal", `slos/x is a link to "/\x1b[2J", which is outside of the repository`,
			func(dir string) { link(t, "/\x1b[2J", dir+"/slos/x") }},
		{"link to nothing", "slos/x.yaml is a link to nothing", func(dir string) { link(t, "nowhere", dir+"/slos/x.yaml") }},
		{"link to itself", "slos/x is a link to a directory that holds it", func(dir string) { link(t, "../slos", dir+"/slos/x") }},
		{"large file", "slos/x.yaml is larger than 1 MiB", func(dir string) { write(t, dir+"/slos/x.yaml", strings.Repeat("#", 2<<20)) }},
		{"name of two lines", `"slos/x\ny.yaml" has control characters in its name`, func(dir string) { write(t, dir+"/slos/x\ny.yaml", "1") }},
		{"no such path", "there is no slos in the repository", func(dir string) { require.NoError(t, os.Rename(dir+"/slos", dir+"/other")) }},
	} {
		for _, filter := range []string{"true", "false"} { // whether the server can leave out large files
			t.Run(tt.name+", filter "+filter, func(t *testing.T) {
				dir := newRepository(t)
				run(t, dir, "git", "config", "uploadpack.allowFilter", filter)
				tt.make(dir)
				hash := commit(t, dir)
				g := newGit("file://" + dir)
				g.Path = "slos"
				require.Equal(t, "reading branch main of file://"+dir+": commit "+hash+": "+tt.want, readError(t, g))
			})
		}
	}
}

// TestGitReadsNoLargeTargets: links may lead to files that together are larger than all
// that git may print. They are of no concern, or refused by their names.
func TestGitReadsNoLargeTargets(t *testing.T) {
	const size = 10 << 20
	dir := newRepository(t)
	write(t, dir+"/data.bin", strings.Repeat("x", size))
	for i := range maxOutput/size + 1 {
		link(t, "../data.bin", fmt.Sprintf("%s/slos/dataset%d", dir, i))
	}
	commit(t, dir)
	g := newGit("file://" + dir)
	g.Path = "slos"
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))

	for i := range maxOutput/size + 1 {
		link(t, "../data.bin", fmt.Sprintf("%s/slos/b%d.yaml", dir, i))
	}
	commit(t, dir)
	require.Contains(t, readError(t, g), ": slos/b0.yaml is larger than 1 MiB")
}

func TestGitLeavesOutSubmodules(t *testing.T) {
	other, dir := newRepository(t), newRepository(t)
	run(t, dir, "git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other, "slos/sub")
	commit(t, dir)
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, newGit(dir)))
}

func TestGitRefusesAddresses(t *testing.T) {
	tests := []struct {
		name, want string
		git        *Git
	}{
		{"program", `transport "ext::" is not supported; use https, ssh or file`, &Git{URL: "ext::sh -c touch% /tmp/pwned"}},
		{"file descriptor", `transport "fd::" is not supported; use https, ssh or file`, &Git{URL: "fd::7"}},
		{"git protocol", `transport "git" is not supported; use https, ssh or file`, &Git{URL: "git://example.org/x"}},
		{"option", "the URL begins with a dash", &Git{URL: "--upload-pack=touch /tmp/pwned"}},
		{"host as option", "the URL's host begins with a dash", &Git{URL: "ssh://-oProxyCommand=touch/x"}},
		{"host as option, short", "the URL's host begins with a dash", &Git{URL: "git@-oProxyCommand=touch:x"}},
		{"password", "the URL has credentials in it; put the token into token_file or token_env", &Git{URL: "https://me:hunter2@example.org/x.git"}},
		{"token as user", "the URL has credentials in it; put the token into token_file or token_env", &Git{URL: "https://hunter2@example.org/x.git"}},
		{"password for ssh", "the URL has credentials in it; put the token into token_file or token_env", &Git{URL: "ssh://me:hunter2@example.org/x.git"}},
		{"token in the query", "the URL has a query or a fragment", &Git{URL: "https://example.org/x.git?token=hunter2"}},
		{"no URL", "the URL is not one", &Git{URL: "https://me:hunter2@[::/x"}},
		{"empty", "url is missing", &Git{}},
		{"no host", "the URL has no host", &Git{URL: "https:///x"}},
		{"no path", "the URL has no path", &Git{URL: "https://example.org/"}},
		{"file on a host", "the URL names a host; write file:///path", &Git{URL: "file://etc/slos"}},
		{"branch as option", `"--upload-pack=touch /tmp/pwned" is not the name of a branch`, &Git{URL: "/x", Branch: "--upload-pack=touch /tmp/pwned"}},
		{"branch as pattern", `"*" is not the name of a branch`, &Git{URL: "/x", Branch: "*"}},
		{"branch as refspec", `"a:b" is not the name of a branch`, &Git{URL: "/x", Branch: "a:b"}},
		{"branch going up", `"a/../b" is not the name of a branch`, &Git{URL: "/x", Branch: "a/../b"}},
		{"path going up", `"../x" is not a path inside the repository`, &Git{URL: "/x", Path: "../x"}},
		{"path of two lines", `"x\ny" is not a path inside the repository`, &Git{URL: "/x", Path: "x\ny"}},
		{"token in the clear", "http would send the token in the clear; use https", &Git{URL: "http://example.org/x", TokenEnv: "T"}},
		{"token for a file", "a token is for https only", &Git{URL: "/x", TokenFile: "t"}},
		{"two tokens", "token_file and token_env are both there", &Git{URL: "https://example.org/x", TokenFile: "t", TokenEnv: "T"}},
		{"ssh without key", "ssh_key_file is missing; ssh needs a private key", &Git{URL: "git@example.org:x", KnownHostsFile: "k"}},
		{"ssh without known hosts", "known_hosts_file is missing; ssh needs the host's public key: ssh-keyscan prints it", &Git{URL: "ssh://example.org/x", SSHKeyFile: "k"}},
		{"key for https", "ssh_key_file is for ssh only", &Git{URL: "https://example.org/x", SSHKeyFile: "k"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.git
			if g.Branch == "" {
				g.Branch = "main"
			}
			g.Interval = time.Minute
			_, err := g.open(t.Context())
			require.EqualError(t, err, tt.want)
		})
	}
}

// TestGitIgnoresTheMachine sets what could make git do something else, in the
// environment, in the user's file and in the repository.
func TestGitIgnoresTheMachine(t *testing.T) {
	dir, other := newRepository(t), newRepository(t)
	marker := filepath.Join(t.TempDir(), "marker")
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\ntouch "+marker+"\n"), 0o755))
	home := t.TempDir()
	write(t, home+"/.gitconfig", "[url \""+other+"\"]\n\tinsteadOf = "+dir+"\n[core]\n\thooksPath = "+filepath.Dir(script)+"\n[uploadpack]\n\tpackObjectsHook = "+script+"\n")
	for _, hook := range []string{"post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"} {
		require.NoError(t, os.WriteFile(dir+"/.git/hooks/"+hook, []byte("#!/bin/sh\ntouch "+marker+"\n"), 0o755))
	}
	run(t, dir, "git", "config", "uploadpack.packObjectsHook", script)
	run(t, dir, "git", "config", "core.fsmonitor", script)
	run(t, dir, "git", "config", "filter.x.smudge", script)
	write(t, dir+"/.gitattributes", "*.yaml filter=x\n")
	write(t, dir+"/slos/a.yaml", "the right one")
	commit(t, dir)
	_ = os.Remove(marker) // the commit itself ran some
	for k, v := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_DIR": other + "/.git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": marker,
		"GIT_CONFIG_GLOBAL": home + "/.gitconfig", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "uploadpack.packObjectsHook", "GIT_CONFIG_VALUE_0": script,
		"GIT_CONFIG_PARAMETERS": "'uploadpack.packobjectshook'='" + script + "'", "GIT_TEMPLATE_DIR": dir, "GIT_TRACE": marker, "GIT_TRACE_CURL": marker,
		"GIT_SSH_COMMAND": script, "GIT_ASKPASS": script, "GIT_OBJECT_DIRECTORY": home, "GIT_NAMESPACE": "x", "GIT_ALLOW_PROTOCOL": "ext",
	} {
		t.Setenv(k, v)
	}
	require.Equal(t, map[string]string{"slos/a.yaml": "the right one"}, texts(t, newGit(dir)))
	require.NoFileExists(t, marker)
}

func TestGitWait(t *testing.T) {
	dir := newRepository(t)
	g := newGit(dir)
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))

	done := wait(t, g)
	write(t, dir+"/slos/a.yaml", "2")
	hash := commit(t, dir)
	returned(t, done)
	tree, err := g.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, hash, tree.Revision)
	require.Equal(t, "2", string(tree.Files[0].Text))

	// A commit that can't be loaded is told once, and so is the one after it.
	done = wait(t, g)
	link(t, "/etc/passwd", dir+"/slos/b.yaml")
	hash = commit(t, dir)
	returned(t, done)
	require.Equal(t, "reading branch main of "+dir+": commit "+hash+": slos/b.yaml is a link to /etc/passwd, which is outside of the repository", readError(t, g))
	require.False(t, g.differs(hash, nil))
	done = wait(t, g)
	require.NoError(t, os.Remove(dir+"/slos/b.yaml"))
	commit(t, dir)
	returned(t, done)
	require.Equal(t, map[string]string{"slos/a.yaml": "2"}, texts(t, g))

	// A repository that goes is told once, and its return as well.
	done = wait(t, g)
	require.NoError(t, os.Rename(dir, dir+"-gone"))
	returned(t, done)
	require.Contains(t, readError(t, g), "git ls-remote: exit status 128: fatal: '"+dir+"' does not appear to be a git repository")
	_, err = g.look(t.Context())
	require.Error(t, err)
	require.False(t, g.differs("", err))
	done = wait(t, g)
	require.NoError(t, os.Rename(dir+"-gone", dir))
	returned(t, done)
	require.Equal(t, map[string]string{"slos/a.yaml": "2"}, texts(t, g))

	// History may be rewritten.
	done = wait(t, g)
	run(t, dir, "git", "reset", "--quiet", "--hard", "HEAD~3")
	returned(t, done)
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))
}

func TestGitNoSuchBranch(t *testing.T) {
	dir := newRepository(t)
	g := newGit(dir)
	g.Branch = "mian"
	require.Equal(t, "reading branch mian of "+dir+": the repository has no such branch", readError(t, g))
}

// httpBackend serves repositories as a real server does, to who knows the
// token.
func httpBackend(t *testing.T, root, authorization string) http.Handler {
	t.Helper()
	backend := &cgi.Handler{
		Path: filepath.Join(run(t, root, "git", "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/moved/"):
			http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved"), http.StatusMovedPermanently)
		case r.Header.Get("Authorization") != authorization:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "your header was "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	})
}

// spyOnGit puts a program before git that writes down its arguments.
func spyOnGit(t *testing.T) (log string) {
	t.Helper()
	git, err := exec.LookPath("git")
	require.NoError(t, err)
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	require.NoError(t, os.WriteFile(dir+"/git", []byte("#!/bin/sh\necho \"$@\" >>"+log+"\nexec "+git+" \"$@\"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func TestGitToken(t *testing.T) {
	dir := newRepository(t)
	server := httptest.NewTLSServer(httpBackend(t, filepath.Dir(dir), "Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==")) // x-access-token:hunter2
	t.Cleanup(server.Close)
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	log := spyOnGit(t)
	address := server.URL + "/slos.git"

	g := newGit(address)
	require.Contains(t, readError(t, g), "certificate")
	t.Setenv("SSL_CERT_FILE", certificate)
	require.Contains(t, readError(t, g), "git ls-remote: exit status 128: fatal: could not read Username for '"+server.URL+"': terminal prompts disabled")

	g.TokenEnv = "SLOS_TOKEN"
	require.Equal(t, "reading branch main of "+address+": the environment variable SLOS_TOKEN does not hold a token", readError(t, g))
	t.Setenv("SLOS_TOKEN", "hunter2")
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))

	g = newGit(address)
	g.TokenFile = filepath.Join(t.TempDir(), "token")
	require.Equal(t, "reading branch main of "+address+": reading the token from "+g.TokenFile+": no such file or directory", readError(t, g))
	write(t, g.TokenFile, "hunter2\nX-Other: header")
	require.Equal(t, "reading branch main of "+address+": "+g.TokenFile+" does not hold a token", readError(t, g))
	write(t, g.TokenFile, "x-access-token:hunter2\n")
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))
	write(t, g.TokenFile, "wrong-one")
	message := readError(t, g)
	require.NotContains(t, message, "wrong-one")
	require.NotContains(t, message, "d3Jvbmctb25l") // in base64

	g = newGit(server.URL + "/moved/slos.git")
	g.TokenEnv = "SLOS_TOKEN"
	require.Contains(t, readError(t, g), "redirects are not followed, so use the address that it leads to")

	arguments, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(arguments), "fetch")
	require.NotContains(t, string(arguments), "hunter2")
	require.NotContains(t, string(arguments), "Basic")
}

func TestGitExplain(t *testing.T) {
	s := &session{redact: strings.NewReplacer("aHVudGVyMg==", "<secret>", "hunter2", "<secret>")}
	require.Equal(t, ": remote: no <secret>[2J, no <secret>; fatal: no", s.explain("remote: no hunter2\x1b[2J, no aHVudGVyMg==\n\r\nfatal: no\n"))
	require.Empty(t, s.explain("\n"))
}

// TestGitHangingServer cancels a Read that waits for a server without answers.
func TestGitHangingServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	g := newGit("http://" + listener.Addr().String() + "/x.git")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := g.Read(ctx)
		failed <- err
	}()
	conn, err := listener.Accept()
	require.NoError(t, err)
	cancel()
	select {
	case err := <-failed:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(deadline):
		t.Fatal("Read did not return")
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(deadline)))
	_, err = io.Copy(io.Discard, conn) // ends when git's own child has ended
	require.NoError(t, err)
}

// sshServer is a real sshd that lets the key in, one process a connection.
func sshServer(t *testing.T, sshd, dir string) (address string) {
	t.Helper()
	for _, name := range []string{"host", "key", "stranger"} {
		run(t, dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name)
	}
	write(t, dir+"/sshd_config", strings.ReplaceAll(`HostKey DIR/host
AuthorizedKeysFile DIR/key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
`, "DIR", dir))
	if os.Geteuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // where sshd locks itself in
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			socket, err := conn.(*net.TCPConn).File()
			_ = conn.Close()
			if err != nil {
				return
			}
			cmd := exec.Command(sshd, "-i", "-e", "-f", dir+"/sshd_config")
			cmd.Stdin, cmd.Stdout = socket, socket
			_ = cmd.Run() // what went wrong is seen by the client
			_ = socket.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-served })
	return listener.Addr().String()
}

func TestGitSSH(t *testing.T) {
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	_, err = os.Stat(sshd)
	require.NoError(t, err, "sshd is missing: make test installs it")
	server := t.TempDir()
	address := sshServer(t, sshd, server)
	dir := filepath.Join(t.TempDir(), "with 'quotes' \"and\" $HOME %h")
	link(t, server+"/key", dir+"/key")
	link(t, server+"/stranger", dir+"/stranger")
	me, err := user.Current()
	require.NoError(t, err)
	repository := newRepository(t)
	g := newGit("ssh://" + me.Username + "@" + address + repository)
	g.SSHKeyFile, g.KnownHostsFile = dir+"/key", dir+"/known_hosts"
	require.Contains(t, readError(t, g), "known_hosts: no such file or directory")

	write(t, g.KnownHostsFile, "")
	require.Contains(t, readError(t, g), "Host key verification failed.")
	require.Empty(t, read(t, g.KnownHostsFile), "no host is learnt")

	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	write(t, g.KnownHostsFile, "["+host+"]:"+port+" "+read(t, server+"/stranger.pub"))
	require.Contains(t, readError(t, g), "Host key verification failed.")

	write(t, g.KnownHostsFile, "["+host+"]:"+port+" "+read(t, server+"/host.pub"))
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))

	g.SSHKeyFile = dir + "/stranger"
	require.Contains(t, readError(t, g), "Permission denied")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
