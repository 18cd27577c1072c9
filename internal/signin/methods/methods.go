package methods

import (
	"slices"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// LogoutReceiver is the way with an ID, nil where there is none whose provider says
// that sessions are over.
func (all List) LogoutReceiver(id string) signin.LogoutReceiver {
	method, _ := all.Find(id).(signin.LogoutReceiver)
	return method
}

// Groups are those that users have who sign in by one of some ways, or, without any, by
// all; open: they may have others.
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

// IsProvider says whether the method with an ID leads to a provider, whatever it is
// allowed for.
func (all List) IsProvider(id string) bool { return all.Provider(id, nil) != nil }

// Provider returns the method with an ID if it leads to a provider and is allowed, nil
// otherwise.
func (all List) Provider(id string, allowed []string) signin.ProviderMethod {
	method, ok := all.Find(id).(signin.ProviderMethod)
	if !ok || !allows(allowed, method) {
		return nil
	}
	return method
}

// Renewer is the way with an ID, nil where there is none that can tell.
func (all List) Renewer(id string) signin.Renewer {
	method, _ := all.Find(id).(signin.Renewer)
	return method
}

// Methods are all ways of a configuration.
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

// allows says whether a sign-in method is among those with the allowed IDs. Without
// any ID all are allowed.
func allows(allowed []string, method signin.Method) bool {
	return len(allowed) == 0 || slices.Contains(allowed, method.ID())
}

// ProviderMethods returns the allowed methods that lead to a provider. Those that come
// and go are among them only if their IDs are named.
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

// Taken says whether a name is that of a user of some way.
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
