// Package customers follows a file of customer accounts of the License API: one JSON
// object a line, with the sign-in methods that belong only to that customer.
package customers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// File has the customer accounts of a watched file, and the sign-in methods that
// belong only to them. Their providers are added and removed while the configuration
// stays.
type File struct {
	Options
	file  *jsonlines.File
	store storage.Store // from Open on
	now   atomic.Pointer[customerSet]
}

// Options are the file of customers, and the data to check its lines.
type Options struct {
	Path string
	Log  *zap.Logger

	// Accounts are the codes of the customer accounts in the Caddyfile, which win.
	Accounts []string

	// Methods are the sign-in methods of the Caddyfile. CheckMethod reports whether a
	// customer of the file may sign in by one of them.
	Methods     func() methods.List
	CheckMethod func(id string) error

	// HasProduct reports whether the Caddyfile has a product.
	HasProduct func(code string) bool

	// UseAvatar is set if tokens of a client contain the user's avatar.
	UseAvatar bool

	// ReadClaims has a method keep the claims that gates name.
	ReadClaims func(signin.Method)
}

// A customerSet is the customers of one version of the file. It does not change.
type customerSet struct {
	accounts map[string]*oauth.CustomerAccount // by code; without those that are disabled
	methods  map[string]customerMethod         // theirs, by ID

	codes    map[string]string   // of all lines: the code, by its lower case
	ids      map[string]string   // of the providers of all lines, in lower case: whose each is
	disabled map[string][]string // the IDs of the providers of disabled customers, by code
}

// A customerMethod is a sign-in method and its settings. It is created again only if
// these have changed.
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

// NewCustomers follows a file of customers, from Open on.
func NewCustomers(o Options) *File {
	c := &File{Options: o}
	c.now.Store(newCustomerSet())
	c.file = jsonlines.Follow(Kind, o.Path, func() jsonlines.Draft {
		return &customersDraft{File: c, before: c.now.Load(), set: newCustomerSet()}
	}, c.Log)
	return c
}

// ID cannot be that of a sign-in method, since it has blanks. An error at the start
// shows it.
const ID = "of customers"

// ID implements [signin.Method].
func (c *File) ID() string { return ID }

// Current implements [signin.Method]: no user signs in by the group of methods itself.
func (c *File) Current(u session.User) (session.User, bool) { return u, false }

// ByID implements [signin.DynamicMethods].
func (c *File) ByID(id string) signin.Method {
	if method, there := c.now.Load().methods[id]; there {
		return method.Method
	}
	return nil
}

// Account implements [oauth.Accounts].
func (c *File) Account(code string) *oauth.CustomerAccount { return c.now.Load().accounts[code] }

// Open implements [signin.Opener]: it reads the file.
func (c *File) Open(store storage.Store) error {
	c.store = store
	return c.file.Open()
}

// Look reads the file if it has changed. Watch does that all the time.
func (c *File) Look() { c.file.Look() }

// Watch implements [signin.Watcher]: it follows the file.
func (c *File) Watch(ctx context.Context) {
	c.file.Watch(ctx)
	for _, method := range c.now.Load().methods {
		method.close()
	}
}

// close closes the connections of a method. Sign-ins that have begun go on.
func (w customerMethod) close() {
	if closing, ok := w.Method.(interface{ Close() }); ok {
		closing.Close()
	}
}

// customersDraft is a version of the file.
type customersDraft struct {
	*File
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
func (d *customersDraft) add(r *Record) error {
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
	d.set.accounts[r.Code] = r.Account()
	for _, product := range r.Products {
		if !d.HasProduct(product) {
			d.notes = append(d.notes, fmt.Errorf("customer %q: product %q is unknown; add it to the Caddyfile", r.Code, product))
		}
	}
	return nil
}

// checkNames refuses codes and IDs that others have, and sign-in methods that a line
// cannot name. Codes and IDs are compared without case.
func (d *customersDraft) checkNames(r *Record) error {
	for _, code := range d.Accounts {
		if strings.EqualFold(code, r.Code) {
			return fmt.Errorf("the Caddyfile has customer_account %s, which is used; remove one of the two", code)
		}
	}
	if other, twice := d.set.codes[strings.ToLower(r.Code)]; twice {
		return fmt.Errorf("an earlier line has %q, which is used; codes are compared without case: give each customer a code of its own", other)
	}
	for _, p := range r.own {
		if whose, taken := d.set.ids[strings.ToLower(p.id)]; taken {
			return fmt.Errorf("provider %q belongs to customer %q already; give each provider an ID of its own", p.id, whose)
		}
		if slices.ContainsFunc(d.Methods(), func(w signin.Method) bool { return strings.EqualFold(w.ID(), p.id) }) {
			return fmt.Errorf("provider %q: the Caddyfile has a signin of this ID; choose another", p.id)
		}
	}
	for _, id := range r.Signin {
		if err := d.CheckMethod(id); err != nil {
			return err
		}
	}
	return nil
}

// method returns a provider of the line: the old one, if it has not changed.
func (d *customersDraft) method(code string, p customerProvider) (customerMethod, error) {
	before, there := d.before.methods[p.id]
	same := there && before.whose == code && before.text == p.text
	secret, err := secrets.Read(p.secret)
	if err != nil && same {
		d.notes = append(d.notes, fmt.Errorf("customer %q: provider %q: the secret cannot be read, so the last one is used: %w", code, p.id, err))
		return before, nil
	}
	if err != nil {
		return customerMethod{}, fmt.Errorf("secret: %w", err)
	}
	sum := sha256.Sum256([]byte(secret))
	if same && before.sum == sum {
		return before, nil
	}
	made, err := p.make(secret, d.Log)
	if err != nil {
		return customerMethod{}, err
	}
	if err := append(slices.Clone(d.Methods()), made).CheckLinks(); err != nil {
		return customerMethod{}, err
	}
	if provider, ok := made.(*provider.Method); ok && d.UseAvatar {
		provider.UseAvatar()
	}
	if d.ReadClaims != nil {
		d.ReadClaims(made)
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
			d.Log.Warn("the file of customers has more errors", zap.Int("times", len(d.notes)-i))
			break
		}
		d.Log.Warn("the file of customers has an error", zap.Error(note))
	}
}

// Interface guards
var (
	_ signin.DynamicMethods = (*File)(nil)
	_ signin.Opener         = (*File)(nil)
	_ signin.Watcher        = (*File)(nil)
	_ oauth.Accounts        = (*File)(nil)
)
