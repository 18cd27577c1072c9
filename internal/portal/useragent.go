package portal

import (
	"strings"
)

// deviceName says in a few words what a browser calls itself, for people to
// recognise their own. It decides nothing: anybody can call themselves anything.
func deviceName(agent string) string {
	browser, system := named(agent, browsers), named(agent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "":
		return browser
	case system != "":
		return "A browser on " + system
	case agent != "":
		return agent[:min(len(agent), 40)]
	}
	return "Unknown device"
}

// A mark is what shows a browser or system in its User-Agent. The order counts:
// most browsers also call themselves what they want to be taken for.
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
