package gate

import (
	"bytes"
	"encoding/hex"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// The encodings of a form (HTML, section 4.10.21.8).
const (
	urlEncoded = "application/x-www-form-urlencoded"
	multiPart  = "multipart/form-data"
	plainText  = "text/plain"
)

// parseForm reads a form as browsers send them, and as this one will send it
// again: with the same fields in the same order, byte for byte. It returns false
// for anything that would come out differently.
func parseForm(contentType string, body []byte) (f page.KeptForm, ok bool) {
	var params map[string]string
	var err error
	if f.Type, params, err = mime.ParseMediaType(contentType); err != nil {
		return f, false
	}
	switch {
	case f.Type == urlEncoded && len(params) == 0:
		f.Fields, ok = urlEncodedFields(body)
	case f.Type == plainText && len(params) == 0:
		f.Fields, ok = plainFields(body)
	case f.Type == multiPart && len(params) == 1:
		f.Fields, ok = multipartFields(body, params["boundary"])
	}
	f.Charset = charsetOf(f.Fields)
	return f, ok
}

// charsetOf returns an encoding in which the bytes of all fields are text that
// encodes to the same bytes: UTF-8, or windows-1252, in which any bytes are (WHATWG
// Encoding, section 9.1).
func charsetOf(fields []page.KeptField) string {
	for _, f := range fields {
		if !utf8.Valid(f.Name) || !utf8.Valid(f.FileName) || !f.File && !utf8.Valid(f.Value) {
			return "windows-1252"
		}
	}
	return "utf-8"
}

// urlEncodedFields reads what serializing by the URL standard, section 5.2, gives.
func urlEncodedFields(body []byte) ([]page.KeptField, bool) {
	if len(body) == 0 {
		return nil, true
	}
	var fields []page.KeptField
	var again []byte
	for i, pair := range strings.Split(string(body), "&") {
		escapedName, escapedValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escapedName)
		if err != nil {
			return nil, false
		}
		value, err := url.QueryUnescape(escapedValue)
		if err != nil {
			return nil, false
		}
		if i > 0 {
			again = append(again, '&')
		}
		again = appendEscaped(again, name)
		again = append(again, '=')
		again = appendEscaped(again, value)
		fields = append(fields, page.KeptField{Name: []byte(name), Value: []byte(value)})
	}
	return fields, bytes.Equal(again, body)
}

func appendEscaped(b []byte, s string) []byte {
	for _, c := range normalized([]byte(s)) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '*', c == '-', c == '.', c == '_':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%')
			b = append(b, strings.ToUpper(hex.EncodeToString([]byte{c}))...)
		}
	}
	return b
}

// normalized has every line break as browsers send it in names and values.
func normalized(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, '\n') < 0 {
		return b
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func isNormalized(b []byte) bool { return bytes.Equal(normalized(b), b) }

// plainFields reads a line for each field. Lines without = belong to the value
// before. Other fields may have meant the same, which no reader can tell either.
func plainFields(body []byte) ([]page.KeptField, bool) {
	if len(body) == 0 {
		return nil, true
	}
	text, ends := bytes.CutSuffix(body, []byte("\r\n"))
	if !ends || !isNormalized(body) {
		return nil, false
	}
	var fields []page.KeptField
	for line := range bytes.SplitSeq(text, []byte("\r\n")) {
		name, value, begins := bytes.Cut(line, []byte("="))
		switch {
		case begins:
			fields = append(fields, page.KeptField{Name: name, Value: bytes.Clone(value)})
		case len(fields) == 0:
			return nil, false
		default:
			last := &fields[len(fields)-1]
			last.Value = append(append(last.Value, "\r\n"...), line...)
		}
	}
	return fields, true
}

// multipartFields reads parts with the headers that browsers write, and no
// others (HTML, section 4.10.21.7). Names stay as they were escaped: escaping
// changes none of what it gave.
func multipartFields(body []byte, boundary string) ([]page.KeptField, bool) {
	delimiter := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(body, delimiter)
	if boundary == "" || !ok {
		return nil, false
	}
	var fields []page.KeptField
	for string(rest) != "--\r\n" {
		if rest, ok = bytes.CutPrefix(rest, []byte("\r\n")); !ok {
			return nil, false
		}
		var part []byte
		if part, rest, ok = bytes.Cut(rest, append([]byte("\r\n"), delimiter...)); !ok {
			return nil, false
		}
		f, ok := multipartField(part)
		if !ok {
			return nil, false
		}
		fields = append(fields, f)
	}
	return fields, true
}

func multipartField(part []byte) (f page.KeptField, ok bool) {
	header, value, found := bytes.Cut(part, []byte("\r\n\r\n"))
	if !found {
		return f, false
	}
	f.Value = value
	disposition, contentType, typed := bytes.Cut(header, []byte("\r\n"))
	quoted, ok := bytes.CutPrefix(disposition, []byte(`Content-Disposition: form-data; name="`))
	if !ok {
		return f, false
	}
	if quoted, ok = bytes.CutSuffix(quoted, []byte(`"`)); !ok {
		return f, false
	}
	f.Name, f.FileName, f.File = bytes.Cut(quoted, []byte(`"; filename="`))
	if f.File != typed || bytes.ContainsAny(f.Name, "\"\r\n") || bytes.ContainsAny(f.FileName, "\"\r\n") {
		return f, false
	}
	if !typed {
		return f, isNormalized(value)
	}
	media, ok := bytes.CutPrefix(contentType, []byte("Content-Type: "))
	f.FileType = string(media)
	return f, ok && isFileType(f.FileType)
}

// isFileType reports whether a file can be made that has the type (File API,
// section 3.1).
func isFileType(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] >= 'A' && s[i] <= 'Z' {
			return false
		}
	}
	return s != ""
}
