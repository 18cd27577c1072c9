package jsonlines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/fileaccess"
)

// editPatience is how long an edit waits for another one to end.
const editPatience = 5 * time.Second

// A Format is how a line is read into a record. No error of Parse holds a part of
// a secret.
type Format[R any] struct {
	Kind
	Parse func(line []byte) (R, error)
}

// A Text is a file that is edited. What is wrong with a line stays as it is.
type Text[R any] struct {
	format Format[R]
	lines  []textLine[R]
	cut    bool // within the last line
}

type textLine[R any] struct {
	text   string // as it is in the file
	record R
	blank  bool
	err    error // what is wrong with the line
}

// Read reads a file.
func (f Format[R]) Read(path string) (*Text[R], error) {
	text, _, err := f.read(path)
	if err != nil {
		return nil, err
	}
	if err := misshapen(text); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	t := &Text[R]{format: f}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		l := textLine[R]{text: line}
		trimmed := strings.TrimSpace(line)
		if l.blank = trimmed == ""; !l.blank {
			l.record, l.err = f.Parse([]byte(trimmed))
		}
		t.lines = append(t.lines, l)
		t.cut = l.err != nil
	}
	t.cut = t.cut && !bytes.HasSuffix(text, []byte("\n"))
	return t, nil
}

// Records are what the lines say, and what is wrong with others.
func (t *Text[R]) Records() (records []R, problems []error) {
	for i, line := range t.lines {
		switch {
		case line.err != nil:
			problems = append(problems, fmt.Errorf("line %d: %w", i+1, line.err))
		case !line.blank:
			records = append(records, line.record)
		}
	}
	return records, problems
}

// Find returns the first line whose record matches, or -1.
func (t *Text[R]) Find(matches func(R) bool) int {
	return slices.IndexFunc(t.lines, func(line textLine[R]) bool { return line.err == nil && !line.blank && matches(line.record) })
}

// Append adds a line.
func (t *Text[R]) Append(r R) error { return t.put(len(t.lines), r) }

// ChangeAt changes the record of a line that Find returned.
func (t *Text[R]) ChangeAt(i int, change func(*R)) error {
	r := t.lines[i].record
	change(&r)
	return t.put(i, r)
}

// Remove removes a line that Find returned. A file without lines keeps an empty one,
// which says that it is not cut off.
func (t *Text[R]) Remove(i int) {
	t.lines = slices.Delete(t.lines, i, i+1)
	if len(t.lines) == 0 {
		t.lines = []textLine[R]{{blank: true}}
	}
}

func (t *Text[R]) put(i int, r R) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("encoding a %s: %w", t.format.One, err)
	}
	line := bytes.TrimSpace(text.Bytes())
	if _, err := t.format.Parse(line); err != nil {
		return err
	}
	changed := textLine[R]{text: string(line), record: r}
	if i == len(t.lines) {
		t.lines = append(t.lines, changed)
	} else {
		t.lines[i] = changed
	}
	return nil
}

// Edit changes a file. It is replaced whole, with its mode and owner, so that who
// reads it sees the old one or the new one; of two edits at once one waits. With
// create it may not be there yet.
func (f Format[R]) Edit(path string, create bool, change func(*Text[R]) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	beside, err := lock(path + ".new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(beside.Name()) //nolint:errcheck // the error that counts is returned
		}
	}()
	defer beside.Close()
	t, err := f.edited(path, create, change)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil {
		if err := fileaccess.Keep(beside, info); err != nil {
			return fmt.Errorf("keeping the mode and owner of %s: %w", path, err)
		}
	}
	var text strings.Builder
	for _, line := range t.lines {
		text.WriteString(line.text + "\n")
	}
	_, err = beside.WriteString(text.String())
	if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", beside.Name(), err)
	}
	return os.Rename(beside.Name(), path)
}

// Check says what Edit would, and writes nothing.
func (f Format[R]) Check(path string, create bool, change func(*Text[R]) error) error {
	_, err := f.edited(path, create, change)
	return err
}

// edited changes what was read of a file.
func (f Format[R]) edited(path string, create bool, change func(*Text[R]) error) (*Text[R], error) {
	t, err := f.Read(path)
	if create && errors.Is(err, os.ErrNotExist) {
		t, err = &Text[R]{format: f}, nil
	}
	if err != nil {
		return nil, err
	}
	if t.cut {
		return nil, fmt.Errorf("%s looks cut off, since its last line has no end; restore it, or remove that line", path)
	}
	if records, problems := t.Records(); len(records) == 0 && len(problems) > 0 {
		return nil, f.none(fmt.Errorf("%s: %w", path, problems[0]))
	}
	return t, change(t)
}

// lock makes the file that will take the place of the other one, which only one
// edit at a time can.
func lock(path string) (*os.File, error) {
	for deadline := time.Now().Add(editPatience); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another edit is under way; if there is none, remove %s", path)
		}
	}
}
