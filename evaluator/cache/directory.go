// Package cache keeps what was counted in files, so that a process that starts reads only
// the gap. A file that is lost, damaged, of another version or too old is as good as none:
// then history is read again. The package imports no other one of the module.
package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Directory is a directory of entries, one file each. Several processes may use it: each
// file is replaced as a whole.
type Directory struct {
	path    string
	maxSize int64 // in bytes
	version string
	encoder *zstd.Encoder
}

// NewDirectory returns a directory whose entries take at most maxSize bytes together.
// Entries of another version are not read. It creates the directory when it first writes.
func NewDirectory(path string, maxSize int64, version string) *Directory {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		panic(err) // the options are valid
	}
	return &Directory{path, maxSize, version, encoder}
}

// Header describes an entry.
type Header struct {
	Version string    `json:"version"`
	Key     string    `json:"key"`   // a checksum of what is counted
	Name    string    `json:"name"`  // for people: the SLO, or the first of those that share it
	Until   time.Time `json:"until"` // the end of the last slot in it
}

// Entry is a file of a directory. Header is empty, and Err says why, if it can't be read.
type Entry struct {
	Header
	Path string
	Size int64 // in bytes
	Err  error

	written time.Time
}

const (
	magic     = "slowburn cache 1\n"
	extension = ".slowburn"
	temporary = ".tmp"
	// maxEntry limits the size of one entry when it is read, in bytes.
	maxEntry = 1 << 30
	// abandonedAfter is the age of a temporary file that nobody writes any more.
	abandonedAfter = time.Hour
)

// ownName matches the names of entries and of temporary files.
var ownName = regexp.MustCompile(`^[0-9a-f]{32}(\.slowburn|-[0-9]+\.tmp)$`)

// KeyOf returns the key of what is counted, from texts that describe it.
func KeyOf(texts ...string) string {
	hash := sha256.New()
	for _, text := range texts {
		_, _ = fmt.Fprintf(hash, "%d %s\n", len(text), text) // never fails
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

func (d *Directory) file(key string) string { return filepath.Join(d.path, key+extension) }

// Write stores an entry. It replaces the file in one step, so that others read the old one or the
// new one.
func (d *Directory) Write(h Header, data []byte) error {
	h.Version = d.version
	header, err := json.Marshal(h)
	if err != nil {
		return err
	}
	body := binary.AppendUvarint(nil, uint64(len(header)))
	body = d.encoder.EncodeAll(data, append(body, header...))
	sum := sha256.Sum256(body)
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.path, h.Key+"-*"+temporary) // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Concat([]byte(magic), sum[:], body))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.file(h.Key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// ErrNone reports that there is no entry.
var ErrNone = fs.ErrNotExist

// Read returns an entry. It returns an error if the file is damaged or of another version.
func (d *Directory) Read(key string) (Header, []byte, error) {
	text, err := readFile(d.file(key))
	if err != nil {
		return Header{}, nil, err
	}
	h, body, err := check(text)
	switch {
	case err != nil:
		return Header{}, nil, err
	case h.Version != d.version:
		return Header{}, nil, fmt.Errorf("it is of version %s", h.Version)
	case h.Key != key:
		return Header{}, nil, errors.New("it is of something else")
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxEntry))
	if err != nil {
		return Header{}, nil, err
	}
	defer decoder.Close()
	data, err := decoder.DecodeAll(body, nil)
	return h, data, err
}

// readFile reads a file that is not too large.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEntry {
		return nil, errors.New("it is no entry of the cache")
	}
	return os.ReadFile(path)
}

// check returns the header and the compressed data of a file.
func check(text []byte) (Header, []byte, error) {
	text, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok || len(text) < sha256.Size {
		return Header{}, nil, errors.New("it is no entry of the cache, or of another format")
	}
	body := text[sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(text) {
		return Header{}, nil, errors.New("it is damaged: its checksum is wrong")
	}
	n, size := binary.Uvarint(body)
	if size <= 0 || n > uint64(len(body)-size) {
		return Header{}, nil, errMalformed
	}
	var h Header
	err := json.Unmarshal(body[size:size+int(n)], &h)
	return h, body[size+int(n):], err
}

// remove removes a file, unless another process did.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// files returns the entries without their headers, those written last first.
func (d *Directory) files() ([]Entry, error) {
	all, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []Entry
	for _, f := range all {
		info, err := f.Info()
		name := f.Name()
		if err != nil || !info.Mode().IsRegular() || !ownName.MatchString(name) {
			continue // it was removed meanwhile, or is not ours
		}
		out = append(out, Entry{Path: filepath.Join(d.path, name), Size: info.Size(), written: info.ModTime()})
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Or(b.written.Compare(a.written), cmp.Compare(a.Path, b.Path)) })
	return out, err
}

// Entries returns all entries, those written last first.
func (d *Directory) Entries() ([]Entry, error) {
	files, err := d.files()
	out := slices.DeleteFunc(files, func(e Entry) bool { return !strings.HasSuffix(e.Path, extension) })
	for i := range out {
		text, err := readFile(out[i].Path)
		if err == nil {
			out[i].Header, _, err = check(text)
		}
		out[i].Err = err
	}
	return out, err
}

// Trim removes the entries that were written longest ago until the rest takes at most the
// maximum size, and temporary files of processes that ended. It returns the size of the
// entries that are left, in bytes.
func (d *Directory) Trim(now time.Time) (size int64, err error) {
	files, err := d.files()
	for _, f := range files {
		if strings.HasSuffix(f.Path, temporary) {
			if now.Sub(f.written) > abandonedAfter {
				err = errors.Join(err, remove(f.Path))
			}
			continue
		}
		if size+f.Size > d.maxSize {
			err = errors.Join(err, remove(f.Path))
			continue
		}
		size += f.Size
	}
	return size, err
}

// Clear removes all entries, and returns their number and size in bytes.
func (d *Directory) Clear() (entries int, size int64, err error) {
	files, err := d.files()
	for _, f := range files {
		if failed := remove(f.Path); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		entries, size = entries+1, size+f.Size
	}
	return entries, size, err
}
