package limits

import (
	"context"
	"runtime"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
)

// MaxPerAddress bounds how many sign-ins from one address are checked at a time: at a
// provider for each method, by a password for all methods together. Every client can
// forge an answer of a provider, or guess a password. MaxWaitingPerAddress more may
// wait, because an office, or a server that signs users in, has one address.
const (
	MaxPerAddress        = 4
	MaxWaitingPerAddress = 32
)

// Turns decide when a password is checked, whether it is right or wrong. The zero value
// is ready.
type Turns struct{ Accounts, Addresses Queues }

// MaxWaitingPerAccount is about the number that can be checked within [LongestWait],
// if a hash takes half a second.
const MaxWaitingPerAccount = PlacesPerCore

// TurnsPerAddress is how many passwords of one address are checked at a time:
// about as many as there are cores, so that a client at another address
// waits for no more than one of them.
func TurnsPerAddress() int { return min(max(runtime.GOMAXPROCS(0), 2), MaxPerAddress) }

// TurnsPerAccount is one, because each attempt in progress may fail: of two right ones,
// one would be refused if one failure is left.
const TurnsPerAccount = 1

// Enter waits for a turn, which leave ends. It does not matter whether there is an
// account with the name. Browsers that know the account have turns of their own.
func (t *Turns) Enter(ctx context.Context, who Attempt) (leave func(), err error) {
	account, address := "name "+who.Names[len(who.Names)-1], attemptlimit.Network(who.Address)
	if who.Known() {
		account, address = "known "+who.Account, "known "+address
	}
	// The account comes first, so that a request that waits for it uses no place of
	// the address.
	leaveAccount, err := t.Accounts.Enter(ctx, account, TurnsPerAccount, MaxWaitingPerAccount)
	if err != nil {
		return nil, err
	}
	leaveAddress, err := t.Addresses.Enter(ctx, address, TurnsPerAddress(), MaxWaitingPerAddress)
	if err != nil {
		leaveAccount()
		return nil, err
	}
	return func() {
		leaveAddress()
		leaveAccount()
	}, nil
}
