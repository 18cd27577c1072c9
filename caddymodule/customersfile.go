package caddymodule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/linefile"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// customers are the customer accounts of a file that is followed, and the ways to
// sign in that are theirs alone. Their providers are made and dropped while the
// configuration stays.
type customers struct {
	app   *App
	file  *linefile.File
	log   *zap.Logger
	store storage.Store // from Open on
	now   atomic.Pointer[customerSet]
}

// A customerSet is the customers of one version of the file. It does not change.
type customerSet struct {
	accounts map[string]*oauth.CustomerAccount // by code; without those that are disabled
	ways     map[string]customerWay            // theirs, by ID

	codes    map[string]string   // of all lines: the code, by its lower case
	ids      map[string]string   // of the providers of all lines, in lower case: whose each is
	disabled map[string][]string // the IDs of the providers of who is disabled, by code
}

// A customerWay is a way to sign in with what it was made of, so that it is made anew
// only where that has changed.
type customerWay struct {
	signin.Way
	whose string
	text  string
	sum   [sha256.Size]byte // of the secret
}

func newCustomerSet() *customerSet {
	return &customerSet{
		accounts: map[string]*oauth.CustomerAccount{}, ways: map[string]customerWay{},
		codes: map[string]string{}, ids: map[string]string{}, disabled: map[string][]string{},
	}
}

func newCustomers(a *App, path string) *customers {
	c := &customers{app: a, log: a.log.Named("license")}
	c.now.Store(newCustomerSet())
	c.file = linefile.Follow(customersKind, path, func() linefile.Draft {
		return &customersDraft{customers: c, before: c.now.Load(), set: newCustomerSet()}
	}, c.log)
	return c
}

// customersID is no way's: it has blanks. An error at the start names it.
const customersID = "of customers"

// ID implements [signin.Way].
func (c *customers) ID() string { return customersID }

// Current implements [signin.Way]: nobody signs in by what stands for others.
func (c *customers) Current(u session.User) (session.User, bool) { return u, false }

// ByID implements [signin.Changing].
func (c *customers) ByID(id string) signin.Way {
	if way, there := c.now.Load().ways[id]; there {
		return way.Way
	}
	return nil
}

// Account implements [oauth.Accounts].
func (c *customers) Account(code string) *oauth.CustomerAccount { return c.now.Load().accounts[code] }

// Open implements [signin.Opener]: it reads the file.
func (c *customers) Open(store storage.Store) error {
	c.store = store
	return c.file.Open()
}

// Watch implements [signin.Watcher]: it follows the file.
func (c *customers) Watch(ctx context.Context) {
	c.file.Watch(ctx)
	for _, way := range c.now.Load().ways {
		way.close()
	}
}

// close lets go of what a way has open. Sign-ins that are under way go on.
func (w customerWay) close() {
	if closing, ok := w.Way.(interface{ Close() }); ok {
		closing.Close()
	}
}

// customersDraft is a version of the file.
type customersDraft struct {
	*customers
	before, set *customerSet
	notes       []error // what is wrong, and costs no line
}

// Add implements [linefile.Draft].
func (d *customersDraft) Add(line []byte) (known bool, err error) {
	r, err := parseCustomer(line)
	if err != nil {
		return false, err
	}
	if err := d.add(&r); err != nil {
		return true, fmt.Errorf("customer %q: %w", r.Code, err)
	}
	return true, nil
}

// add adds all of a line, or nothing.
func (d *customersDraft) add(r *customerRecord) error {
	if err := d.checkNames(r); err != nil {
		return err
	}
	ways := make([]customerWay, 0, len(r.own))
	if !r.Disabled {
		for _, p := range r.own {
			way, err := d.way(r.Code, p)
			if err != nil {
				return fmt.Errorf("provider %q: %w", p.id, err)
			}
			ways = append(ways, way)
		}
	}
	d.set.codes[strings.ToLower(r.Code)] = r.Code
	for _, p := range r.own {
		d.set.ids[strings.ToLower(p.id)] = r.Code
	}
	if r.Disabled {
		d.set.disabled[r.Code] = r.providerIDs()
		return nil
	}
	for _, way := range ways {
		d.set.ways[way.ID()] = way
	}
	d.set.accounts[r.Code] = r.account()
	for _, product := range r.Products {
		if !d.app.licensing.licenses.HasProduct(product) {
			d.notes = append(d.notes, fmt.Errorf("customer %q: product %q is unknown; the customer does not have it until the Caddyfile does", r.Code, product))
		}
	}
	return nil
}

