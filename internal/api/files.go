package api

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// errNotPrivate says that a file of ours is not as we leave files: someone else had a hand in it.
var errNotPrivate = errors.New("is a link, or others may read or write it")

// privateDir makes the folder name below parent, for this user alone.
func privateDir(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !fi.IsDir() {
		return "", fmt.Errorf("%s is not a folder", dir)
	}
	if open(fi) {
		if err := os.Chmod(dir, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// open reports whether others than the owner may do anything with a file.
func open(fi fs.FileInfo) bool {
	return runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0
}

// openPrivate opens a file of ours. A link, a pipe, or a file that others may touch is refused with errNotPrivate.
func openPrivate(path string, flag int) (*os.File, error) {
	before, err := os.Lstat(path)
	if err == nil && (!before.Mode().IsRegular() || open(before)) {
		return nil, fmt.Errorf("%s %w", path, errNotPrivate)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) || flag&os.O_CREATE == 0 {
			return nil, err
		}
		flag |= os.O_EXCL // does not follow a link that appears in between
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && before != nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s %w", path, errNotPrivate)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readPrivate returns the content of a file of ours, of at most limit bytes.
func readPrivate(path string, limit int64) ([]byte, error) {
	f, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is too long", path)
	}
	return b, err
}

// writePrivate puts a file of ours in place, whole or not at all, and replaces what stood there, a link too.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
