package redis

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of a frame. Frames of Redis are much smaller. rueidis allocates memory for a
// length before the data arrives, and panics if a length is negative.
const (
	maxFrameDepth    = 16
	maxFrameElements = 1 << 20
	maxFrameBytes    = 64 << 20 // values have at most storage.MaxValueSize
	maxFrameLine     = 64 << 10
	maxFrameWord     = 512 // how much of a word is kept
)

// A frame is one message of RESP3: a command, a reply or a push.
type frame struct {
	kind     byte // its first byte
	elements int  // of an aggregate
	words    [3][]byte
}

// A frameReader finds the frames in a stream of bytes. A frame ends at the same byte as
// in rueidis. Frames that Redis never sends are an error.
type frameReader struct {
	ended func(*frame) error // called for each frame; must not keep it

	frame
	left  [maxFrameDepth]int // for each open aggregate, the number of elements that are still missing
	depth int
	sum   int    // number of elements of all aggregates in the frame
	size  int    // number of bytes of all strings in the frame
	line  []byte // the beginning of a line
	blob  int    // number of bytes of a string and its CRLF that are still missing
	word  *[]byte
}

var errFrame = errors.New("malformed RESP")

// read continues with the bytes that were read, or will be written next.
func (r *frameReader) read(p []byte) error {
	for len(p) > 0 {
		if r.blob > 0 {
			n := min(r.blob, len(p))
			r.keep(p[:min(n, max(0, r.blob-len("\r\n")))])
			r.blob -= n
			p = p[n:]
			if r.blob == 0 {
				if err := r.complete(); err != nil {
					return err
				}
			}
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			r.line = append(r.line, p...)
			if len(r.line) >= longest(r.line[0]) {
				return fmt.Errorf("%w: a line is too long", errFrame)
			}
			return nil
		}
		line := p[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		if err := r.header(line); err != nil {
			return err
		}
		r.line = r.line[:0]
		p = p[end:]
	}
	return nil
}

// longest is the maximum length of a line of a kind. For null and booleans rueidis does
// not search the end of the line, so they must have exactly this length.
func longest(kind byte) int {
	switch kind {
	case '_':
		return len("_\r\n")
	case '#':
		return len("#t\r\n")
	case '$', '=', '*', '%', '~', '>':
		return len("$123456789\r\n")
	case ':':
		return len(":-9223372036854775808\r\n")
	default:
		return maxFrameLine
	}
}

// header parses a line. Most kinds have only one line.
func (r *frameReader) header(line []byte) error {
	kind := line[0]
	if len(line) > longest(kind) || len(line) < len("_\r\n") || kind == '#' && len(line) != longest(kind) {
		return fmt.Errorf("%w: a line of %d bytes", errFrame, len(line))
	}
	if r.depth == 0 {
		r.frame = frame{kind: kind, words: [3][]byte{r.words[0][:0], r.words[1][:0], r.words[2][:0]}}
		r.sum, r.size = 0, 0
	}
	text := line[1 : len(line)-len("\r\n")]
	switch kind {
	case '_', '#', ':':
		return r.complete()
	case '+', '-', ',', '(':
		if kind == '-' && !redirects(text) {
			return fmt.Errorf("%w: a redirection without an address", errFrame)
		}
		r.pick(kind)
		r.keep(text)
		return r.complete()
	case '$', '=', '*', '%', '~', '>':
		if string(text) == "-1" && (kind == '$' || kind == '*') { // the null of RESP2
			if r.depth == 0 {
				r.kind = '_'
			}
			return r.complete()
		}
		n, ok := length(text)
		switch {
		case !ok || line[len(line)-len("\r\n")] != '\r':
			return fmt.Errorf("%w: a length of %q", errFrame, text)
		case kind == '$' || kind == '=':
			if r.size += n; r.size > maxFrameBytes {
				return fmt.Errorf("%w: strings of %d bytes", errFrame, r.size)
			}
			r.pick(kind)
			r.blob = n + len("\r\n")
			return nil
		}
		return r.begin(kind, n)
	}
	return fmt.Errorf("%w: no message begins with %q", errFrame, kind)
}

// begin begins an aggregate.
func (r *frameReader) begin(kind byte, n int) error {
	if kind == '%' {
		n *= 2
	}
	if r.depth == 0 {
		r.elements = n
	} else if kind == '>' {
		return fmt.Errorf("%w: a push within a message", errFrame)
	}
	if r.sum += n; r.sum > maxFrameElements {
		return fmt.Errorf("%w: %d elements", errFrame, r.sum)
	}
	if n == 0 {
		return r.complete()
	}
	if r.depth == maxFrameDepth {
		return fmt.Errorf("%w: more than %d levels", errFrame, maxFrameDepth)
	}
	r.left[r.depth] = n
	r.depth++
	return nil
}

// complete ends a value, and each aggregate whose last element it is.
func (r *frameReader) complete() error {
	for r.word = nil; r.depth > 0; r.depth-- {
		if r.left[r.depth-1]--; r.left[r.depth-1] > 0 {
			return nil
		}
	}
	return r.ended(&r.frame)
}

// pick selects where the next string is kept, if at all. Only the first words of
// commands and pushes are needed, and replies of one line.
func (r *frameReader) pick(kind byte) {
	switch {
	case r.depth == 0 && kind != '$' && kind != '=':
		r.word = &r.words[0]
	case r.depth == 1:
		if i := r.elements - r.left[0]; i < len(r.words) {
			r.word = &r.words[i]
		}
	}
}

func (r *frameReader) keep(text []byte) {
	if r.word != nil {
		*r.word = append(*r.word, text[:min(len(text), maxFrameWord-len(*r.word))]...)
	}
}

func length(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, len(text) > 0
}

// redirects reports whether a cluster's error has the address that it redirects to.
// rueidis depends on it.
func redirects(text []byte) bool {
	for _, code := range []string{"MOVED", "ASK"} {
		if bytes.HasPrefix(text, []byte(code)) {
			return bytes.Count(text, []byte(" ")) >= 2
		}
	}
	return true
}
