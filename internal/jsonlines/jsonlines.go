// Package jsonlines reads, follows and edits a file with one JSON object per line.
// Other programs may change the file at any time.
//
// A [File] is followed: it is checked every second, and each version of it is used as a
// whole, or not at all. An error in a line is logged with the line number, and does not
// affect other lines. A version that looks cut off, or that has another form, is not
// used, and the lines of the version before stay in use.
//
// A [Format] edits such a file. It replaces the whole file, so that a reader sees the
// old version or the new one.
package jsonlines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Kind describes the content of the lines.
type Kind struct {
	One, Many string // for example "user" and "users"

	// Example is an example of a line.
	Example string

	// Create is the command that creates the file, without its path.
	Create string

	// MaxLines bounds the number of lines that are not empty.
	MaxLines int
}

const (
	// MaxBytes bounds the size of a file.
	MaxBytes = 64 << 20

	// MaxLine bounds the length of a line, in bytes. A longer line is an error.
	MaxLine = 1 << 20
)

// Decode decodes a line into to, a pointer to a struct. Unknown members are an error.
// No error contains a part of a value.
func (k Kind) Decode(line []byte, to any) error {
	err := DecodeStrictly(line, to)
	if err != nil {
		return fmt.Errorf("%w; expected one %s, such as %s", err, k.One, k.Example)
	}
	return nil
}

// DecodeStrictly decodes one JSON value. Unknown members are an error.
func DecodeStrictly(raw []byte, to any) error {
	if len(raw) > MaxLine {
		return fmt.Errorf("it has more than %d bytes", MaxLine)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, more := d.Token(); !errors.Is(more, io.EOF) {
		return errors.New("there is more on the line than one JSON value")
	}
	return nil
}

// unreadable adds to an error of permissions who must own the file.
func (k Kind) unreadable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("the file of %s may not be read by the user that this process runs as; make that user the owner of the file, and let the user enter its folder; or run the commands on the file as that user: %w", k.Many, err)
	}
	return fmt.Errorf("the file of %s: %w", k.Many, err)
}

// read reads a regular file of bounded size. Reading another file, such as a pipe,
// might never end.
func (k Kind) read(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("the file of %s is not there; make it with: %s --file %s: %w", k.Many, k.Create, path, err)
	}
	if err != nil {
		return nil, nil, k.unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, k.unreadable(err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, fmt.Errorf("the file of %s: %w", k.Many, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("the file of %s: %w", k.Many, err)
	}
	if text = bytes.TrimPrefix(text, []byte(byteOrderMark)); len(text) == 0 {
		return nil, nil, fmt.Errorf("%s is empty, so it may have been cut off; restore it; if it should have no %s, write an empty line", path, k.One)
	}
	if len(text) > MaxBytes {
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", path, MaxBytes>>20)
	}
	return text, info, nil
}
