// Package methods holds the sign-in methods of a configuration, and what is decided over
// all of them.
//
// # Which methods are allowed
//
// A sign-in is for something: an application, a gate, or the portal itself. That
// names the IDs of the methods which are allowed. No ID means that all methods are
// allowed, except those that come and go ([signin.DynamicMethods]), which must be
// named.
//
// # Whose name and whose subject
//
// No user of one method can take the name or the subject of a user of another. Users that
// the configuration knows by name come first. Users of two methods are two users, unless
// link_email links them: then the session names the method of the sign-in, which clients
// decide by, and the method that the user belongs to.
//
// One method may keep its own subjects (setting subject own). Derived subjects are UUIDs of
// version 5, and an own subject never is, so the two cannot collide.
//
// # Passwords
//
// Several methods may check passwords in one form. A name belongs to the method that knows
// it, so no backend sees a local user's password. For any other name the methods are asked
// in their order, with the same local work. A backend that does not answer is told apart
// from a wrong password.
package methods

import (
	"slices"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// A List is all sign-in methods of a configuration, in its order.
type List []signin.Method

// Current implements [oauth.Users].
func (all List) Current(u session.User) (session.User, bool) {
	w := all.Find(u.Signin)
	if w == nil {
		return session.User{}, false
	}
	if u.Linked != "" {
		return all.current(u, w)
	}
	now, may := w.Current(u)
	if _, named := w.(signin.NameFinder); may && !named {
		if all.Clash(now.Subject, w) != nil { // another user has the subject since
			return session.User{}, false
		}
		now = all.own(now, w) // the name may have become another user's since
	}
	return now, may
}

// allows reports whether a sign-in method is among those with the allowed IDs. Without
// any ID all are allowed.
func allows(allowed []string, method signin.Method) bool {
	return len(allowed) == 0 || slices.Contains(allowed, method.ID())
}

// Provider returns the method with an ID if it has a provider and is allowed, nil
// otherwise.
func (all List) Provider(id string, allowed []string) signin.ProviderMethod {
	method, ok := all.Find(id).(signin.ProviderMethod)
	if !ok || !allows(allowed, method) {
		return nil
	}
	return method
}

// ProviderMethods returns the allowed methods with a provider. Dynamic methods are
// among them only if their IDs are named.
func (all List) ProviderMethods(allowed []string) []signin.ProviderMethod {
	var list []signin.ProviderMethod
	for _, w := range all {
		if provider, ok := w.(signin.ProviderMethod); ok && allows(allowed, w) {
			list = append(list, provider)
		}
	}
	for _, id := range allowed {
		if provider, ok := all.dynamic(id).(signin.ProviderMethod); ok {
			list = append(list, provider)
		}
	}
	return list
}

// IsProvider reports whether the method with an ID has a provider, in whichever
// contexts it is allowed.
func (all List) IsProvider(id string) bool { return all.Provider(id, nil) != nil }

// Taken reports whether a method knows a user with this name.
func (all List) Taken(name string) bool {
	return slices.ContainsFunc(all, func(w signin.Method) bool {
		named, ok := w.(signin.NameFinder)
		if !ok {
			return false
		}
		_, there := named.Find(name)
		return there
	})
}

// Groups returns the groups that users of the methods with some IDs can have, and whether
// they may have others. Without any ID it is about all methods.
func (all List) Groups(ids []string) (names []string, open bool) {
	add := func(method signin.Method) {
		grouping, knows := method.(signin.GroupLister)
		if !knows {
			open = true
			return
		}
		more, others := grouping.Groups()
		names, open = append(names, more...), open || others
	}
	for _, method := range all {
		if len(ids) > 0 && !slices.Contains(ids, method.ID()) {
			continue
		}
		add(method)
		if linked := all.linkedTo(method); linked != nil {
			add(linked)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), open
}

// Renewer returns the method with an ID, nil if it cannot use refresh tokens.
func (all List) Renewer(id string) signin.Renewer {
	method, _ := all.Find(id).(signin.Renewer)
	return method
}

// LogoutReceiver returns the method with an ID, nil if it accepts no logout tokens.
func (all List) LogoutReceiver(id string) signin.LogoutReceiver {
	method, _ := all.Find(id).(signin.LogoutReceiver)
	return method
}
