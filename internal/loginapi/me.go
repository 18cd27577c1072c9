package loginapi

import (
	"net/http"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// userBody is a user, as far as the scopes of the token allow. It has every member
// that a published SDK requires, and of the others those that something is known
// for; none is null, which some SDKs refuse.
type userBody struct {
	ID       string      `json:"id"`
	Username string      `json:"username"`
	Email    string      `json:"email,omitempty"`
	Picture  string      `json:"picture,omitempty"`
	Groups   []userGroup `json:"groups"`

	Name           string `json:"name"` // the Android SDK reads no username
	LastLogin      string `json:"last_login"`
	Registered     string `json:"registered"`
	Anonymous      bool   `json:"is_anonymous"`   // nobody signs in by a device alone
	Active         bool   `json:"is_user_active"` // a disabled user's token does not count
	EmailConfirmed bool   `json:"is_last_email_confirmed,omitempty"`
}

// userGroup is a group as this endpoint has it. Groups are the operator's, so that
// no client can delete one.
type userGroup struct {
	oauth.GroupClaim
	Deletable bool `json:"is_deletable"`
}

// me answers GET and HEAD /api/users/me: who the user of an access token is, now.
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

// dateTime writes a time as all published SDKs read it (RFC 3339): in whole seconds,
// with a numeric offset, since the iOS SDK takes no fraction, and with an hour from 1
// to 11, since it reads the hour by the pattern hh, of the 12-hour clock. That has no
// 13 and no 0, which a strict parser refuses, and takes 12 for midnight. So what is
// 15:04:05+00:00 is written as 03:04:05-12:00, the same moment.
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
