package browser

import (
	"slices"
	"strings"
	"testing"
)

// What a page loads may reach the gate before anybody asks for a page.
func TestOnlyAPageIsWhereSigningInLeadsBackTo(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		for _, path := range []string{"logo.png", "app.js", "style.css", "manifest.json", "icon.png", "next", "frame", "data", "sw.js"} {
			b.expect(w.shop + "/members/" + path)
		}
		b.open(w.shop + "/lobby") // no gate is for it
		b.at(w.shop + "/lobby")
		b.do(`
			const add = (name, attributes, parent = document.head) => parent.append(Object.assign(document.createElement(name), attributes));
			add('img', {src: '/members/logo.png', alt: ''}, document.body);
			add('script', {src: '/members/app.js'});
			add('link', {rel: 'stylesheet', href: '/members/style.css'});
			add('link', {rel: 'manifest', href: '/members/manifest.json'});
			add('link', {rel: 'icon', href: '/members/icon.png'});
			add('link', {rel: 'prefetch', href: '/members/next'});
			add('iframe', {src: '/members/frame'}, document.body);
			add('script', {type: 'speculationrules', textContent: JSON.stringify({prerender: [{urls: ['/members/next']}]})});
			window.worker = '';
			if (navigator.serviceWorker) navigator.serviceWorker.register('/members/sw.js').catch(e => worker = String(e));
			window.data = 0;
			fetch('/members/data', {headers: {Accept: 'text/html'}}).then(r => data = r.status)`)
		b.expect("A bad HTTP response code (401)")
		b.until("data === 401")
		for _, path := range []string{"logo.png", "app.js", "next", "frame"} {
			b.wait("401 for "+path, func() bool { return b.failed(w.shop + "/members/" + path) })
		}
		b.until("worker.includes('401') || worker.includes('A bad HTTP response code')")
		for _, c := range b.profile.cookies() {
			if strings.Contains(c.Name, "caddy_sso") {
				t.Errorf("the cookie %s was set", c.Name)
			}
		}
		if n := w.backend.count(w.shop, "/members/next"); n != 0 {
			t.Errorf("%d requests reached the backend", n)
		}
		b.open(w.shop + "/members/list")
		b.signIn(demo.Name, demo.Password)
		b.at(w.shop + "/members/list")
		b.sees("Hello, demo")
	})
}

// failed says whether something that a page loads was refused.
func (b *tab) failed(url string) bool {
	b.mu.Lock()
	complained := slices.ContainsFunc(b.failures, func(f failure) bool { return f.url == url })
	b.mu.Unlock()
	if complained {
		return true
	}
	timed, err := try[bool](b, "performance.getEntriesByName("+quote(url)+").some(e => e.responseStatus === 401)")
	return err == nil && timed
}
