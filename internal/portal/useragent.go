package portal

import (
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// deviceName describes a browser by its User-Agent, so that users recognize their own. It
// decides nothing, since a client can send any User-Agent.
func deviceName(agent string) page.Device {
	return page.Device{Browser: named(agent, browsers), System: named(agent, systems), Agent: agent[:min(len(agent), 40)]}
}

// A mark is a word in a User-Agent that identifies a browser or system. The order
// matters: most browsers also have the names of other browsers in it.
type mark struct{ in, name string }

var (
	browsers = []mark{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systems = []mark{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
)

func named(agent string, marks []mark) string {
	for _, m := range marks {
		if strings.Contains(agent, m.in) {
			return m.name
		}
	}
	return ""
}
