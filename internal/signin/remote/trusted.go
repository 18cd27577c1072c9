package remote

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// TrustedOptions are the settings of the operator's own sign-in page.
type TrustedOptions struct {
	ID   string
	Name string // on its button
	Icon string // as in [page.Provider]

	// URL is the sign-in page: https, or http on loopback.
	URL    string
	Secret string

	OwnSubjects bool   // users are known by the subjects that its server says
	Mark        string // as in [provider.ProviderOptions]

	Log *zap.Logger // nil: nothing is logged
}

const (
	ticketLifetime = time.Minute

	// ticketSkew is the maximum age of a request for a ticket, and the maximum clock
	// skew.
	ticketSkew = time.Minute
)

// Trusted signs in the users that the operator's own sign-in page has signed in. The
// browser is redirected there with a state. The server of that page requests a ticket
// for this state and its user, and redirects the browser back with both. A ticket is
// valid once, for a minute, for its state, which is bound to one browser.
type Trusted struct {
	o      TrustedOptions
	url    *url.URL
	secret signedhttp.Secret
	store  storage.Store
	groups userinfo.Groups
	wanted func() []string // the claims that gates name; nil: none
	subjects.Naming
}

// NewTrusted refuses options that cannot work, and the error says what is expected.
func NewTrusted(o TrustedOptions) (*Trusted, error) {
	if err := CheckTrustedURL(o.URL); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	secret, err := signedhttp.NewSecret(o.Secret)
	if err != nil {
		return nil, err
	}
	return &Trusted{
		o: o, url: u, secret: secret, groups: userinfo.Groups{Method: o.ID, Claim: "groups", Log: o.Log, Now: time.Now},
		Naming: subjects.Naming{Own: o.OwnSubjects, Kind: "way", Within: o.ID},
	}, nil
}

// CheckTrustedURL returns an error if the URL of a sign-in page is not valid.
func CheckTrustedURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("expected the URL of your sign-in page, such as https://www.game.example/sign-in")
	}
	if !oauth.KeepsSecrets(u) {
		return fmt.Errorf("%s://%s: expected https, or http on loopback (localhost, 127.0.0.1, [::1])", u.Scheme, u.Host)
	}
	return nil
}

// Format keeps the secret out of all printed forms.
func (*Trusted) Format(f fmt.State, verb rune) { signedhttp.Secret{}.Format(f, verb) }

// ReadClaims implements [signin.ClaimReader].
func (t *Trusted) ReadClaims(names func() []string) { t.wanted = names }

// ID implements [signin.Method].
func (t *Trusted) ID() string { return t.o.ID }

// Current implements [signin.Method]. Changes of a user after the sign-in are unknown
// here.
func (t *Trusted) Current(u session.User) (session.User, bool) {
	return u, subjects.HasMark(u, t.o.Mark)
}

// Label implements [signin.ProviderMethod].
func (t *Trusted) Label() (name, icon string) { return t.o.Name, t.o.Icon }

// Open implements [signin.Opener]: tickets are kept in the store.
func (t *Trusted) Open(store storage.Store) error {
	t.store = store
	return nil
}

// Start implements [signin.ProviderMethod].
func (t *Trusted) Start(_ context.Context, d signin.ProviderRequest) (string, error) {
	query := url.Values{"state": {d.State}}
	if d.LoginHint != "" {
		query.Set("login_hint", d.LoginHint)
	}
	switch {
	case !d.AuthAfter.IsZero():
		query.Set("prompt", "login")
	case d.SelectAccount:
		query.Set("prompt", "select_account")
	}
	return oauth.AppendQuery(t.url.String(), query.Encode()), nil
}

// A ticket is the stored value of one, under its hash.
type ticket struct {
	Version  int            `json:"v"`
	State    string         `json:"s"` // its hash
	AuthTime int64          `json:"a,omitempty"`
	User     map[string]any `json:"u"`
}

