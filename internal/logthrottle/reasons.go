package logthrottle

import (
	"regexp"
	"strings"
	"time"
)

// maxReasons bounds the lines a minute of one kind: reasons beyond it share one.
// Others may have written a part of a reason, so there may be any number.
const maxReasons = 16

// Due counts one occasion of a kind at time now, whose reason is err. It returns how
// many there were for this reason since the last line about it, this one included,
// or 0 where it is too early for another: no reason hides another.
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
			reason = "" // which is no other's
		}
	}
	lines := of[reason]
	if lines == nil {
		lines = new(Throttle)
		of[reason] = lines
	}
	return lines.Due(now)
}

// idle says that nothing happened that a line would have to tell.
func (l *Throttle) idle(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.last) >= time.Minute
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// maxReason bounds a reason, in bytes.
const maxReason = 200

// Reason is the text of an error without what differs each time: what is quoted, and
// words with four digits or more, such as ports, times and IDs.
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
