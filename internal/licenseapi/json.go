package licenseapi

import (
	"net/http"
	"strconv"
)

// appendString writes a JSON string as JavaScript's JSON.stringify does, since one
// client parses the body, stringifies it again, and verifies the signature over the
// result. It escapes only what JSON requires, so neither <, >, & nor U+2028. s must
// be UTF-8.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	return append(b, '"')
}

// A member is a member of a JSON object whose value is a string.
type member struct{ name, value string }

func appendObject(b []byte, members ...member) []byte {
	b = append(b, '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, m.name), ':')
		b = appendString(b, m.value)
	}
	return append(b, '}')
}

// writeBody sends JSON without a newline at its end: a signature is over exactly these
// bytes, which httpapi.WriteJSON would encode in another way.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the client went away
}
