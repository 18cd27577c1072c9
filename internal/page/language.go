package page

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// LanguageCookie is the cookie that has the language of a browser, as a BCP 47 tag. It
// is set where ui_locales chose one, so that the pages that follow have it, too.
const LanguageCookie = "caddy_sso_language"

// language negotiates the language of the answer to a request: by ui_locales (OpenID
// Connect Core section 3.1.2.1), by [LanguageCookie], then by Accept-Language.
func (c *catalogue) language(w http.ResponseWriter, r *http.Request) *localized {
	if len(c.languages) == 1 {
		return c.languages[0]
	}
	w.Header().Add("Vary", "Accept-Language") // and no cache keeps a page, so the cookie needs no word
	var asked, kept string
	if strings.Contains(r.URL.RawQuery, "ui_locales") {
		asked = strings.ReplaceAll(r.URL.Query().Get("ui_locales"), " ", ",")
	}
	if cookie, err := r.Cookie(LanguageCookie); err == nil {
		kept = cookie.Value
	}
	_, i := language.MatchStrings(c.matcher, asked, kept, r.Header.Get("Accept-Language"))
	l := c.languages[i]
	tags, _, _ := language.ParseAcceptLanguage(asked)
	if _, _, confidence := c.matcher.Match(tags...); confidence != language.No && kept != l.tag {
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // no secret; without Secure since TLS may end elsewhere
			Name: LanguageCookie, Value: l.tag, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	return l
}
