package logthrottle

import (
	"regexp"
	"strings"
	"time"
)

// maxReasons bounds the reasons of one kind. Further reasons share one line. Clients
// can write a part of a reason, so there may be any number of them.
const maxReasons = 16

// Due counts one occurrence of a kind at time now, with the reason err. It returns
// the number of occurrences of this reason since its last line, including this one,
// or 0 if the next line is not due yet. No reason hides another.
func (k *ByKind) Due(kind string, err error, now time.Time) int {
	reason := Reason(err)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reasons == nil {
		k.reasons = make(map[string]map[string]*Throttle)
	}
	of := k.reasons[kind]
	if of == nil {
		of = make(map[string]*Throttle)
		k.reasons[kind] = of
	}
	if of[reason] == nil && len(of) >= maxReasons {
		for old, lines := range of {
			if lines.idle(now) {
				delete(of, old)
			}
		}
		if len(of) >= maxReasons {
			reason = "" // the shared line
		}
	}
	lines := of[reason]
	if lines == nil {
		lines = new(Throttle)
		of[reason] = lines
	}
	return lines.Due(now)
}

// idle reports whether nothing is left to report.
func (l *Throttle) idle(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.last) >= time.Minute
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// maxReason bounds a reason, in bytes.
const maxReason = 200

// Reason is the text of an error without its variable parts: quoted text, and words
// with four or more digits, such as ports, times and IDs.
func Reason(err error) string {
	if err == nil {
		return "none"
	}
	text := err.Error()
	text = quoted.ReplaceAllString(text[:min(len(text), 4*maxReason)], `"…"`)
	words := strings.Fields(text)
	for i, word := range words {
		digits := 0
		for _, c := range word {
			if c >= '0' && c <= '9' {
				digits++
			}
		}
		if digits >= 4 {
			words[i] = "…"
		}
	}
	text = strings.Join(words, " ")
	return text[:min(len(text), maxReason)]
}
