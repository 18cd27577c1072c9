package page_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestDevicesAreSaidInWords(t *testing.T) {
	for want, device := range map[string]page.Device{
		"Chrome on Linux":      {Browser: "Chrome", System: "Linux", Agent: "Mozilla/5.0"},
		"Chrome":               {Browser: "Chrome", Agent: "Mozilla/5.0"},
		"A browser on Windows": {System: "Windows", Agent: "Mozilla/5.0"},
		"curl/8 <b>":           {Agent: "curl/8 <b>"},
		"Unknown device":       {},
	} {
		_, doc := render(t, &page.Sessions{Form: page.Form{Action: "/"}, List: []page.OpenSession{{ID: "a", Device: device}}})
		button := elements(doc, "button")[0]
		if got := text(elements(elements(doc, "li")[0], "p")[0]); got != want || attr(button, "aria-label") != "Sign out of "+want {
			t.Errorf("%+v is %q with a button %q, want %q", device, got, attr(button, "aria-label"), want)
		}
	}
}

func TestAnApplicationThatIsGoneIsNamedByItsID(t *testing.T) {
	_, doc := render(t, &page.Sessions{Form: page.Form{Action: "/"}, Access: []page.LastingAccess{{ID: "a", App: "7", Gone: true}}})
	if got := text(elements(elements(doc, "li")[0], "p")[0]); got != "Application 7, which is no longer used here" {
		t.Errorf("it is %q", got)
	}
}

func TestTimesAreTheSameInAllLanguages(t *testing.T) {
	_, doc := render(t, &page.Sessions{Form: page.Form{Action: "/"}, List: []page.OpenSession{{ID: "a", Begun: time.Unix(1764000000, 0)}}})
	moments := elements(doc, "time")
	if got := moments[len(moments)-1]; text(got) != "2025-11-24, 16:00 UTC" || attr(got, "datetime") != "2025-11-24T16:00:00Z" {
		t.Errorf("%q, datetime=%q", text(got), attr(got, "datetime"))
	}
}
