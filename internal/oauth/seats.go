package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// Admit prepares a user for licensed software: it takes a seat, and provisions the
// license user at the vendor's backend. For the same session again, it changes
// nothing.
func (s *Server) Admit(ctx context.Context, r *LicenseRequest, in SignedIn, from Origin) *Error {
	if refusal := s.takeSeat(ctx, r.Product, in, from); refusal != nil {
		return refusal
	}
	return s.provision(ctx, r, in, from)
}

// SeatsTaken returns the live sessions of a user that have a seat for a product.
func (s *Server) SeatsTaken(ctx context.Context, p *Product, live []*session.Session) ([]session.Key, error) {
	if len(live) == 0 {
		return nil, nil
	}
	lists, err := s.seatLists(ctx, p, live, "")
	if err != nil {
		return nil, err
	}
	taken := liveSeats(live, lists...)
	if !p.Seats.Deny { // the earlier sessions are about to end
		taken = taken[max(len(taken)-p.Seats.Limit, 0):]
	}
	return taken, nil
}

// seatLists returns the seat lists of a user with these sessions, except the list of
// one subject.
func (s *Server) seatLists(ctx context.Context, p *Product, live []*session.Session, but string) ([][]byte, error) {
	var lists [][]byte
	read := []string{but}
	for _, sess := range live {
		subject := sess.User().Subject
		if slices.Contains(read, subject) {
			continue
		}
		list, _, err := s.Store.Get(ctx, seatsKey(p, subject))
		if err != nil {
			return nil, fmt.Errorf("listing seats: %w", err)
		}
		read, lists = append(read, subject), append(lists, list)
	}
	return lists, nil
}

// seatsKey ends with a subject, which has no colons, since a code may have some.
func seatsKey(p *Product, subject string) string {
	return "seats:" + p.Code + ":" + url.QueryEscape(subject)
}

// takeSeat gives a session one of its user's seats for a product.
func (s *Server) takeSeat(ctx context.Context, p *Product, in SignedIn, from Origin) *Error {
	if p.Seats.Limit == 0 {
		return nil
	}
	var live []*session.Session
	var evicted []session.Key
	// The whole lifetime of a session, not the rest of this one's, since younger
	// sessions are on the list, too.
	keep := in.Session.Expires().Sub(in.Session.Begun()) + time.Hour
	err := storage.Update(ctx, s.Store, seatsKey(p, in.User.Subject), keep, func(stored []byte) (next []byte, changed bool, err error) {
		evicted = nil
		// After the list, so that an entry without a live session has ended.
		if live, err = s.LiveSessions(ctx, in); err != nil {
			return nil, false, err
		}
		lists, err := s.seatLists(ctx, p, live, in.User.Subject)
		if err != nil {
			return nil, false, err
		}
		taken := liveSeats(live, append(lists, stored)...)
		seated := slices.Contains(taken, in.Session.Key())
		if p.Seats.Deny && !seated && len(taken) >= p.Seats.Limit {
			return nil, false, errNoSeat
		}
		if !seated {
			taken = append(taken, in.Session.Key())
		}
		if !p.Seats.Deny {
			// They stay on the list until they have ended. If that fails now, the
			// next request ends them.
			evicted = taken[:max(len(taken)-p.Seats.Limit, 0)]
		}
		if slices.Contains(evicted, in.Session.Key()) { // another request is ending it
			return nil, false, errNoSeat
		}
		return joinKeys(taken), !seated, nil
	})
	if errors.Is(err, errNoSeat) {
		s.Audit.Record(Event{What: SeatDenied, User: in.User, Client: p.Client, Session: in.Session, From: from, Why: "product " + p.Code})
		return &Error{Kind: NoSeat, Description: fmt.Sprintf("All of your %d sessions for this product are in use.", p.Seats.Limit)}
	}
	if err != nil {
		return Unavailable(fmt.Errorf("taking a seat: %w", err))
	}
	return s.evict(ctx, p, in, live, evicted, from)
}

var errNoSeat = errors.New("no seat is free")

// evict ends the sessions that lost their seats.
func (s *Server) evict(ctx context.Context, p *Product, in SignedIn, live []*session.Session, evicted []session.Key, from Origin) *Error {
	for _, key := range evicted {
		i := slices.IndexFunc(live, func(sess *session.Session) bool { return sess.Key() == key })
		if err := s.Sessions.End(ctx, key); err != nil {
			return Unavailable(fmt.Errorf("ending the session of a seat: %w", err))
		}
		s.Audit.Record(Event{What: SessionEnded, User: in.User, Client: p.Client, Session: live[i], From: from, Why: "a newer session took its seat for product " + p.Code})
	}
	return nil
}

// liveSeats returns the live sessions on the lists, the oldest seat of each list first.
func liveSeats(live []*session.Session, lists ...[]byte) []session.Key {
	var keys []session.Key
	for _, list := range lists {
		for chunk := range slices.Chunk(list, len(session.Key{})) {
			if len(chunk) != len(session.Key{}) {
				continue
			}
			key := session.Key(chunk)
			if !slices.Contains(keys, key) && slices.ContainsFunc(live, func(sess *session.Session) bool { return sess.Key() == key }) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func joinKeys(keys []session.Key) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		b.Write(k[:])
	}
	return b.Bytes()
}
