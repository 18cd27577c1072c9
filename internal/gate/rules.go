package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
)

// Rules say which signed-in users may pass, beside the groups of [Policy]. They decide
// from what is in memory, and allocate nothing for a user who may pass. The zero value
// allows every user.
type Rules struct {
	// Require are the rules that all have to hold.
	Require []Rule

	// RequireAny are sets of rules. One rule of each set has to hold.
	RequireAny [][]Rule

	// Deny are the rules of which none may hold. What such a rule needs, and could not
	// be read in full, denies.
	Deny []Rule

	// Local are the IDs of the sign-in methods whose users are configured here, so that
	// their names are unique and everything about them is known.
	Local []string
}

// A Kind is what a rule is about.
type Kind string

// The kinds of rules, as they stand in a Caddyfile.
const (
	KindUser        Kind = "user"         // names of local users, or subjects that are UUIDs
	KindGroup       Kind = "group"        // groups
	KindEmail       Kind = "email"        // e-mail addresses
	KindEmailDomain Kind = "email_domain" // what stands after the @ of an e-mail address
	KindClaim       Kind = "claim"        // values of a claim of a provider
	KindSignin      Kind = "signin"       // IDs of sign-in methods
)

// A Rule holds for a user who has one of its values.
type Rule struct {
	kind   Kind
	claim  string   // the name of the claim, of KindClaim
	values []string // in the form in which they are compared
	names  []string // of KindUser: the canonical names; values are the subjects
	shown  []string // the values as they were configured
}

// Kind returns what the rule is about.
func (r *Rule) Kind() Kind { return r.kind }

// Claim returns the name of the claim that the rule reads; "": none.
func (r *Rule) Claim() string { return r.claim }

// Values returns the values as they were configured.
func (r *Rule) Values() []string { return r.shown }

// OnlyNames reports whether the rule names users by their names alone.
func (r *Rule) OnlyNames() bool { return r.kind == KindUser && len(r.values) == 0 }

// NewRule makes a rule. Of KindClaim, claim is the name of the claim.
func NewRule(kind Kind, claim string, values []string) (Rule, error) {
	r := Rule{kind: kind, claim: claim, shown: values}
	if len(values) == 0 {
		return Rule{}, fmt.Errorf("%s: expected at least one value", r.subject())
	}
	if kind == KindClaim {
		if _, kept := (session.Claims{}).With(claim).Values(claim); !kept {
			return Rule{}, fmt.Errorf("claim %q: expected the name of a claim, of at most %d bytes without control characters", claim, session.MaxClaimName)
		}
		if claim == session.ClaimEmail || claim == session.ClaimGroups {
			return Rule{}, fmt.Errorf("claim %s: this claim has a rule of its own; use email or group", claim)
		}
	}
	for _, v := range values {
		if err := r.add(v); err != nil {
			return Rule{}, err
		}
	}
	return r, nil
}

func (r *Rule) add(value string) error {
	if value == "" || len(value) > session.MaxClaimSize || !oauth.CleanText(value) {
		return fmt.Errorf("%s: expected a value without control characters, not %q", r.subject(), value)
	}
	switch r.kind {
	case KindGroup, KindClaim, KindSignin:
		r.values = append(r.values, value)
	case KindUser:
		return r.addUser(value)
	case KindEmail:
		canonical, ok := canonicalEmail(value)
		if _, err := username.CanonicalEmail(value); err != nil || !ok {
			return fmt.Errorf("email %q is no address such as ann@studio.example", value)
		}
		r.values = append(r.values, canonical)
	case KindEmailDomain:
		canonical, ok := canonicalDomain(value)
		if !ok || strings.ContainsAny(value, "@*/:") {
			return fmt.Errorf("email_domain %q is no domain; write it as in an address, without @, such as studio.example", value)
		}
		r.values = append(r.values, canonical)
	default:
		return fmt.Errorf("%s is no kind of rule; expected user, group, email, email_domain, claim or signin", r.kind)
	}
	return nil
}

