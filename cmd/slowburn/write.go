package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// markerWithin is how far from its start a file's marker is looked for, in
// bytes.
const markerWithin = 512

// writeFiles makes dir hold the generated files, named by their names in it,
// and no other that bears the marker in its first 512 bytes: those are left
// over from an earlier run. The marker must be in every file of files.
//
// Readers see each file old or new, never in part. Files that are as they
// should be stay untouched, and other people's files are neither removed nor
// replaced: a name they have taken is an error. Nothing changes before all
// files are written in full beside their place.
func writeFiles(dir string, files map[string][]byte, marker string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of generated files: %w", err)
	}
	changed, err := changes(dir, files, marker)
	if err != nil {
		return err
	}
	stale, err := leftOver(dir, files, marker)
	if err != nil {
		return err
	}
	staged := make([]string, len(changed))
	defer func() {
		for _, temp := range staged {
			if temp != "" {
				_ = os.Remove(temp)
			}
		}
	}()
	for i, name := range changed {
		if staged[i], err = stage(dir, files[name]); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Join(dir, name), err)
		}
	}
	for i, name := range changed {
		if err := os.Rename(staged[i], filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("putting a generated file in its place: %w", err)
		}
		staged[i] = ""
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing a generated file: %w", err)
		}
	}
	return nil
}

// changes are the names of the files that dir lacks or has otherwise, sorted.
func changes(dir string, files map[string][]byte, marker string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return nil, fmt.Errorf("writing %s: %q is not the name of a file", path, name)
		}
		if !bears(files[name], marker) {
			return nil, fmt.Errorf("writing %s: it lacks the marker %q", path, marker)
		}
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("looking at the file to replace: %w", err)
		case !bears(old, marker):
			return nil, fmt.Errorf("writing %s: the file there was not written by slowburn; move it away", path)
		case bytes.Equal(old, files[name]):
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// leftOver are the names of files in dir that bear the marker and are not among
// files.
func leftOver(dir string, files map[string][]byte, marker string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for files of an earlier run: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, ok := files[e.Name()]; ok || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("looking for files of an earlier run: %w", err)
		}
		if bears(text, marker) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func bears(text []byte, marker string) bool {
	return bytes.Contains(text[:min(len(text), markerWithin)], []byte(marker))
}

// stage writes text to a hidden file in dir and returns its path. It does not
// wait for the disk: after a loss of power the files can be made again.
func stage(dir string, text []byte) (string, error) {
	f, err := os.CreateTemp(dir, ".slowburn-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
