package jsonlines

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// byteOrderMark is what some editors begin UTF-8 with.
const byteOrderMark = "\ufeff"

// misshapen says that a text is no file of lines at all, though a line of it may
// look like one.
func misshapen(text []byte) error {
	switch trimmed := bytes.TrimSpace(text); {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), len(text) > 1 && (text[0] == 0) != (text[1] == 0):
		return errors.New("is UTF-16, as PowerShell writes it; save it as UTF-8")
	case bytes.HasPrefix(trimmed, []byte("[")):
		return errors.New("is a JSON array; write one object a line, as this does: jq -c '.[]'")
	case !bytes.Contains(text, []byte("\n")) && bytes.Contains(trimmed, []byte("\r")):
		return errors.New("ends its lines in CR alone; let them end in LF")
	}
	return nil
}

// Check says what is wrong with a file as a whole, so that no line could be read from
// it. What cannot be looked at from here may be right.
func (k Kind) Check(path string) error {
	text, _, err := k.read(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := misshapen(text); err != nil {
		return fmt.Errorf("%s %w", path, err)
	}
	return nil
}

// none reports that a file with content has no correct line, which is hardly
// intended.
func (k Kind) none(first error) error {
	return fmt.Errorf("no line is a %s; expected UTF-8 with one JSON object a line (no UTF-16, no array, no indentation), or, if it is to have no %s, an empty line: %w", k.One, k.One, first)
}
