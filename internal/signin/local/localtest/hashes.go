// Package localtest provides password hashes whose comparison takes no time, for tests.
package localtest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

// Hashes replaces the comparison of passwords: it knows the password of each hash,
// and records the comparisons.
type Hashes struct {
	mu        sync.Mutex
	Passwords map[string]string
	hashes    map[string]local.Hash // the first of each password
	compared  []string              // algorithm and cost
	Err       error
}

func (c *Hashes) Compare(hashed, plaintext []byte) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared = append(c.compared, string(hashed[:7]))
	password, known := c.Passwords[string(hashed)]
	return known && password == string(plaintext), c.Err
}

func (c *Hashes) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	compared := c.compared
	c.compared = nil
	return compared
}

// Encoded returns a bcrypt hash, or a text in that format.
func (c *Hashes) Encoded(cost int, password string) string {
	encoded := fmt.Sprintf("$2a$%02d$%053d", cost, len(c.Passwords)+1)
	c.Passwords[encoded] = password
	return encoded
}

// Hash returns a parsed hash like that of Encoded.
func (c *Hashes) Hash(t testing.TB, cost int, password string) local.Hash {
	h, err := local.ParseHash(c.Encoded(cost, password), local.Comparers{Bcrypt: c.Compare})
	if err != nil {
		t.Fatal(err)
	}
	if c.hashes == nil {
		c.hashes = map[string]local.Hash{}
	}
	if _, before := c.hashes[password]; !before {
		c.hashes[password] = h
	}
	return h
}

// Made is the first hash that was made of a password.
func (c *Hashes) Made(password string) local.Hash { return c.hashes[password] }
