package redis

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Replies are what a server owes on one connection. rueidis panics, and all of
// Caddy with it, at a reply that no command is waiting for, and at some that are
// not what the command returns: those end the connection before it sees them.
type replies struct {
	sent, received frameReader

	mu      sync.Mutex
	due     []reply // guarded by mu: of each command, in their order
	next    int     // guarded by mu: of due
	confirm int     // guarded by mu: how many channels of a SUBSCRIBE are still to be confirmed
	broken  error   // guarded by mu: why nothing more is let through; rueidis may read on after an error
}

// A reply says what a command returns, as far as rueidis relies on it.
type reply struct {
	is       replyKind
	channels int // of a SUBSCRIBE
}

type replyKind uint8

const (
	anyReply      replyKind = iota
	subscribed              // a push for each channel, or an error
	unsubscribed            // pushes, and then the PONG, or an error
	pong                    // of the PING that rueidis sends after UNSUBSCRIBE
	roleReply               // an array that is not empty
	masterAddress           // an array of host and port
)

var errUnasked = errors.New("a reply that no command asked for")

func newReplies() *replies {
	r := &replies{}
	r.sent.ended, r.received.ended = r.note, r.check
	return r
}

// sending is told what will be written next.
func (r *replies) sending(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.read(p)
}

// receiving is told what was read, and says whether rueidis may have it.
func (r *replies) receiving(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	if err := r.received.read(p); err != nil {
		r.broken = fmt.Errorf("what answers breaks the protocol of Redis: %w", err)
	}
	return r.broken
}

// note adds what a command returns.
func (r *replies) note(command *frame) error {
	if r.next == len(r.due) {
		r.due, r.next = r.due[:0], 0
	}
	var is reply
	switch name := command.words[0]; {
	case bytes.HasSuffix(name, []byte("UNSUBSCRIBE")):
		is.is = unsubscribed
	case bytes.HasSuffix(name, []byte("SUBSCRIBE")):
		is.is, is.channels = subscribed, command.elements-1
	case string(name) == "PING" && r.next < len(r.due) && r.due[len(r.due)-1].is == unsubscribed:
		is.is = pong
	case string(name) == "ROLE":
		is.is = roleReply
	case string(name) == "SENTINEL" && strings.EqualFold(string(command.words[1]), "GET-MASTER-ADDR-BY-NAME"):
		is.is = masterAddress
	}
	r.due = append(r.due, is)
	return nil
}

// check does as rueidis does with a message.
func (r *replies) check(message *frame) error {
	if message.kind == '>' {
		return r.checkPush(message)
	}
	if r.next == len(r.due) {
		if message.kind == '-' {
			return fmt.Errorf("%w: %q", errUnasked, message.words[0])
		}
		return errUnasked
	}
	is := r.due[r.next].is
	r.next++
	oneLine, text := message.kind == '+' || message.kind == '-', string(message.words[0])
	isArray := message.kind == '*' || message.kind == '~'
	switch {
	case is == subscribed && (message.kind != '-' || text == "QUEUED"),
		is == unsubscribed && (!oneLine || text == "QUEUED"),
		is == pong && (!oneLine || !isPong(message)),
		is == roleReply && isArray && message.elements < 1,
		is == masterAddress && isArray && message.elements < 2:
		return errors.New("a reply that is not what the command returns")
	case is == unsubscribed && isPong(message) && r.next < len(r.due):
		r.next++ // the pushes were all that UNSUBSCRIBE itself returned
	}
	return nil
}

// isPong is what rueidis takes for the answer to a PING.
func isPong(message *frame) bool {
	text := message.words[0]
	return string(text) == "PONG" || message.kind == '-' &&
		(bytes.HasPrefix(text, []byte("LOADING")) || bytes.HasPrefix(text, []byte("BUSY")) || bytes.Contains(text, []byte("'ping'")))
}

func (r *replies) checkPush(push *frame) error {
	if push.elements < 2 {
		return nil
	}
	switch string(push.words[0]) {
	case "subscribe", "psubscribe", "ssubscribe":
		if r.confirm > 0 {
			r.confirm--
			return nil
		}
		if r.next == len(r.due) || r.due[r.next].is != subscribed {
			return errors.New("a subscription that no command asked for")
		}
		r.confirm = r.due[r.next].channels - 1
		r.next++
	case "unsubscribe", "punsubscribe", "sunsubscribe":
		r.confirm = max(0, r.confirm-1)
	case "message":
		if words := bytes.Count(push.words[2], []byte(" ")) + 1; words < eventWords[string(push.words[1])] {
			return fmt.Errorf("an event %q of %d words", push.words[1], words)
		}
	}
	return nil
}

// eventWords are how many words of a Sentinel's event rueidis takes for granted.
var eventWords = map[string]int{"+sentinel": 4, "+switch-master": 5, "+reboot": 4}
