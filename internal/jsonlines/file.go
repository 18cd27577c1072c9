package jsonlines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

const (
	// interval is how often the file is checked. A version is used once it was the
	// same in two checks, so that a program may rewrite the file in place within this
	// time. A file that never stops changing is read after Patience checks.
	interval = time.Second

	// Patience is the number of checks during which a file may change, or its last line
	// may lack a line break.
	Patience = 10

	// MaxProblems bounds the number of log messages about one version of the file.
	MaxProblems = 20
)

// A Draft collects the lines of a version of a file. They are used only after Commit.
type Draft interface {
	// Add adds a line. known reports whether the line is of this kind, even if it has
	// an error.
	Add(line []byte) (known bool, err error)

	// Lost returns the name of a record that the version in use has and this version
	// has not, or "" if there is none.
	Lost() string

	// Commit replaces the version in use by this one.
	Commit()
}

// A File is a file that is followed. Call Open first, then Watch, not at the same time.
type File struct {
	kind  Kind
	path  string
	draft func() Draft
	log   *zap.Logger

	read, seen os.FileInfo // the version in use, and the version at the last check
	unusable   os.FileInfo // a version that was read and cannot be used
	looks      int         // checks since the file began or stopped to change
	unfinished error       // the error in a last line that may be incomplete
	failure    string      // of the last check, to log it only once
}

// Follow returns a File. Each version of the file is read into a new Draft.
func Follow(k Kind, path string, draft func() Draft, log *zap.Logger) *File {
	return &File{kind: k, path: path, draft: draft, log: log}
}

// Open reads the file. There is no version in use that shows whether records are
// missing, so a file that may be cut off within its last line is an error.
func (f *File) Open() error {
	if err := f.load(); err != nil {
		return err
	}
	if err := f.unfinished; err != nil {
		return fmt.Errorf("%s looks cut off: its last line does not end in a line break; restore it, or remove that line: %w", f.path, err)
	}
	return nil
}

// Watch follows the file until ctx ends.
func (f *File) Watch(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.Look()
		}
	}
}

// Look reads the file if it has changed. While the file cannot be read, the lines of
// the last version stay valid, so a fault of the disk affects no user.
func (f *File) Look() {
	info, err := os.Stat(f.path)
	if err == nil && sameVersion(f.unusable, info) {
		return // it was logged before
	}
	if err == nil && !sameVersion(f.read, info) {
		if !sameVersion(f.seen, info) && f.looks < Patience {
			f.seen, f.looks = info, f.looks+1
			return
		}
		err = f.load()
	} else if err == nil {
		f.settle()
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if failure != "" && failure != f.failure {
		f.log.Error("the file of "+f.kind.Many+" cannot be read; the "+f.kind.Many+" of its last version stay in use", zap.String("file", f.path), zap.Error(err))
	}
	f.failure = failure
}

// settle reports a last line that stays incomplete.
func (f *File) settle() {
	f.seen = nil
	if f.unfinished == nil {
		f.looks = 0
		return
	}
	if f.looks++; f.looks >= Patience {
		f.log.Warn("a line of the file of "+f.kind.Many+" is left out", zap.Error(f.unfinished))
		f.unfinished = nil
	}
}

// sameVersion reports whether two checks found the same file, unchanged.
func sameVersion(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads the whole file, and then uses it in one step.
func (f *File) load() error {
	text, info, err := f.kind.read(f.path)
	if err != nil {
		return err
	}
	if err := checkForm(text); err != nil {
		f.reject(info)
		return fmt.Errorf("%s %w", f.path, err)
	}
	draft := f.draft()
	lines, err := f.add(draft, text)
	if err != nil {
		f.reject(info)
		return err
	}
	if lost := draft.Lost(); lost != "" && lines.unfinished != nil {
		f.reject(info)
		return fmt.Errorf("%s looks cut off: %s %q is missing, and its last line does not end in a line break; restore it, or remove that line", f.path, f.kind.One, lost)
	}
	if lines.written > 0 && lines.known == 0 {
		f.reject(info)
		return f.kind.noValidLine(append(lines.problems, lines.unfinished)[0])
	}
	for i, problem := range lines.problems {
		if i == MaxProblems {
			f.log.Warn("more lines of the file of "+f.kind.Many+" are left out", zap.String("file", f.path), zap.Int("lines", len(lines.problems)-i))
			break
		}
		f.log.Warn("a line of the file of "+f.kind.Many+" is left out", zap.Error(problem))
	}
	f.read, f.seen, f.looks, f.unfinished = info, nil, 0, lines.unfinished
	draft.Commit()
	f.log.Info("the file of "+f.kind.Many+" was read", zap.String("file", f.path), zap.Int(f.kind.Many, lines.right))
	return nil
}

// lines is the result of reading a version.
type lines struct {
	written, known, right int

	problems   []error
	unfinished error // the error in a last line that may be incomplete
}

func (f *File) add(draft Draft, text []byte) (found lines, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		whole := bytes.HasSuffix(line, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if found.written++; found.written > f.kind.MaxLines {
			return found, fmt.Errorf("%s has more than %d %s", f.path, f.kind.MaxLines, f.kind.Many)
		}
		known, err := draft.Add(line)
		if known {
			found.known++
		}
		switch {
		case err == nil:
			found.right++
		case !known && !whole && !json.Valid(line):
			found.unfinished = fmt.Errorf("%s:%d: %w", f.path, number, err)
		default:
			found.problems = append(found.problems, fmt.Errorf("%s:%d: %w", f.path, number, err))
		}
	}
	return found, nil
}

// reject marks a version as unusable. The next version is checked again.
func (f *File) reject(version os.FileInfo) { f.unusable, f.seen, f.looks = version, nil, 0 }
