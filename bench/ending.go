package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
	"github.com/caddy-sso/caddy-sso/storage/memory"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

const (
	endingSessions = 4   // of each user
	endingUsers    = 400 // of whom sessions are ended, in turn by each row
	endingTimeout  = 30 * time.Minute

	// copiers are so many that what the disk takes is shared by as many values as
	// the file engine lets share it.
	copiers = 2000
)

// An ending is how long it takes to end something in a store with many sessions.
type ending struct {
	engine string
	delays
}

// ending fills each engine with the same sessions, and ends some of them.
func (r *run) ending(ctx context.Context, rep *report) error {
	ctx, cancel := context.WithTimeout(ctx, endingTimeout)
	defer cancel()
	progress("beginning %d sessions", r.stored)
	seeded := memory.New(memory.Options{Capacity: 8 * r.stored, Seekable: session.Seekable()})
	defer seeded.Close()
	begun, err := fill(ctx, serverOver(seeded), r.stored)
	if err != nil {
		return err
	}
	onDisk, err := file.Open(filepath.Join(r.dir, "ending.db"), file.Options{})
	if err != nil {
		return err
	}
	defer onDisk.Close()
	port, stop, err := r.startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	shared, err := redis.Open("redis://127.0.0.1:"+port, redis.Options{Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer shared.Close()
	for i, engine := range []struct {
		name  string
		store storage.Store
	}{{"memory", seeded}, {"redis", shared}, {"file", onDisk}} {
		if engine.store != seeded {
			progress("copying them to %s", engine.name)
			if err := copied(ctx, seeded, engine.store); err != nil {
				return fmt.Errorf("%s: %w", engine.name, err)
			}
		}
		rows, err := endIn(ctx, engine.name, engine.store, begun[i*endingUsers:]) // others than in the engines before
		if err != nil {
			return fmt.Errorf("%s: %w", engine.name, err)
		}
		rep.endings = append(rep.endings, rows...)
	}
	return nil
}

// copied puts all values of a store into another one, many at the same time.
func copied(ctx context.Context, from, to storage.Store) error {
	type value struct {
		key   string
		bytes []byte
	}
	values, failures := make(chan value, copiers), make([]error, copiers)
	var all sync.WaitGroup
	for worker := range copiers {
		all.Go(func() {
			for v := range values {
				if failures[worker] == nil {
					failures[worker] = to.Put(ctx, v.key, v.bytes, 24*time.Hour)
				}
			}
		})
	}
	err := from.Scan(ctx, "", func(key string, bytes []byte) error {
		values <- value{key, bytes}
		return nil
	})
	close(values)
	all.Wait()
	return errors.Join(err, anyOf(failures))
}

// anyOf is one of many errors, which are likely to be the same.
func anyOf(failures []error) error {
	i := slices.IndexFunc(failures, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return failures[i]
}

// endIn measures one engine, as a node does that has none of the sessions in memory.
func endIn(ctx context.Context, engine string, store storage.Store, begun []*session.Session) ([]ending, error) {
	server := serverOver(store)
	next := 0
	measured := func(what string, aim time.Duration, end func(one *session.Session) error) (ending, error) {
		e := ending{engine, delays{what: what, aim: aim}}
		for range endingUsers / 5 {
			one := begun[next]
			next++
			from := time.Now()
			err := end(one)
			e.add(time.Since(from), true)
			if err != nil {
				return e, fmt.Errorf("%s: %w", what, err)
			}
		}
		progress("%s: %s: p50 %s, p99 %s", engine, what, e.at(50), e.at(99))
		return e, nil
	}
	byID := func(id func(*session.Session) (id, user string)) func(one *session.Session) error {
		return func(one *session.Session) error {
			short, user := id(one)
			found, err := server.FindSession(ctx, short, user)
			if err == nil {
				_, err = server.EndSessionAndGrants(ctx, oauth.SignedIn{Session: found, User: found.User()}, "", "")
			}
			if engine == "redis" && errors.Is(err, session.ErrSearch) {
				return nil // which is the answer: it is searched for
			}
			return err
		}
	}
	const aim = 50 * time.Millisecond
	var rows []ending
	for _, row := range []struct {
		what string
		end  func(one *session.Session) error
	}{
		{"a user by name", endUsers(ctx, server, func(u session.User) string { return strings.ToUpper(u.Name) })},
		{"a user by subject", endUsers(ctx, server, func(u session.User) string { return u.Subject })},
		{"a session by its whole ID", byID(func(one *session.Session) (string, string) { return one.Key().Whole(), "" })},
		{"a session by the ID of a log, and the user", byID(func(one *session.Session) (string, string) { return one.ID(), one.User().Name })},
		{"a session by the ID of a log", byID(func(one *session.Session) (string, string) { return one.ID(), "" })},
	} {
		e, err := measured(row.what, aim, row.end)
		if err != nil {
			return nil, err
		}
		rows = append(rows, e)
	}
	search, err := searched(server)
	progress("%s: %s: %s", engine, search.what, search.at(50))
	return append(rows, ending{engine, search}), err
}

// endUsers ends all sessions of a user, who has a name.
func endUsers(ctx context.Context, server *oauth.Server, name func(session.User) string) func(one *session.Session) error {
	return func(one *session.Session) error {
		n, _, err := server.EndByName(ctx, name(one.User()))
		if err == nil && n != endingSessions {
			err = fmt.Errorf("%d sessions ended, not %d", n, endingSessions)
		}
		return err
	}
}

// searched is a search of the whole store, as it comes after the end of a user.
func searched(server *oauth.Server) (delays, error) {
	d := delays{what: "the search in the background"}
	searches := oauth.NewSearches(zap.NewNop)
	defer searches.Close()
	from := time.Now()
	search, err := searches.User(server, "nobody")
	if err != nil {
		return d, err
	}
	over, _, _, err := search.Wait(endingTimeout)
	d.add(time.Since(from), over)
	return d, err
}

func serverOver(store storage.Store) *oauth.Server {
	sessions := session.New(session.NewCache(store, session.CacheOptions{Capacity: 1}), session.Policy{})
	return &oauth.Server{Sessions: sessions, Grants: oauth.NewGrants(store, sessions), Store: store, Now: time.Now}
}

// fill begins n sessions, and returns one of each of some users.
func fill(ctx context.Context, server *oauth.Server, n int) ([]*session.Session, error) {
	ones, failures := make([]*session.Session, 3*endingUsers), make([]error, seeders)
	var all sync.WaitGroup
	for worker := range seeders {
		all.Go(func() {
			for i := worker; i < n/endingSessions; i += seeders {
				u := session.User{
					Subject: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Name: fmt.Sprintf("user%07d", i),
					Email: fmt.Sprintf("user%07d@example.com", i), Groups: []string{"players"}, Signin: "provider",
				}
				for range endingSessions {
					_, one, err := server.BeginSession(ctx, session.SignIn{User: u, Agent: "Mozilla/5.0 (X11; Linux x86_64)", From: "192.0.2.1"}, "")
					if err != nil {
						failures[worker] = err
						return
					}
					if i < len(ones) {
						ones[i] = one
					}
				}
			}
		})
	}
	all.Wait()
	return ones, anyOf(failures)
}

func writeEndings(b *strings.Builder, rows []ending, stored int) {
	fmt.Fprintf(b, "## Ending a user, or a session, of %d\n\n| engine | what | times | p50 ms | p99 ms | most ms |\n|---|---|---|---|---|---|\n", stored)
	for _, e := range rows {
		fmt.Fprintf(b, "| %s | %s | %d | %.2f | %.2f | %.2f |\n", e.engine, e.what, len(e.took), millis(e.at(50)), millis(e.at(99)), millis(e.at(100)))
	}
	fmt.Fprintf(b, "\nIn this process, over each engine, by what the admin API calls; each user has %d sessions, and no session is in memory. "+
		"By the ID of a log alone, Redis answers that the store is being searched.\n\n", endingSessions)
}