func (t *Trusted) key(kind, value string) string {
	return kind + ":" + hashed(t.o.ID+"\x00"+value)
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Issue keeps a ticket and returns its name.
func (t *Trusted) Issue(ctx context.Context, q TicketRequest) (string, error) {
	name := rand.Text()
	kept, err := records.Encode(records.JSON, ticket{
		Version: records.Version, State: hashed(q.State), AuthTime: q.AuthTime, User: q.User,
	}, nil)
	if err != nil {
		return "", fmt.Errorf("keeping a ticket: %w", err)
	}
	if err := t.store.Put(ctx, t.key("ticket", name), kept, ticketLifetime); err != nil {
		return "", fmt.Errorf("keeping a ticket: %w", err)
	}
	return name, nil
}

// Verify checks the signature of a request for a ticket.
func (t *Trusted) Verify(signature string, body []byte, now time.Time) error {
	return t.secret.Verify(signature, body, now, ticketSkew)
}

// CheckUser returns an error if the server's data of a user cannot be used.
func (t *Trusted) CheckUser(said map[string]any) error {
	u, err := userOf(t.o.ID, said, t.Naming, nil, nil)
	if err != nil || !t.Own {
		return err
	}
	if err := subjects.CheckOwn(u.Subject); err != nil {
		return fmt.Errorf("the user's subject cannot be taken as it is: %w", err)
	}
	return nil
}

// First reports whether a signed request was not received before.
func (t *Trusted) First(ctx context.Context, signature string) (bool, error) {
	first, err := t.store.CompareAndSwap(ctx, t.key("ticket-request", signature), nil, []byte{1}, 2*ticketSkew+sharedclock.BetweenNodes+time.Minute)
	if err != nil {
		return false, fmt.Errorf("marking a request for a ticket: %w", err)
	}
	return first, nil
}

// Finish implements [signin.ProviderMethod].
func (t *Trusted) Finish(ctx context.Context, d signin.ProviderRequest, answer url.Values) (session.User, error) {
	a, err := t.FinishSession(ctx, d, answer)
	return a.User, err
}

// FinishSession implements [signin.ProviderSessionMethod]: it trades a ticket for its
// user.
func (t *Trusted) FinishSession(ctx context.Context, d signin.ProviderRequest, answer url.Values) (signin.ProviderSignIn, error) {
	for name, values := range answer {
		if len(values) > 1 {
			return signin.ProviderSignIn{}, fmt.Errorf("%w: %q is there more than once", signin.ErrAnswer, userinfo.Excerpt(name))
		}
	}
	if code := answer.Get("error"); code != "" {
		return signin.ProviderSignIn{}, signin.AuthorizationError(code)
	}
	name := answer.Get("ticket")
	raw, there, err := t.store.Get(ctx, t.key("ticket", name))
	if err != nil {
		return signin.ProviderSignIn{}, fmt.Errorf("reading a ticket: %w", err)
	}
	kept := ticket{Version: records.Version} // which tickets once did not have
	if there {
		err = records.Decode(raw, &kept, &kept.Version)
	}
	switch {
	case errors.Is(err, records.ErrVersion):
		return signin.ProviderSignIn{}, fmt.Errorf("reading a ticket: %w", err)
	case !there || err != nil:
		return signin.ProviderSignIn{}, fmt.Errorf("%w: the ticket is unknown, was used, or is too old", signin.ErrAnswer)
	case kept.State != hashed(answer.Get("state")):
		return signin.ProviderSignIn{}, fmt.Errorf("%w: the ticket is for another state", signin.ErrAnswer)
	case !d.AuthAfter.IsZero() && time.Unix(kept.AuthTime, 0).Before(d.AuthAfter.Add(-ticketSkew)):
		return signin.ProviderSignIn{}, fmt.Errorf("%w: auth_time is missing, or from before", signin.ErrNotReauthenticated)
	}
	if _, first, err := t.store.Take(ctx, t.key("ticket", name)); err != nil {
		return signin.ProviderSignIn{}, fmt.Errorf("taking a ticket: %w", err)
	} else if !first {
		return signin.ProviderSignIn{}, fmt.Errorf("%w: the ticket was used", signin.ErrAnswer)
	}
	u, err := userOf(t.o.ID, kept.User, t.Naming, &t.groups, t.wanted)
	u.Mark = t.o.Mark
	a := signin.ProviderSignIn{User: u}
	if kept.AuthTime > 0 {
		a.AuthTime = time.Unix(kept.AuthTime, 0)
	}
	return a, err
}

// A TicketRequest is the request of the server of a trusted sign-in page.
type TicketRequest struct {
	State    string         `json:"state"`     // which its page got
	User     map[string]any `json:"user"`      // as a backend says it
	AuthTime int64          `json:"auth_time"` // Unix seconds: when the user proved who they are; 0: unknown
}
