package ssopin

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// methodID is the ID of the method. A configuration has it once.
const methodID = "pin"

// subjects is the namespace that subjects are derived in, so that they are never those of
// another method.
var subjects = uuid.MustParse("5d0c7f0e-6a5b-4f0e-9d43-0a4c9a2f6d11")

// longestWait is how long a sign-in waits for its turn.
const longestWait = 5 * time.Second

// A Method signs in the holders of badges. It never changes: a reload makes another one.
type Method struct {
	badges map[string]badge // by number
	decoy  []byte           // the hash that an unknown number is compared with
	turns  chan struct{}    // bounds how many hashes are computed at a time
}

type badge struct {
	hash []byte
	user session.User
}

// Read reads the badges: a number and a bcrypt hash a line. Empty lines, and lines that
// begin with #, count for nothing.
func Read(r io.Reader) (*Method, error) {
	m := &Method{badges: map[string]badge{}, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := m.add(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the badges: %w", err)
	}
	if len(m.badges) == 0 {
		return nil, errors.New("there is no badge; add a line with a number and a bcrypt hash of its PIN")
	}
	return m, nil
}

func (m *Method) add(fields []string) error {
	if len(fields) != 2 || strings.Trim(fields[0], "0123456789") != "" {
		return errors.New("expected the number of a badge, and the bcrypt hash of its PIN")
	}
	number, hash := fields[0], []byte(fields[1])
	cost, err := bcrypt.Cost(hash)
	if err != nil {
		return fmt.Errorf("badge %s: %w; make a hash with: caddy hash-password --algorithm bcrypt", number, err)
	}
	if m.decoy == nil {
		m.decoy = hash
	}
	// With another cost, the time would tell which numbers exist.
	if want, err := bcrypt.Cost(m.decoy); err != nil || cost != want {
		return fmt.Errorf("badge %s: the bcrypt cost is %d, but %d on the first line; use one cost for all", number, cost, want)
	}
	if _, twice := m.badges[number]; twice {
		return fmt.Errorf("duplicate badge %s; keep one of the lines", number)
	}
	mark := sha256.Sum256(hash)
	m.badges[number] = badge{hash, session.User{
		Subject:    uuid.NewSHA1(subjects, []byte(number)).String(),
		Name:       "Badge " + number,
		ProviderID: number,
		Signin:     methodID,
		Mark:       base64.RawURLEncoding.EncodeToString(mark[:12]),
	}}
	return nil
}

// ID implements [signin.Method].
func (*Method) ID() string { return methodID }

// Current implements [signin.Method]: a session ends with its badge, and with its PIN.
func (m *Method) Current(u session.User) (session.User, bool) {
	b, known := m.badges[u.ProviderID]
	return b.user, known && b.user.Mark == u.Mark
}

// Account implements [signin.PasswordMethod]. It leaves out the blanks that people type.
func (*Method) Account(name string) string { return strings.ReplaceAll(name, " ", "") }

// Check implements [signin.PasswordMethod].
func (m *Method) Check(ctx context.Context, c signin.Credentials) (session.User, error) {
	if err := m.wait(ctx, c.WaitUntil); err != nil {
		return session.User{}, err
	}
	defer func() { <-m.turns }()
	b, known := m.badges[m.Account(c.Name)]
	if !known {
		b.hash = m.decoy
	}
	// Compared for an unknown number, too, so that the time tells nothing.
	if err := bcrypt.CompareHashAndPassword(b.hash, []byte(c.Password)); err != nil || !known {
		if known && c.Whose != nil {
			c.Whose(b.user)
		}
		return session.User{}, signin.ErrWrong
	}
	return b.user, nil
}

// wait takes a turn, or returns [signin.ErrBusy].
func (m *Method) wait(ctx context.Context, until time.Time) error {
	if until.IsZero() {
		until = time.Now().Add(longestWait)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	select {
	case m.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return signin.ErrBusy
	}
}

// Interface guard
var _ signin.PasswordMethod = (*Method)(nil)
