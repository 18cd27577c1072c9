package page_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

var hostile = []string{
	`"><script>alert(1)</script>`,
	`</script><script>alert(1)</script>`,
	`</title><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`javascript:alert(1)`,
	"{{.}}<!--",
	"\x00<svg/onload=alert(1)>",
}

// isAddress reports whether a field of a view is a link or an image, which must
// not hold just any text.
func isAddress(field string) bool {
	return strings.HasSuffix(field, "URL") ||
		strings.HasSuffix(field, ".Action") || strings.HasSuffix(field, ".Callback") ||
		strings.HasSuffix(field, ".Origin") || strings.HasSuffix(field, ".Icon")
}

// eachString calls fn for every string within v.
func eachString(v reflect.Value, field string, fn func(field string, s reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachString(v.Elem(), field, fn)
		}
	case reflect.Struct:
		switch inner := v.Interface().(type) {
		case time.Time:
			return
		case page.Text:
			eachValue(inner.Values(), field, fn)
			return
		case page.Fault:
			eachValue(inner.Values(), field, fn)
			return
		}
		for i := range v.NumField() {
			eachString(v.Field(i), field+"."+v.Type().Field(i).Name, fn)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachString(v.Index(i), field, fn)
		}
	case reflect.String:
		fn(field, v)
	}
}

// eachValue calls fn for what is put in a text.
func eachValue(values map[string]string, field string, fn func(field string, s reflect.Value)) {
	for name := range values {
		value := values[name]
		fn(field+" "+name, reflect.ValueOf(&value).Elem())
		values[name] = value
	}
}

// checkInert fails if body holds anything that a browser would run.
func checkInert(t *testing.T, body string) {
	t.Helper()
	for _, n := range elements(parse(t, body), "") {
		if n.Data == "script" && (!strings.HasPrefix(attr(n, "src"), page.DefaultAssetPrefix) || n.FirstChild != nil) {
			t.Errorf("a script of its own: %s", text(n))
		}
		if n.Data == "style" || n.Data == "iframe" || n.Data == "object" || n.Data == "base" {
			t.Errorf("an element <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" {
				t.Errorf("<%s> has attribute %s", n.Data, a.Key)
			}
			if a.Key == "content" && strings.Contains(strings.ToLower(a.Val), "javascript:") {
				t.Errorf("<%s content=%q>", n.Data, a.Val)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
}

func TestClass21ScriptInjectionInEveryField(t *testing.T) {
	for _, text := range hostile {
		for i, view := range everyPage() {
			t.Run(nameOf(view)+" with "+text, func(t *testing.T) {
				eachString(reflect.ValueOf(view), nameOf(view), func(field string, s reflect.Value) {
					if !isAddress(field) {
						s.SetString(text)
					}
				})
				w := httptest.NewRecorder()
				write(t, newPages(t, page.Brand{Name: text}), w, view)
				checkInert(t, w.Body.String())

				// The same elements as with harmless text: nothing broke out.
				_, harmless := render(t, everyPage()[i])
				var want, got []string
				for _, n := range elements(harmless, "") {
					want = append(want, n.Data)
				}
				for _, n := range elements(parse(t, w.Body.String()), "") {
					got = append(got, n.Data)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("elements\n %v\nwant\n %v", got, want)
				}
			})
		}
	}
}

func TestClass21ScriptInjectionInEveryAddress(t *testing.T) {
	addresses := []string{
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)",
		"data:text/html,<script>alert(1)</script>", "vbscript:x", "blob:https://app.example/1", "file:///etc/passwd",
		"//evil.example", `/\evil.example`, "/\t/evil.example", "https:evil.example", "https://user@evil.example/",
		`"><script>alert(1)</script>`, "'unsafe-inline'", "*", "https://*; script-src *",
	}
	for _, address := range addresses {
		for i, original := range everyPage() {
			var fields []string
			eachString(reflect.ValueOf(original), nameOf(original), func(field string, _ reflect.Value) {
				if isAddress(field) {
					fields = append(fields, field)
				}
			})
			for _, target := range fields {
				t.Run(target+" with "+address, func(t *testing.T) {
					view := everyPage()[i]
					eachString(reflect.ValueOf(view), nameOf(view), func(field string, s reflect.Value) {
						if field == target {
							s.SetString(address)
						}
					})
					var failure error
					p, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { failure = err }})
					if err != nil {
						t.Fatal(err)
					}
					w := httptest.NewRecorder()
					write(t, p, w, view)
					if w.Code != http.StatusInternalServerError || failure == nil {
						t.Errorf("status %d, error %v: the address was taken", w.Code, failure)
					}
					if csp := w.Header().Get("Content-Security-Policy"); csp != policyWith("", "'none'") {
						t.Errorf("policy %q", csp)
					}
					checkInert(t, w.Body.String())
				})
			}
		}
	}
}

