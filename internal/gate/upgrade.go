package gate

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// webSocket is the protocol that every gate accepts in an upgrade.
const webSocket = "websocket"

// CheckUpgrade refuses a value that is no protocol, and a protocol that carries
// requests, which no gate would see.
func CheckUpgrade(protocol string) error {
	name, version, versioned := strings.Cut(protocol, "/")
	if !isToken(name) || versioned && !isToken(version) {
		return fmt.Errorf("allow_upgrade %q: expected the name of a protocol, such as example or example/1.0 (RFC 9110 section 7.8)", protocol)
	}
	switch name = strings.ToLower(name); {
	case strings.HasPrefix(name, "h2"), name == "h3", name == "http", name == "tls":
		return errors.New("allow_upgrade " + protocol + ": requests inside of it would pass the gate unseen, with any identity; leave it out")
	}
	return nil
}

// isToken follows RFC 9110 section 5.6.2.
func isToken(s string) bool { return s != "" && strings.Trim(s, headerLetters+"!#$%&'*+.^_`|~") == "" }

// limitUpgrade removes the Upgrade header from a request, unless each protocol that it
// names is WebSocket or allowed. After an upgrade the backend gets everything that the
// client sends, and no gate sees it. It returns false for a tunnel (CONNECT), which
// cannot go on as a plain request.
func limitUpgrade(r *http.Request, allowed []string) bool {
	if lines, there := r.Header["Upgrade"]; there && !maySwitch(lines, allowed) {
		delete(r.Header, "Upgrade")
		disconnect(r.Header, isUpgrade)
	}
	return r.Method != http.MethodConnect || mayConnect(r, allowed)
}

// LimitUpgrade is limitUpgrade for routes without a gate, where nothing refuses a
// tunnel. It removes the body, in which a backend could find another request.
func LimitUpgrade(r *http.Request, allowed []string) {
	if !limitUpgrade(r, allowed) {
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	}
}

func isUpgrade(name string) bool { return strings.EqualFold(name, "Upgrade") }

// maySwitch reports whether the lines of a list of protocols name known ones alone
// (RFC 9110 section 7.8).
func maySwitch(lines, allowed []string) bool {
	named := false
	for _, line := range lines {
		for protocol := range strings.SplitSeq(line, ",") {
			if protocol = strings.Trim(protocol, " \t"); protocol == "" {
				continue
			}
			if named = true; !knows(protocol, allowed) {
				return false
			}
		}
	}
	return named
}

func knows(protocol string, allowed []string) bool {
	if equalASCII(protocol, webSocket) {
		return true
	}
	for _, a := range allowed {
		if equalASCII(protocol, a) {
			return true
		}
	}
	return false
}

// equalASCII compares without case. Letters beyond ASCII that fold to one of it
// take more bytes.
func equalASCII(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// mayConnect reports whether a CONNECT is one that asks for a known protocol (RFC
// 8441 section 4, RFC 9220 section 3). Caddy turns WebSocket, spelled so, into
// an upgrade of HTTP/1.1. Any other CONNECT it sends on with a body that has no
// framing, in which an HTTP/1.1 backend finds the client's own next request;
// over HTTP/2 it keeps the name of the protocol, with which it sends to HTTP/2
// backends alone.
func mayConnect(r *http.Request, allowed []string) bool {
	switch r.ProtoMajor {
	case 2:
		asked := r.Header[":protocol"]
		return len(asked) == 1 && (asked[0] == webSocket || !equalASCII(asked[0], webSocket) && knows(asked[0], allowed))
	case 3:
		return r.Proto == webSocket
	}
	return false
}

// isHTTP2Settings finds the settings of an upgrade to HTTP/2 in any spelling. A
// proxy sends them on where Connection does not name them.
func isHTTP2Settings(name string) bool { return isFolded(name, "http2-settings") }

// refuseTunnel answers a CONNECT.
func refuseTunnel(w http.ResponseWriter) {
	writeProblem(w, http.StatusNotImplemented, problem{
		Error: "invalid_request", Description: "This site opens no tunnel but a WebSocket.",
	})
}
