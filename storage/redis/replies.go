package redis

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Replies are the outstanding replies of a server on one connection. rueidis panics,
// and ends the whole Caddy process, if a reply arrives that no command waits for, and
// if some replies have an unexpected form. A connection with such a reply is closed
// before rueidis sees the reply.
type replies struct {
	sent, received frameReader

	mu      sync.Mutex
	due     []reply // guarded by mu: for each command in order
	next    int     // guarded by mu: index in due
	confirm int     // guarded by mu: number of channels of a SUBSCRIBE without confirmation
	broken  error   // guarded by mu: why the connection is refused; rueidis may read again after an error
}

// A reply is what a command returns, as far as rueidis depends on it.
type reply struct {
	is       replyKind
	channels int // of a SUBSCRIBE
}

type replyKind uint8

const (
	anyReply      replyKind = iota
	subscribed              // a push for each channel, or an error
	unsubscribed            // pushes, and then the PONG, or an error
	pong                    // to the PING that rueidis sends after UNSUBSCRIBE
	roleReply               // a non-empty array
	masterAddress           // an array of host and port
)

var errUnasked = errors.New("a reply without a command")

func newReplies() *replies {
	r := &replies{}
	r.sent.ended, r.received.ended = r.expect, r.check
	return r
}

// sending is called with the bytes that will be written next.
func (r *replies) sending(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.read(p)
}

// receiving is called with the bytes that were read. It returns an error if rueidis
// must not see them.
func (r *replies) receiving(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	if err := r.received.read(p); err != nil {
		r.broken = fmt.Errorf("the server does not follow the protocol of Redis: %w", err)
	}
	return r.broken
}

// expect records what a command will return.
func (r *replies) expect(command *frame) error {
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

// check handles a message in the same way as rueidis.
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
		return errors.New("the reply does not fit the command")
	case is == unsubscribed && isPong(message) && r.next < len(r.due):
		r.next++ // UNSUBSCRIBE itself returns only pushes
	}
	return nil
}

// isPong reports whether rueidis takes a message for the answer to a PING.
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
			return errors.New("a subscription without a command")
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

// eventWords are the numbers of words in events of a Sentinel that rueidis depends on.
var eventWords = map[string]int{"+sentinel": 4, "+switch-master": 5, "+reboot": 4}