func TestClass21ErrorsDoNotRepeatAnAddressThatMayHoldACode(t *testing.T) {
	var failure error
	p, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { failure = err }})
	if err != nil {
		t.Fatal(err)
	}
	p.Widget(httptest.NewRecorder(), request(), page.Widget{Callback: "https://app.example/%zz?code=s3cret"})
	if failure == nil || strings.Contains(failure.Error(), "s3cret") {
		t.Errorf("error %v", failure)
	}
}

func policyWith(images, form string) string {
	if form != "" {
		form = "; form-action " + form
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:" + images +
		form + "; frame-ancestors 'none'; base-uri 'none'"
}

func TestClass30ClickjackingHeaders(t *testing.T) {
	want := map[string]struct{ policy, referrer, opener string }{
		"SignIn":      {policyWith(" https://cdn.example:8443 https://forge.example", "'self'"), "same-origin", ""},
		"Account":     {policyWith(" https://cdn.example:8443", "'self'"), "same-origin", ""},
		"Sessions":    {policyWith(" https://cdn.example:8443", "'self'"), "same-origin", "same-origin"},
		"SignOut":     {policyWith(" https://cdn.example:8443", "'self'"), "same-origin", "same-origin"},
		"Consent":     {policyWith(" https://cdn.example:8443", "'self'"), "same-origin", ""},
		"Application": {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", ""},
		"Continue":    {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", ""},
		"FormPost":    {policyWith(" https://cdn.example:8443", "https://app.example"), "origin", ""},
		"SignedOut":   {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", "same-origin"},
		"Widget":      {policyWith(" https://cdn.example:8443; connect-src 'self'", "'none'"), "no-referrer", ""},
		"Denied":      {policyWith(" https://cdn.example:8443", "'self'"), "same-origin", "same-origin"},
		"PopupSignIn": {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", "same-origin-allow-popups"},
		"PopupDone":   {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", ""},
		"Message":     {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", ""},
		"UnsentForm":  {policyWith(" https://cdn.example:8443", "'none'"), "no-referrer", ""},
		"SendForm":    {policyWith(" https://cdn.example:8443", ""), "same-origin", ""}, // of the page whose form it is
	}
	p := newPages(t, page.Brand{Logo: "https://cdn.example:8443/logo.svg"})
	for _, view := range everyPage() {
		t.Run(nameOf(view), func(t *testing.T) {
			w := httptest.NewRecorder()
			write(t, p, w, view)
			for header, value := range map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Content-Security-Policy":    want[nameOf(view)].policy,
				"X-Frame-Options":            "DENY",
				"X-Content-Type-Options":     "nosniff",
				"Cache-Control":              "no-store",
				"Referrer-Policy":            want[nameOf(view)].referrer,
				"Cross-Origin-Opener-Policy": want[nameOf(view)].opener,
			} {
				if got := w.Header().Get(header); got != value {
					t.Errorf("%s: %q, want %q", header, got, value)
				}
			}
		})
	}
}

func TestClass30ScriptsPostToAnExactOrigin(t *testing.T) {
	calls := 0
	for name, body := range scripts(t) {
		if strings.Contains(body, `"*"`) || strings.Contains(body, `'*'`) || strings.Contains(body, "`*`") {
			t.Errorf("%s has a wildcard", name)
		}
		for _, call := range regexp.MustCompile(`(\S+)\.postMessage\(([^;]*)\);`).FindAllStringSubmatch(body, -1) {
			calls++
			receiver, arguments := call[1], call[2]
			if strings.HasSuffix(receiver, "BroadcastChannel(channel)") {
				continue // reaches this origin alone
			}
			if arguments != "message, origin" && arguments != "message, window.location.origin" {
				t.Errorf("%s: %s.postMessage(%s)", name, receiver, arguments)
			}
		}
		if strings.Contains(body, "innerHTML") || strings.Contains(body, "eval(") || strings.Contains(body, "document.write") {
			t.Errorf("%s turns text into markup or script", name)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls of postMessage were looked at, want 4", calls)
	}
}

func TestClass30PagesTellOnlyAnExactOrigin(t *testing.T) {
	for _, origin := range []string{
		"*", "/", "null", "https://*", "https://app.example/", "https://app.example/path", "https://app.example?x",
		"https://u@app.example", "app.example", "acme-app:", "acme-app://x", "https://", "HTTPS://app.example",
	} {
		t.Run(origin, func(t *testing.T) {
			failure := errors.New("none")
			p, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { failure = err }})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p.Widget(w, request(), page.Widget{Callback: "https://app.example/cb?code=c", Origin: origin})
			if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "code=c") {
				t.Errorf("status %d (%v)", w.Code, failure)
			}
			opener := page.Opener{Origin: origin, State: "12345678"}
			for _, view := range []any{
				&page.SignIn{Form: page.Form{Action: "/sso/sign_in"}, Opener: opener}, &page.Account{Opener: opener}, &page.Message{Opener: opener},
			} {
				w := httptest.NewRecorder()
				write(t, p, w, view)
				if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "12345678") {
					t.Errorf("%s: status %d (%v)", nameOf(view), w.Code, failure)
				}
			}
		})
	}
}
