package loginapi

import (
	"net/http"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// userBody is a user, as far as the scopes of the token allow. It has every member
// that a published SDK requires, and other members only if they have a value. No
// member is null, which some SDKs refuse.
type userBody struct {
	ID       string      `json:"id"`
	Username string      `json:"username"`
	Email    string      `json:"email,omitempty"`
	Picture  string      `json:"picture,omitempty"`
	Groups   []userGroup `json:"groups"`

	Name           string `json:"name"` // the Android SDK reads no username
	LastLogin      string `json:"last_login"`
	Registered     string `json:"registered"`
	Anonymous      bool   `json:"is_anonymous"`   // there is no sign-in by device alone
	Active         bool   `json:"is_user_active"` // the token of a disabled user is not valid
	EmailConfirmed bool   `json:"is_last_email_confirmed,omitempty"`
}

// userGroup is a group in the form of this endpoint. Groups belong to the operator,
// so no client can delete one.
type userGroup struct {
	oauth.GroupClaim
	Deletable bool `json:"is_deletable"`
}

// me answers GET and HEAD /api/users/me: the current data of the user of an access token.
func (a *API) me(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	v, ok := a.bearer(w, r)
	if !ok {
		return
	}
	if v.Claims.Grant == "" {
		a.writeError(w, r, http.StatusForbidden, "1901-0001", oauth.Invalid("Invalid token: it is of no user."))
		return
	}
	u, signedIn := v.User, v.SignInTime()
	registered := signedIn
	if u.Registered != 0 {
		registered = time.Unix(u.Registered, 0)
	}
	email := oauth.NewUserClaims(u, v.Claims.Scopes).Email
	httpapi.WriteJSON(w, http.StatusOK, userBody{
		ID: u.Subject, Username: u.Name, Email: email, Picture: u.Avatar, Groups: userGroups(u.Groups),
		Name: u.Name, LastLogin: dateTime(signedIn), Registered: dateTime(registered), Active: true, EmailConfirmed: email != "",
	})
}

func userGroups(names []string) []userGroup {
	groups := make([]userGroup, 0, len(names))
	for _, claim := range oauth.GroupClaims(names) {
		groups = append(groups, userGroup{GroupClaim: claim})
	}
	return groups
}

// dateTime writes a time so that all published SDKs can read it (RFC 3339). It has
// whole seconds and a numeric offset, since the iOS SDK accepts no fraction. Its hour
// is from 1 to 11, since the iOS SDK reads the hour with the pattern hh of the
// 12-hour clock: a strict parser refuses 13 and 0 there, and reads 12 as midnight. So
// 15:04:05+00:00 is written as 03:04:05-12:00, which is the same moment.
func dateTime(t time.Time) string {
	t = t.UTC()
	offset := 0
	switch hour := t.Hour(); {
	case hour == 0:
		offset = 1
	case hour == 12:
		offset = -11
	case hour > 12:
		offset = -12
	}
	return t.In(time.FixedZone("", offset*60*60)).Format("2006-01-02T15:04:05-07:00")
}
