package portal_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

func TestDevicesAreNamedInWords(t *testing.T) {
	for agent, want := range map[string]page.Device{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                      {Browser: "Chrome", System: "Linux"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":              {Browser: "Edge", System: "Windows"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0":                                                       {Browser: "Firefox", System: "macOS"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1":    {Browser: "Safari", System: "iPhone"},
		"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36": {Browser: "Samsung Internet", System: "Android"},
		"SomethingOf/1.0 (Windows NT 10.0)": {System: "Windows"},
		"curl/8.5.0":                        {},
		"":                                  {},
	} {
		want.Agent = agent[:min(len(agent), 40)]
		if got := portal.DeviceName(agent); got != want {
			t.Errorf("device(%q) is %+v, want %+v", agent, got, want)
		}
	}
}
