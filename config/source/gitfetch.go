package source

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
)

// How much one fetch may download, unless the configuration has other limits: far more than
// repositories of SLO files hold.
const (
	defaultGitSize  = 100 << 20 // bytes
	defaultGitFiles = 200_000
)

// fetchLook is how often a fetch is held to its limits.
const fetchLook = 50 * time.Millisecond

// fetched is the reference under which a fetched commit is kept.
const fetched = "refs/heads/fetched"

// revision is a commit of a branch.
type revision struct {
	hash string
	made time.Time // by its committer
}

// fetch downloads the branch's newest commits, so many at most, without large files when the
// server can leave them out. It follows the first parents: the earlier states of the branch.
func (s *session) fetch(ctx context.Context, branch string, most int) ([]revision, error) {
	err := s.download(ctx, "fetch", "--quiet", fmt.Sprintf("--depth=%d", most), "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
		fmt.Sprintf("--filter=blob:limit=%d", maxFileSize+1),
		"--", s.remote.address, "+refs/heads/"+branch+":"+fetched)
	if err != nil {
		return nil, err
	}
	// Without the remote that fetch has noted, no later command asks it for
	// what was left out.
	if err := os.WriteFile(filepath.Join(s.dir, "repo", "config"), []byte("[core]\n\trepositoryformatversion = 0\n\tbare = true\n"), 0o600); err != nil {
		return nil, err
	}
	out, err := s.git(ctx, "", "log", "--first-parent", fmt.Sprintf("--max-count=%d", most), "--format=%H %ct", fetched)
	if err != nil {
		return nil, err
	}
	var commits []revision
	for line := range strings.Lines(out) {
		hash, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading when commit %s was made: %w", hash, err)
		}
		commits = append(commits, revision{hash, plausible(time.Unix(seconds, 0).UTC())})
	}
	return commits, nil
}

// download runs a git command that fills the repository, and ends it when that breaks a
// limit. git has no such limit of its own for who fetches.
func (s *session) download(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		tick := time.NewTicker(fetchLook)
		defer tick.Stop()
		for {
			last := ctx.Err() != nil // also what came since the look before
			if err := s.broken(); err != nil || last {
				cancel()
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	_, err := s.git(ctx, "", args...)
	cancel()
	return cmp.Or(<-ended, err)
}

// broken returns an error about the limit that the download breaks so far.
func (s *session) broken() error {
	var size, count int64
	_ = filepath.WalkDir(filepath.Join(s.dir, "repo", "objects"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() { // git may move it meanwhile
			if info, err := entry.Info(); err == nil {
				size += info.Size()
				count += objectsOf(path)
			}
		}
		return nil
	})
	const rest = "; keep SLO files in a repository of their own, or raise limits.%s of the service's own file"
	switch {
	case count > int64(s.maxFiles):
		return fmt.Errorf("the repository has %d files, directories and commits, more than %d"+rest, count, s.maxFiles, "git_files")
	case size > int64(s.maxSize):
		return fmt.Errorf("the repository is larger than %s"+rest, units.Base2Bytes(s.maxSize), "git_size")
	}
	return nil
}

// objectsOf returns the number of objects in the first bytes of a pack. It is 0 for
// other files.
func objectsOf(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var head [12]byte // "PACK", version, number of objects
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[:4]) != "PACK" {
		return 0
	}
	return int64(binary.BigEndian.Uint32(head[8:]))
}