// addUser adds a subject that is a UUID, or the name of a local user.
func (r *Rule) addUser(value string) error {
	if isUUID(value) {
		r.values = append(r.values, strings.ToLower(value))
		return nil
	}
	name, err := username.Canonical(value)
	if err != nil {
		return fmt.Errorf("user %q: expected the name of a user of signin local, or a subject, which is a UUID: %w", value, err)
	}
	r.names = append(r.names, name)
	return nil
}

// subject is how the rule begins in a Caddyfile.
func (r *Rule) subject() string {
	if r.kind == KindClaim {
		return "claim " + r.claim
	}
	return string(r.kind)
}

// String returns the rule as it stands in a Caddyfile, for the log.
func (r *Rule) String() string { return r.subject() + " " + strings.Join(r.shown, " ") }

// Merge adds a rule to others. Rules of one kind, and of one claim, are one list of
// values.
func Merge(rules []Rule, r Rule) []Rule {
	for i := range rules {
		if same := &rules[i]; same.kind == r.kind && same.claim == r.claim {
			same.values = append(slices.Clip(same.values), r.values...)
			same.names = append(slices.Clip(same.names), r.names...)
			same.shown = append(slices.Clip(same.shown), r.shown...)
			return rules
		}
	}
	return append(rules, r)
}

// Empty reports whether the rules allow every user.
func (rs *Rules) Empty() bool {
	return len(rs.Require) == 0 && len(rs.RequireAny) == 0 && len(rs.Deny) == 0
}

// All returns every rule, of whatever part.
func (rs *Rules) All() []Rule {
	return slices.Concat(append([][]Rule{rs.Deny, rs.Require}, rs.RequireAny...)...)
}

// Conditions returns a text for each condition that a user has to meet. A gate with all
// conditions of another one passes no more users.
func (rs *Rules) Conditions() []string {
	var all []string
	for i := range rs.Deny {
		for _, v := range rs.Deny[i].shown {
			all = append(all, "deny "+rs.Deny[i].subject()+" "+v)
		}
	}
	for i := range rs.Require {
		all = append(all, "require "+rs.Require[i].String())
	}
	for _, set := range rs.RequireAny {
		all = append(all, anyString(set))
	}
	return all
}

// anyString returns a set of rules as it stands in a Caddyfile, for the log.
func anyString(set []Rule) string {
	lines := make([]string, len(set))
	for i := range set {
		lines[i] = set[i].String()
	}
	return "require any { " + strings.Join(lines, "; ") + " }"
}

// allow reports whether a user may pass.
func (rs *Rules) allow(u *session.User) bool {
	for i := range rs.Deny {
		if has, known := rs.has(&rs.Deny[i], u, true); has || !known {
			return false
		}
	}
	for i := range rs.Require {
		if has, _ := rs.has(&rs.Require[i], u, false); !has {
			return false
		}
	}
	for _, set := range rs.RequireAny {
		if !rs.oneHolds(set, u) {
			return false
		}
	}
	return true
}

func (rs *Rules) oneHolds(set []Rule, u *session.User) bool {
	for i := range set {
		if has, _ := rs.has(&set[i], u, false); has {
			return true
		}
	}
	return false
}

// reason returns, for the log, the rule that keeps a user out; "": none does.
func (rs *Rules) reason(u *session.User) string {
	for i := range rs.Deny {
		switch has, known := rs.has(&rs.Deny[i], u, true); {
		case has:
			return "deny " + rs.Deny[i].String()
		case !known:
			return "deny " + rs.Deny[i].String() + ": could not be read in full"
		}
	}
	for i := range rs.Require {
		if has, known := rs.has(&rs.Require[i], u, false); !has {
			return "require " + rs.Require[i].String() + unreadSuffix(known)
		}
	}
	for _, set := range rs.RequireAny {
		if !rs.oneHolds(set, u) {
			return anyString(set)
		}
	}
	return ""
}

func unreadSuffix(known bool) string {
	if known {
		return ""
	}
	return ": could not be read in full"
}

