package caddymodule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// customers are the customer accounts of a file that is followed, and the ways to
// sign in that are theirs alone. Their providers are made and dropped while the
// configuration stays.
type customers struct {
	app   *App
	file  *jsonlines.File
	log   *zap.Logger
	store storage.Store // from Open on
	now   atomic.Pointer[customerSet]
}

// A customerSet is the customers of one version of the file. It does not change.
type customerSet struct {
	accounts map[string]*oauth.CustomerAccount // by code; without those that are disabled
	methods  map[string]customerMethod         // theirs, by ID

	codes    map[string]string   // of all lines: the code, by its lower case
	ids      map[string]string   // of the providers of all lines, in lower case: whose each is
	disabled map[string][]string // the IDs of the providers of who is disabled, by code
}

// A customerMethod is a sign-in method with what it was made of, so that it is made anew
// only where that has changed.
type customerMethod struct {
	signin.Method
	whose string
	text  string
	sum   [sha256.Size]byte // of the secret
}

func newCustomerSet() *customerSet {
	return &customerSet{
		accounts: map[string]*oauth.CustomerAccount{}, methods: map[string]customerMethod{},
		codes: map[string]string{}, ids: map[string]string{}, disabled: map[string][]string{},
	}
}

func newCustomers(a *App, path string) *customers {
	c := &customers{app: a, log: a.log.Named("license")}
	c.now.Store(newCustomerSet())
	c.file = jsonlines.Follow(customersKind, path, func() jsonlines.Draft {
		return &customersDraft{customers: c, before: c.now.Load(), set: newCustomerSet()}
	}, c.log)
	return c
}

// customersID is no way's: it has blanks. An error at the start names it.
const customersID = "of customers"

// ID implements [signin.Method].
func (c *customers) ID() string { return customersID }

// Current implements [signin.Method]: nobody signs in by what stands for others.
func (c *customers) Current(u session.User) (session.User, bool) { return u, false }

// ByID implements [signin.DynamicMethods].
func (c *customers) ByID(id string) signin.Method {
	if method, there := c.now.Load().methods[id]; there {
		return method.Method
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
	for _, method := range c.now.Load().methods {
		method.close()
	}
}

// close lets go of what a way has open. Sign-ins that are under way go on.
func (w customerMethod) close() {
	if closing, ok := w.Method.(interface{ Close() }); ok {
		closing.Close()
	}
}

// customersDraft is a version of the file.
type customersDraft struct {
	*customers
	before, set *customerSet
	notes       []error // what is wrong, and costs no line
}

// Add implements [jsonlines.Draft].
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
	methods := make([]customerMethod, 0, len(r.own))
	if !r.Disabled {
		for _, p := range r.own {
			method, err := d.method(r.Code, p)
			if err != nil {
				return fmt.Errorf("provider %q: %w", p.id, err)
			}
			methods = append(methods, method)
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
	for _, method := range methods {
		d.set.methods[method.ID()] = method
	}
	d.set.accounts[r.Code] = r.account()
	for _, product := range r.Products {
		if !d.app.licensing.licenses.HasProduct(product) {
			d.notes = append(d.notes, fmt.Errorf("customer %q: product %q is unknown; the customer does not have it until the Caddyfile does", r.Code, product))
		}
	}
	return nil
}

// checkNames refuses codes and IDs that others have, and sign-in methods that a line
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
		if slices.ContainsFunc(d.app.methods, func(w signin.Method) bool { return strings.EqualFold(w.ID(), p.id) }) {
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
	i := slices.IndexFunc(a.methods, func(w signin.Method) bool { return w.ID() == id && id != customersID })
	if i < 0 {
		return unknownMethod(id)
	}
	if _, outside := a.methods[i].(signin.ProviderMethod); outside && !a.License.isCustomers(id) {
		return fmt.Errorf("signin %q is a provider of the Caddyfile that counts for every client; put it into providers of this line instead", id)
	}
	return nil
}

// method is a provider of the line: that of before, where it has not changed.
func (d *customersDraft) method(code string, p customerProvider) (customerMethod, error) {
	before, there := d.before.methods[p.id]
	same := there && before.whose == code && before.text == p.text
	secret, err := readSecret(p.secret)
	if err != nil && same {
		d.notes = append(d.notes, fmt.Errorf("customer %q: provider %q: the secret cannot be read, and the one of before counts: %w", code, p.id, err))
		return before, nil
	}
	if err != nil {
		return customerMethod{}, fmt.Errorf("secret: %w", err)
	}
	sum := sha256.Sum256([]byte(secret))
	if same && before.sum == sum {
		return before, nil
	}
	made, err := p.make(secret, d.log)
	if err != nil {
		return customerMethod{}, err
	}
	if err := append(slices.Clone(d.app.methods), made).CheckLinks(); err != nil {
		return customerMethod{}, err
	}
	if provider, ok := made.(*provider.Method); ok && d.app.clients.UseAvatar() {
		provider.UseAvatar()
	}
	if opener, ok := made.(signin.Opener); ok {
		err = opener.Open(d.store)
	}
	return customerMethod{Method: made, whose: code, text: p.text, sum: sum}, err
}

// Lost implements [jsonlines.Draft].
func (d *customersDraft) Lost() string {
	for folded, code := range d.before.codes {
		if _, there := d.set.codes[folded]; !there {
			return code
		}
	}
	return ""
}

// Commit implements [jsonlines.Draft].
func (d *customersDraft) Commit() {
	d.now.Store(d.set)
	for id, method := range d.before.methods {
		if d.set.methods[id].Method != method.Method {
			method.close()
		}
	}
	for i, note := range d.notes {
		if i == jsonlines.MaxProblems {
			d.log.Warn("more of the file of customers is wrong", zap.Int("times", len(d.notes)-i))
			break
		}
		d.log.Warn("something in the file of customers is wrong", zap.Error(note))
	}
}

// Interface guards
var (
	_ signin.DynamicMethods = (*customers)(nil)
	_ signin.Opener         = (*customers)(nil)
	_ signin.Watcher        = (*customers)(nil)
	_ oauth.Accounts        = (*customers)(nil)
)
