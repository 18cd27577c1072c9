package browser

import "testing"

// A request that a service worker makes for a page is a navigation, although its
// Fetch Metadata does not say so. Every installed web application has a service
// worker.
func TestAServiceWorkerDoesNotPreventSigningIn(t *testing.T) {
	w := withTLS(t)
	for name, answer := range map[string]string{
		"that passes requests on": "fetch(e.request)",
		"that copies them":        "fetch(e.request.clone())",
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.begin(w)
			b.do("navigator.serviceWorker.register('/worker.js?answer=' + encodeURIComponent(" + quote(answer) + "))")
			b.until("navigator.serviceWorker.controller")

			b.forgotten()
			b.open(w.game + "/with?x=1")
			b.sees("to continue to Demo game")
			b.signIn(demo.Name, demo.Password)
			b.at(w.game + "/with?x=1")
			b.sees("Hello, demo")

			b.compose(`action="/save"`, `<input name="a" value="b">`)
			b.forgotten()
			b.click("Send")
			b.sees("to continue to Demo game")
			b.signIn(demo.Name, demo.Password)
			b.at(w.game + "/save")
			if got := w.backend.saw(t, w.game, "/save"); got.Method != "POST" || got.body != "a=b" {
				t.Errorf("the backend saw %s %q", got.Method, got.body)
			}
		})
	}
}

func TestClass22AFormOfAnotherSiteIsNotSentOnByAServiceWorker(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.begin(w)
	b.do("navigator.serviceWorker.register('/worker.js?answer=fetch(e.request)')")
	b.until("navigator.serviceWorker.controller")
	b.open(w.elsewhere + "/evil")
	b.at(w.elsewhere + "/evil")
	b.compose(`action="`+w.game+`/save"`, `<input name="amount" value="1000">`)
	b.click("Send")
	b.sees("Sign in to send this", "It came from another site")
	if n := w.backend.count(w.game, "/save"); n != 0 {
		t.Errorf("the form arrived %d times", n)
	}
}
