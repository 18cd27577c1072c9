package jsonlines

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// byteOrderMark is how some editors begin a UTF-8 file.
const byteOrderMark = "\ufeff"

// checkForm returns an error if the whole text has another form than JSON lines, though
// one of its lines may look right.
func checkForm(text []byte) error {
	switch trimmed := bytes.TrimSpace(text); {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), len(text) > 1 && (text[0] == 0) != (text[1] == 0):
		return errors.New("is UTF-16, as PowerShell writes it; save it as UTF-8")
	case bytes.HasPrefix(trimmed, []byte("[")):
		return errors.New("is a JSON array; write one object a line, for example with: jq -c '.[]'")
	case !bytes.Contains(text, []byte("\n")) && bytes.Contains(trimmed, []byte("\r")):
		return errors.New("ends its lines with CR only; use LF")
	}
	return nil
}

// Check returns an error if no line of the file can be read. A file that this process
// cannot see may be right, so it is no error.
func (k Kind) Check(path string) error {
	text, _, err := k.read(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkForm(text); err != nil {
		return fmt.Errorf("%s %w", path, err)
	}
	return nil
}

// noValidLine reports that a file with content has no correct line, which is hardly
// intended.
func (k Kind) noValidLine(first error) error {
	return fmt.Errorf("no line is a %s; expected UTF-8 with one JSON object per line (no UTF-16, no array, no indentation); if it should have no %s, write an empty line: %w", k.One, k.One, first)
}