// checkNames refuses codes and IDs that others have, and ways to sign in that a line
// cannot name. Those that differ in case alone are hardly meant to be two.
func (d *customersDraft) checkNames(r *customerRecord) error {
	for _, c := range d.app.License.CustomerAccounts {
		if strings.EqualFold(c.Code, r.Code) {
			return fmt.Errorf("the Caddyfile has customer_account %s, which counts; remove one of them", c.Code)
		}
	}
	if other, twice := d.set.codes[strings.ToLower(r.Code)]; twice {
		return fmt.Errorf("an earlier line has %q, which counts; codes that differ in case alone cannot be told apart", other)
	}
	for _, p := range r.own {
		if whose, taken := d.set.ids[strings.ToLower(p.id)]; taken {
			return fmt.Errorf("provider %q is one of customer %q; give each an ID of its own", p.id, whose)
		}
		if slices.ContainsFunc(d.app.ways, func(w signin.Way) bool { return strings.EqualFold(w.ID(), p.id) }) {
			return fmt.Errorf("provider %q: the Caddyfile has a signin of this ID; choose another", p.id)
		}
	}
	for _, id := range r.Signin {
		if err := d.app.checkShared(id); err != nil {
			return err
		}
	}
	return nil
}

// checkShared says whether a customer of the file may sign in by a way of the
// Caddyfile. An outside provider there counts for every client, unless it is a
// customer's already: its users would get at more than the customer's products.
func (a *App) checkShared(id string) error {
	i := slices.IndexFunc(a.ways, func(w signin.Way) bool { return w.ID() == id && id != customersID })
	if i < 0 {
		return unknownWay(id)
	}
	if _, outside := a.ways[i].(signin.Redirecting); outside && !a.License.isCustomers(id) {
		return fmt.Errorf("signin %q is a provider of the Caddyfile that counts for every client; put it into providers of this line instead", id)
	}
	return nil
}

// way is a provider of the line: that of before, where it has not changed.
func (d *customersDraft) way(code string, p customerProvider) (customerWay, error) {
	before, there := d.before.ways[p.id]
	same := there && before.whose == code && before.text == p.text
	secret, err := readSecret(p.secret)
	if err != nil && same {
		d.notes = append(d.notes, fmt.Errorf("customer %q: provider %q: the secret cannot be read, and the one of before counts: %w", code, p.id, err))
		return before, nil
	}
	if err != nil {
		return customerWay{}, fmt.Errorf("secret: %w", err)
	}
	sum := sha256.Sum256([]byte(secret))
	if same && before.sum == sum {
		return before, nil
	}
	made, err := p.make(secret, d.log)
	if err != nil {
		return customerWay{}, err
	}
	if err := append(slices.Clone(d.app.ways), made).CheckLinks(); err != nil {
		return customerWay{}, err
	}
	if provider, ok := made.(*signin.Provider); ok && d.app.clients.UseAvatar() {
		provider.UseAvatar()
	}
	if opener, ok := made.(signin.Opener); ok {
		err = opener.Open(d.store)
	}
	return customerWay{Way: made, whose: code, text: p.text, sum: sum}, err
}

// Lost implements [linefile.Draft].
func (d *customersDraft) Lost() string {
	for folded, code := range d.before.codes {
		if _, there := d.set.codes[folded]; !there {
			return code
		}
	}
	return ""
}

// Commit implements [linefile.Draft].
func (d *customersDraft) Commit() {
	d.now.Store(d.set)
	for id, way := range d.before.ways {
		if d.set.ways[id].Way != way.Way {
			way.close()
		}
	}
	for i, note := range d.notes {
		if i == linefile.MaxProblems {
			d.log.Warn("more of the file of customers is wrong", zap.Int("times", len(d.notes)-i))
			break
		}
		d.log.Warn("something in the file of customers is wrong", zap.Error(note))
	}
}

// Interface guards
var (
	_ signin.Changing = (*customers)(nil)
	_ signin.Opener   = (*customers)(nil)
	_ signin.Watcher  = (*customers)(nil)
	_ oauth.Accounts  = (*customers)(nil)
)
