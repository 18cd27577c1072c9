package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/file"
)

// seeders is how many sessions are begun at the same time, so that they share
// what the disk takes.
const seeders = 256

// seed begins n sessions in the file that Caddy is about to open, with the
// product's own packages: signing in over HTTP would take a password hash for
// each. It writes their Cookie headers to the file at cookies.
func seed(ctx context.Context, db, cookies, issuer string, users []session.User, n int) (err error) {
	store, err := file.Open(db, file.Options{})
	if err != nil {
		return fmt.Errorf("seeding sessions: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cache := session.NewCache(store, session.CacheOptions{})
	defer cache.Close()
	sessions := session.New(cache, session.Policy{PerUser: session.MostPerUser})
	origin, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("seeding sessions: %w", err)
	}
	name := session.NewCookie("session", origin, "").Name

	lines, failures := make([]string, n), make([]error, seeders)
	var all sync.WaitGroup
	for worker := range seeders {
		all.Go(func() {
			for i := worker; i < n; i += seeders {
				token, _, err := sessions.Begin(ctx, session.SignIn{User: users[i%len(users)]})
				if err != nil {
					failures[worker] = err
					return
				}
				lines[i] = name + "=" + token.Encode()
			}
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("seeding sessions: %w", err)
	}
	return writeLines(cookies, lines)
}

func writeLines(path string, lines []string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the cookies: %w", err)
	}
	w := bufio.NewWriter(f)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	return errors.Join(w.Flush(), f.Close())
}
