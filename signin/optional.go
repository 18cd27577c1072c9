package signin

import "github.com/caddy-sso/caddy-sso/session"

// NameFinder is a method that knows the names of its users. No other method checks
// the password of such a name.
type NameFinder interface {
	Method

	// Find returns the user with a user name or e-mail address as it was typed, and
	// whether there is one. The user's Mark is that of the current password.
	Find(name string) (session.User, bool)

	// NameOf returns the name of the user with a subject, who may be disabled; "" if
	// there is none.
	NameOf(subject string) string
}

// DisabledLister is a method that knows its disabled users.
type DisabledLister interface {
	NameFinder

	// Disabled returns their subjects, in an order of their own. Callers must not
	// modify the slice.
	Disabled() []string
}

// SubjectNamer is a method that has an ID for each of its users.
type SubjectNamer interface {
	Method

	// OwnSubjects reports whether that ID is the user's subject. If not, the subject is
	// derived from it. At most one method of a configuration has own subjects.
	OwnSubjects() bool

	// Derived returns the subject that is derived from an ID.
	Derived(id string) string
}

// EmailFinder is a method that knows the e-mail addresses of its users.
type EmailFinder interface {
	Method

	// ByEmail returns the user with an address, and whether there is one. For a user who
	// may not sign in, it returns true, and [Method.Current] returns false.
	ByEmail(email string) (session.User, bool)
}

// EmailLinker is a method that signs in users of another method, by the e-mail address
// that the provider verified.
type EmailLinker interface {
	Method

	// LinkEmail returns the ID of the other method, which is an [EmailFinder], or "".
	LinkEmail() string
}

// GroupLister is a method that knows which groups its users can have. Users of any
// other method may have any group.
type GroupLister interface {
	Method

	// Groups returns the known groups of users, and whether users may have others.
	Groups() (names []string, open bool)
}

// ClaimReader is a method that can keep claims of its users, beside the fields of
// [session.User]: see [session.Claims].
type ClaimReader interface {
	Method

	// ReadClaims is called once, before the first sign-in. names returns the claims that
	// gates name; [session.ClaimEmail] among them means an e-mail address that is not
	// verified. At every sign-in, each of them is kept with [session.Claims.With], also
	// if it has no value, or with [session.Claims.Without] if it could not be read in
	// full.
	ReadClaims(names func() []string)
}

// DynamicMethods represents methods that are added and removed while the
// configuration stays. Each of them is used only if its ID is named, never because
// all methods are allowed. No user signs in by the DynamicMethods themselves.
type DynamicMethods interface {
	Method

	// ByID returns the method with an ID, nil if there is none now.
	ByID(id string) Method
}
