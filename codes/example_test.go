package codes_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/codes"
)

// A code is bound to a client. A redemption by another client fails, and the code stays
// valid. A second redemption by the right client returns an error of its own type, so
// that the caller can end the grant.
func Example() {
	ctx := context.Background()
	c := codes.NewMemory(codes.Options{})
	code, err := c.Issue(ctx, codes.Record{Client: "launcher", Subject: "ada", Grant: "g1"}, codes.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}

	client := func(id string) func(*codes.Record) error {
		return func(r *codes.Record) error {
			if r.Client != id {
				return errors.New("the code was issued to another client")
			}
			return nil
		}
	}
	_, err = c.Redeem(ctx, code, client("forum"))
	fmt.Println(err)

	rec, err := c.Redeem(ctx, code, client("launcher"))
	fmt.Println(rec.Subject, err)

	_, err = c.Redeem(ctx, code, client("launcher"))
	if spent, ok := errors.AsType[*codes.SpentError](err); ok {
		fmt.Println("end the grant", spent.Grant)
	}
	// Output:
	// the code was issued to another client
	// ada <nil>
	// end the grant g1
}
