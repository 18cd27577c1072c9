package username

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// TypedKey belongs to this process only: it is in no log and in no store.
var TypedKey = rand.Text()

// Logged returns the name for the log. An unknown name may be a password that was
// typed into the wrong field. The log has eight digits in its place, which are the
// same for the same name until Caddy starts again.
func Logged(name string, exists bool) string {
	switch {
	case exists:
		return plain(Printable(name))
	case name == "":
		return ""
	}
	h := hmac.New(sha256.New, []byte(TypedKey))
	h.Write([]byte(Spelled(name)))
	return hex.EncodeToString(h.Sum(nil)[:4])
}
