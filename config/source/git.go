package source

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Git is a Source: the files *.yaml and *.yml of one branch of a repository,
// read with the git program. Nothing is checked out, so nothing of the
// repository can run. Its fields don't change after the first Read.
type Git struct {
	URL            string        // https, http, ssh, file, user@host:path or a path
	Branch         string        // without refs/heads/
	Path           string        // directory or file in the repository; empty for all of it
	Interval       time.Duration // between two looks at the branch
	TokenFile      string        // file with the token for https, or with user:token
	TokenEnv       string        // environment variable with the same
	SSHKeyFile     string        // private key for ssh
	KnownHostsFile string        // public keys of the hosts that ssh may talk to
	Backends       []string      // what its SLOs may use; empty for all
	MaxSize        int           // in bytes, of what is fetched at once; 0 for the default
	MaxFiles       int           // likewise, in files, directories and commits

	Label string // its name; "" for the URL

	mu   sync.Mutex
	tree Tree   // the last one that was read well
	seen string // the commit that the last Read found, or ""
}

// Name implements Source: the repository's URL, which holds no credentials, and
// the branch and the path when the configuration names the repository twice.
func (g *Git) Name() string { return cmp.Or(g.Label, g.URL) }

// Read implements Source. It downloads a commit once.
func (g *Git) Read(ctx context.Context) (Tree, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = ""
	tree, err := g.read(ctx)
	if err != nil {
		return Tree{}, fmt.Errorf("reading branch %s of %s: %w", g.Branch, g.URL, err)
	}
	g.tree = tree
	return tree, nil
}

func (g *Git) read(ctx context.Context) (Tree, error) {
	s, err := g.open(ctx)
	if err != nil {
		return Tree{}, err
	}
	defer s.close()
	head, err := s.head(ctx, g.Branch)
	if err != nil {
		return Tree{}, err
	}
	if head == g.tree.Revision {
		g.seen = head
		return g.tree, nil
	}
	commits, err := s.fetch(ctx, g.Branch, 1)
	if err != nil {
		return Tree{}, err
	}
	tree, err := g.load(ctx, s, commits[0])
	if ctx.Err() == nil {
		g.seen = commits[0].hash // if it can't be loaded now, it never can
	}
	return tree, err
}

func (g *Git) load(ctx context.Context, s *session, c revision) (Tree, error) {
	files, err := s.load(ctx, c.hash, g.Path)
	if err != nil {
		return Tree{}, fmt.Errorf("commit %s: %w", c.hash, err)
	}
	return Tree{Source: g.Name(), Revision: c.hash, Committed: c.made, Files: files, Backends: g.Backends}, nil
}

// maxCommits is how many of a branch's commits are tried for one that is whole.
const maxCommits = 50

// ReadGood implements Source.
func (g *Git) ReadGood(ctx context.Context, whole func(Tree) bool) (Tree, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tree, err := g.readGood(ctx, whole)
	if err != nil {
		return Tree{}, fmt.Errorf("reading branch %s of %s: %w", g.Branch, g.URL, err)
	}
	return tree, nil
}

func (g *Git) readGood(ctx context.Context, whole func(Tree) bool) (Tree, error) {
	s, err := g.open(ctx)
	if err != nil {
		return Tree{}, err
	}
	defer s.close()
	commits, err := s.fetch(ctx, g.Branch, maxCommits)
	if err != nil {
		return Tree{}, err
	}
	for _, c := range commits {
		tree, err := g.load(ctx, s, c)
		if ctx.Err() != nil {
			return Tree{}, ctx.Err()
		}
		if err == nil && whole(tree) {
			return tree, nil
		}
	}
	return Tree{}, fmt.Errorf("none of the last %d commits loads whole", maxCommits)
}

// Wait implements Source. It returns as well when the repository can't be
// reached any more, so that a Read returns why.
func (g *Git) Wait(ctx context.Context) error {
	for {
		if !sleep(ctx, max(g.Interval, time.Millisecond)) {
			return ctx.Err()
		}
		commit, err := g.look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if g.differs(commit, err) {
			return nil
		}
	}
}

// look asks the repository for the branch's commit.
func (g *Git) look(ctx context.Context) (string, error) {
	s, err := g.open(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.head(ctx, g.Branch)
}

// differs reports whether a look found another state than the last Read.
func (g *Git) differs(commit string, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	differs := commit != g.seen
	if err != nil {
		g.seen = ""
	}
	return differs
}

// head is the commit at which the branch is.
func (s *session) head(ctx context.Context, branch string) (string, error) {
	ref := "refs/heads/" + branch
	out, err := s.git(ctx, "", "ls-remote", "--quiet", "--", s.remote.address, ref)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if commit, name, _ := strings.Cut(strings.TrimSpace(line), "\t"); name == ref {
			return commit, nil
		}
	}
	return "", fmt.Errorf("the repository has no such branch")
}
