package session_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// The value of the cookie is the only copy of the token: the store has its hash.
func Example() {
	ctx := context.Background()
	store := memory.New(memory.Options{})
	defer store.Close()
	cache := session.NewCache(store, session.CacheOptions{})
	defer cache.Close()
	sessions := session.New(cache, session.Policy{})

	token, _, err := sessions.Begin(ctx, session.SignIn{User: session.User{Subject: "5e7d…", Name: "ada"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	cookie := token.Encode()

	s, err := sessions.Check(ctx, cookie)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.User().Name)

	if err := sessions.End(ctx, s.Key()); err != nil {
		fmt.Println(err)
		return
	}
	_, err = sessions.Check(ctx, cookie)
	fmt.Println(errors.Is(err, session.ErrNone))
	// Output:
	// ada
	// true
}