// has reports whether a user has one of the rule's values, and whether everything that
// decides this is known. deny counts e-mail addresses that are not verified, too.
func (rs *Rules) has(r *Rule, u *session.User, deny bool) (has, known bool) {
	switch r.kind {
	case KindUser:
		for _, subject := range r.values {
			if equalASCII(subject, u.Subject) {
				return true, true
			}
		}
		return rs.isLocal(u) && r.named(u.Name), true
	case KindGroup:
		for _, g := range u.Groups {
			if slices.Contains(r.values, g) {
				return true, true
			}
		}
		return false, rs.isLocal(u) || !u.Claims.Unread(session.ClaimGroups)
	case KindEmail, KindEmailDomain:
		return rs.hasEmail(r, u, deny)
	case KindSignin:
		return slices.Contains(r.values, u.Signin), true
	case KindClaim:
		for _, v := range r.values {
			if has, _ := u.Claims.Has(r.claim, v); has {
				return true, true
			}
		}
		_, known = u.Claims.Has(r.claim, "")
		return false, known || slices.Contains(rs.Local, u.Signin)
	}
	return false, false
}

// named reports whether the rule has the name of a local user.
func (r *Rule) named(name string) bool {
	if len(r.names) == 0 {
		return false
	}
	if slices.Contains(r.names, name) {
		return true
	}
	canonical, err := username.Canonical(name)
	return err == nil && slices.Contains(r.names, canonical)
}

// isLocal reports whether a user belongs to a method whose users are configured here.
func (rs *Rules) isLocal(u *session.User) bool {
	if u.Linked != "" {
		return slices.Contains(rs.Local, u.Linked)
	}
	return slices.Contains(rs.Local, u.Signin)
}

// hasEmail compares e-mail addresses. The address of a user is verified; one that the
// provider did not verify is among the claims, and counts only for rules that deny.
func (rs *Rules) hasEmail(r *Rule, u *session.User, deny bool) (has, known bool) {
	if u.Email != "" {
		has, known = r.matchesEmail(u.Email)
		return has, known && (rs.isLocal(u) || !u.Claims.Unread(session.ClaimEmail))
	}
	if !deny || rs.isLocal(u) {
		return false, true
	}
	unverified, more := u.Claims.First(session.ClaimEmail)
	if unverified != "" && !more {
		return r.matchesEmail(unverified)
	}
	_, read := u.Claims.Has(session.ClaimEmail, "")
	return false, read && !more
}

// matchesEmail reports whether the rule has an address, and whether the address could be
// compared.
func (r *Rule) matchesEmail(email string) (has, known bool) {
	at := strings.IndexByte(email, '@')
	if at <= 0 || at == len(email)-1 || strings.IndexByte(email[at+1:], '@') >= 0 {
		return false, false // one program would go by the first @, another by the last
	}
	if !username.PrintableASCII(email) {
		canonical, ok := canonicalEmail(email)
		if !ok {
			return false, false
		}
		email, at = canonical, strings.LastIndexByte(canonical, '@')
	}
	domain := strings.TrimSuffix(email[at+1:], ".")
	for _, v := range r.values {
		if r.kind == KindEmail {
			i := strings.LastIndexByte(v, '@')
			if !equalASCII(v[:i], email[:at]) {
				continue
			}
			v = v[i+1:]
		}
		if equalASCII(v, domain) {
			return true, true
		}
	}
	return false, true
}

// canonicalEmail returns an address in lower case, with its domain in the form that DNS
// has (A-labels, RFC 5890 section 2.3.2.1).
func canonicalEmail(email string) (string, bool) {
	at := strings.LastIndexByte(email, '@')
	if at <= 0 {
		return "", false
	}
	domain, ok := canonicalDomain(email[at+1:])
	return oauth.LowerASCII(email[:at]) + "@" + domain, ok
}

func canonicalDomain(domain string) (string, bool) {
	ascii, err := oauth.ASCIIDomain(strings.TrimSuffix(domain, "."))
	return ascii, err == nil && ascii != "" && !strings.HasPrefix(ascii, ".") && !strings.Contains(ascii, "..")
}

// isUUID reports whether a text has the form of a UUID (RFC 9562 section 4), in lower or
// upper case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}
