package gate

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

// someone is a user in no group.
var someone = in()

func in(groups ...string) *session.User { return &session.User{Groups: groups} }

func TestWhatIsNotClearlyAllowedIsRefused(t *testing.T) {
	anyone, staff := Policy{}, Policy{Groups: []string{"staff", "admins"}}
	for name, test := range map[string]struct {
		policy Policy
		facts  facts
		want   verdict
	}{
		"nobody, a script":                           {anyone, facts{}, refuse},
		"nobody, a page":                             {anyone, facts{Page: true}, signIn},
		"nobody, a form":                             {anyone, facts{Form: true}, signInFirst},
		"the store is down, a form":                  {anyone, facts{Unavailable: true, Form: true}, unavailable},
		"no member, a form":                          {staff, facts{User: someone, Form: true}, forbid},
		"nobody, the gate's own fail_auth_url":       {anyone, facts{Page: true, FailPage: true}, passAnonymous},
		"nobody, a script on the fail_auth_url":      {anyone, facts{FailPage: true}, passAnonymous},
		"the store is down, a page":                  {anyone, facts{Unavailable: true, Page: true}, unavailable},
		"the store is down, a script":                {anyone, facts{Unavailable: true}, unavailable},
		"the store is down, the fail_auth_url":       {anyone, facts{Unavailable: true, FailPage: true}, passAnonymous},
		"a signed-in user":                           {anyone, facts{User: someone}, forward},
		"a user with a method that is not allowed":   {anyone, facts{User: someone, SignInMethodRefused: true, Page: true}, forbid},
		"the same, a member":                         {staff, facts{User: in("staff"), SignInMethodRefused: true}, forbid},
		"the same, on the fail_auth_url":             {anyone, facts{User: someone, SignInMethodRefused: true, FailPage: true}, passAnonymous},
		"a signed-in user, groups do not matter":     {anyone, facts{User: in("players")}, forward},
		"a member":                                   {staff, facts{User: in("players", "admins")}, forward},
		"a member on the fail_auth_url":              {staff, facts{User: in("staff"), FailPage: true}, forward},
		"no member":                                  {staff, facts{User: in("players")}, forbid},
		"no member, a page":                          {staff, facts{User: someone, Page: true}, forbid},
		"no member on the fail_auth_url":             {staff, facts{User: someone, FailPage: true}, passAnonymous},
		"groups are compared with case":              {staff, facts{User: in("Staff")}, forbid},
		"a group that begins like one is another":    {staff, facts{User: in("staffing")}, forbid},
		"groups are not joined into one name":        {staff, facts{User: in("staff,admins")}, forbid},
		"signed in too long ago, a page":             {anyone, facts{User: someone, TooOld: true, Page: true}, signInAgain},
		"signed in too long ago, a form":             {anyone, facts{User: someone, TooOld: true, Form: true}, signInAgainFirst},
		"signed in too long ago, a script":           {anyone, facts{User: someone, TooOld: true}, refuseOld},
		"too long ago, on the fail_auth_url":         {anyone, facts{User: someone, TooOld: true, FailPage: true}, passAnonymous},
		"too long ago, and no member":                {staff, facts{User: someone, TooOld: true, Page: true}, forbid},
		"nobody where groups are required":           {staff, facts{Page: true}, signIn},
		"nobody, a script where groups are required": {staff, facts{}, refuse},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.policy.decide(test.facts); got != test.want {
				t.Fatalf("got verdict %d, expected %d", got, test.want)
			}
		})
	}
}

func TestOnlyPagesAreRedirected(t *testing.T) {
	const html = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
	for name, test := range map[string]struct {
		method string
		header []string
		want   bool
	}{
		"a navigation":                            {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", html}, true},
		"a navigation from another site":          {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "cross-site"}, true},
		"a navigation that does not say for what": {"GET", []string{"Sec-Fetch-Mode", "navigate"}, true},
		"a page through a service worker":         {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "empty", "Accept", html}, true},
		"HEAD of a page":                          {"HEAD", []string{"Accept", html}, true},
		"an old browser":                          {"GET", []string{"Accept", html}, true},
		"an old browser, in capitals":             {"GET", []string{"Accept", "TEXT/HTML"}, true},
		"a form":                                  {"POST", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", html}, false},
		"PUT":                                     {"PUT", []string{"Accept", html}, false},
		"OPTIONS":                                 {"OPTIONS", []string{"Accept", html}, false},
		"a frame":                                 {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", html}, false},
		"an embedded object":                      {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object", "Accept", html}, false},
		"fetch that asks for a page":              {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", html}, false},
		"an image":                                {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/avif,*/*"}, false},
		"an image of an old browser":              {"GET", []string{"Accept", "image/*,*/*;q=0.8"}, false},
		"a script that says so":                   {"GET", []string{"X-Requested-With", "XMLHttpRequest", "Accept", html}, false},
		"a script that says so beside fetch's mode": {"GET", []string{"X-Requested-With", "fetch", "Sec-Fetch-Mode", "navigate"}, false},
		"a WebSocket":                  {"GET", []string{"Upgrade", "websocket", "Connection", "Upgrade", "Accept", html}, false},
		"a WebSocket by its mode":      {"GET", []string{"Sec-Fetch-Mode", "websocket"}, false},
		"an event stream":              {"GET", []string{"Accept", "text/event-stream"}, false},
		"a prefetch":                   {"GET", []string{"Sec-Purpose", "prefetch;prerender", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false},
		"a prefetch of an old browser": {"GET", []string{"Purpose", "prefetch", "Accept", html}, false},
		"a prefetch of an old Firefox": {"GET", []string{"X-Moz", "prefetch", "Accept", html}, false},
		"a speculation":                {"GET", []string{"Sec-Purpose", "prefetch;anonymous-client-ip", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false},
		"a favicon":                    {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/avif,image/webp,image/apng,*/*;q=0.8"}, false},
		"a style sheet":                {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "style", "Accept", "text/css,*/*;q=0.1"}, false},
		"a manifest":                   {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "manifest", "Accept", "*/*"}, false},
		"the script of a service worker": {"GET", []string{
			"Service-Worker", "script", "Sec-Fetch-Mode", "same-origin", "Sec-Fetch-Dest", "serviceworker", "Accept", "*/*",
		}, false},
		"a module":         {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "script", "Accept", "*/*"}, false},
		"a font":           {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "font", "Accept", "*/*"}, false},
		"a video":          {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "video", "Accept", "*/*"}, false},
		"a fenced frame":   {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "fencedframe", "Accept", html}, false},
		"a ping":           {"POST", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}, false},
		"a policy report":  {"POST", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "report", "Accept", "*/*"}, false},
		"curl":             {"GET", []string{"Accept", "*/*"}, false},
		"an API's client":  {"GET", []string{"Accept", "application/json"}, false},
		"no header at all": {"GET", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), test.method, "/", nil)
			for i := 0; i < len(test.header); i += 2 {
				r.Header.Set(test.header[i], test.header[i+1])
			}
			if got := wantsPage(r); got != test.want {
				t.Fatalf("got %v, expected %v", got, test.want)
			}
		})
	}
}

func TestTheGatesOfADisabledClientLetNobodyThrough(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	b := f.browser()
	b.enter(demo)
	b.want(b.open("/"), http.StatusOK)
	f.gate.Client.Disabled = true
	f.called = 0
	for _, path := range []string{"/", "/signed-out"} {
		b.want(b.open(path), http.StatusForbidden)
		b.want(b.do("GET", path), http.StatusForbidden)
	}
	f.untouched()
	b.want(b.do("POST", SignOutPath, sameOriginForm...), http.StatusOK)
}
