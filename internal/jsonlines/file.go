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

	// Patience is for how many looks a file may change, or have a last line without
	// an end.
	Patience = 10

	// MaxProblems bounds the lines in the log about one version of the file.
	MaxProblems = 20
)

// A Draft is a version of a file that is being read. Nothing of it counts before
// Commit.
type Draft interface {
	// Add takes a line. Whatever is wrong with it, known says whether it is one of
	// this kind.
	Add(line []byte) (known bool, err error)

	// Lost names something that the version which counts has, and this one has
	// not; or it is "".
	Lost() string

	// Commit has this version count, in place of the one before.
	Commit()
}

// A File is a file that is followed. Open, and then Watch, are alone with it.
type File struct {
	kind  Kind
	path  string
	draft func() Draft
	log   *zap.Logger

	read, seen os.FileInfo // the version that counts, and the one of the last look
	unusable   os.FileInfo // a version that was read, and whose content cannot count
	looks      int         // since the file began to change, or came to rest
	unfinished error       // what is wrong with a last line that may yet grow
	failure    string      // of the last look, to log it once
}

// Follow is a file whose versions are read into what draft returns.
func Follow(k Kind, path string, draft func() Draft, log *zap.Logger) *File {
	return &File{kind: k, path: path, draft: draft, log: log}
}

// Open reads the file. There is no version of before to tell what is missing, so
// one that is cut off within its last line is none.
func (f *File) Open() error {
	if err := f.load(); err != nil {
		return err
	}
	if err := f.unfinished; err != nil {
		return fmt.Errorf("%s looks cut off, since its last line has no end; restore it, or remove that line: %w", f.path, err)
	}
	return nil
}

// Watch follows the file until the context ends.
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
		return // as was logged
	}
	if err == nil && !sameVersion(f.read, info) {
		if !sameVersion(f.seen, info) && f.looks < Patience {
			f.seen, f.looks = info, f.looks+1
			return
		}
		err = f.load()
	} else if err == nil {
		f.rest()
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if failure != "" && failure != f.failure {
		f.log.Error("the file of "+f.kind.Many+" cannot be read; its "+f.kind.Many+" are those of before", zap.String("file", f.path), zap.Error(err))
	}
	f.failure = failure
}

// rest reports a last line that stays incomplete.
func (f *File) rest() {
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

// sameVersion says whether two looks found the same file, unchanged.
func sameVersion(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads the file whole, and makes it count in one step.
func (f *File) load() error {
	text, info, err := f.kind.read(f.path)
	if err != nil {
		return err
	}
	if err := misshapen(text); err != nil {
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
		return fmt.Errorf("%s looks cut off: %s %q is gone, and its last line has no end; restore it, or remove that line", f.path, f.kind.One, lost)
	}
	if lines.written > 0 && lines.known == 0 {
		f.reject(info)
		return f.kind.none(append(lines.problems, lines.unfinished)[0])
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

// lines are what a version has.
type lines struct {
	written, known, right int

	problems   []error
	unfinished error // what is wrong with a last line that may yet grow
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
