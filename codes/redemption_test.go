package codes_test

import (
	"errors"
	"testing"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// Of two concurrent redemptions the spent code remembers the one that succeeded.
func TestASpentCodeRemembersTheRedemption(t *testing.T) {
	for name, c := range map[string]*codes.Codes{
		"in memory":    codes.NewMemory(codes.Options{}),
		"in the store": codes.NewStored(memory.New(memory.Options{}), codes.Options{}),
	} {
		t.Run(name, func(t *testing.T) {
			code, err := c.Issue(t.Context(), codes.Record{Client: "1", Grant: "g"}, codes.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			saying := func(what string) func(*codes.Record) error {
				return func(rec *codes.Record) error {
					if rec.Redemption != "" {
						t.Errorf("before its redemption a code has %q", rec.Redemption)
					}
					rec.Redemption = what
					return nil
				}
			}
			_, err = c.Redeem(t.Context(), code, func(rec *codes.Record) error {
				if _, err := c.Redeem(t.Context(), code, saying("first")); err != nil {
					t.Error(err)
				}
				return saying("second")(rec)
			})
			for range 2 {
				spent := (*codes.SpentError)(nil)
				if !errors.As(err, &spent) || spent.Redemption != "first" || spent.Grant != "g" || spent.Client != "1" {
					t.Errorf("%v: %+v", err, spent)
				}
				_, err = c.Redeem(t.Context(), code, saying("third"))
			}
		})
	}
}
