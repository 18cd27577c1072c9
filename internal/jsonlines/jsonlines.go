// Package jsonlines reads, follows and edits a file that has a JSON object a line,
// and that other programs may change at any time.
//
// A [File] is followed: it is looked at every second, and each version of it counts
// in one step, or not at all. What is wrong with a line is logged with its number, and
// loses no other line. A version that looks cut off, or that is of another form, does
// not count: the lines of before do.
//
// A [Format] edits such a file: it is replaced whole, so that who follows it sees the
// old one or the new one.
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

// A Kind says in words what a file has on its lines.
type Kind struct {
	One, Many string // "user" and "users"

	// Example is a line.
	Example string

	// Create is the command that makes the file, without its path.
	Create string

	// MaxLines bounds the lines that are not empty.
	MaxLines int
}

const (
	// MaxBytes bounds a file.
	MaxBytes = 64 << 20

	// MaxLine bounds a line, in bytes. A longer one is wrong.
	MaxLine = 1 << 20
)

// Decode reads a line into to, a pointer to a struct, and refuses members that it
// has not. No error of it holds a part of a value.
func (k Kind) Decode(line []byte, to any) error {
	err := DecodeStrictly(line, to)
	if err != nil {
		return fmt.Errorf("%w; expected one %s, such as %s", err, k.One, k.Example)
	}
	return nil
}

// DecodeStrictly reads one JSON value, and refuses members that are unknown.
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
		return errors.New("there is more on the line")
	}
	return nil
}

// unreadable says whose a file has to be, where that is why it cannot be read.
func (k Kind) unreadable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("the file of %s may not be read by the user that this process runs as; make that user the owner of the file, and its folder one that the user may enter; or have that user run the commands on the file: %w", k.Many, err)
	}
	return fmt.Errorf("the file of %s: %w", k.Many, err)
}

// read reads a bounded regular file: any other might never end.
func (k Kind) read(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("the file of %s is not there; make it with: %s --file %s: %w", k.Many, k.Create, path, err)
	}
	if err != nil {
		return nil, nil, k.unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", path)
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
		return nil, nil, fmt.Errorf("%s is empty, as a file is that was cut off; restore it, or, if it is to have no %s, write an empty line", path, k.One)
	}
	if len(text) > MaxBytes {
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", path, MaxBytes>>20)
	}
	return text, info, nil
}
