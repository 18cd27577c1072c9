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

// editTimeout is how long an edit waits for another edit to end.
const editTimeout = 5 * time.Second

// A Format decodes lines into records. Errors of Parse contain no part of a secret.
type Format[R any] struct {
	Kind
	Parse func(line []byte) (R, error)
}

// A Text is a file that is edited. Lines with errors stay unchanged.
type Text[R any] struct {
	format    Format[R]
	lines     []textLine[R]
	truncated bool // within the last line
}

type textLine[R any] struct {
	text   string // as in the file
	record R
	blank  bool
	err    error // the error in the line
}

// Read reads a file.
func (f Format[R]) Read(path string) (*Text[R], error) {
	text, _, err := f.read(path)
	if err != nil {
		return nil, err
	}
	if err := checkForm(text); err != nil {
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
		t.truncated = l.err != nil
	}
	t.truncated = t.truncated && !bytes.HasSuffix(text, []byte("\n"))
	return t, nil
}

// Records returns the records of the lines, and the errors of lines that have no
// record.
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

// Remove removes a line that Find returned. If it was the only one, the file gets an
// empty line, to show that it is not cut off.
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

// Edit changes a file. It replaces the whole file and keeps its mode and owner, so that
// a reader sees the old version or the new one. Of two edits at the same time one waits
// for the other. With create the file need not exist.
func (f Format[R]) Edit(path string, create bool, change func(*Text[R]) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays a link
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

// Check returns the error that Edit would return, and writes nothing.
func (f Format[R]) Check(path string, create bool, change func(*Text[R]) error) error {
	_, err := f.edited(path, create, change)
	return err
}

// edited reads a file and changes the text, but does not write it.
func (f Format[R]) edited(path string, create bool, change func(*Text[R]) error) (*Text[R], error) {
	t, err := f.Read(path)
	if create && errors.Is(err, os.ErrNotExist) {
		t, err = &Text[R]{format: f}, nil
	}
	if err != nil {
		return nil, err
	}
	if t.truncated {
		return nil, fmt.Errorf("%s looks cut off: its last line does not end in a line break; restore it, or remove that line", path)
	}
	if records, problems := t.Records(); len(records) == 0 && len(problems) > 0 {
		return nil, f.noValidLine(fmt.Errorf("%s: %w", path, problems[0]))
	}
	return t, change(t)
}

// lock creates the file that will replace the edited one. Only one edit at a time can
// create it.
func lock(path string) (*os.File, error) {
	for deadline := time.Now().Add(editTimeout); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another edit is running; if there is none, remove %s", path)
		}
	}
}
