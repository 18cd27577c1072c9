package page

import (
	"html"
	"html/template"
	"time"
)

// funcs are the functions of templates: checked links, the texts of a language, and
// values for them.
func (l *localized) funcs() template.FuncMap {
	return template.FuncMap{
		"link":     link,
		"opens":    opensApplication,
		"action":   actionURL,
		"image":    imageURL,
		"refresh":  refresh,
		"initial":  initial,
		"msg":      l.message,
		"text":     l.text,
		"title":    l.title,
		"happened": l.happened,
		"next":     l.next,
		"app":      l.app,
		"name":     name,
		"strong":   strong,
		"scope":    l.scope,
		"device":   l.device,
		"moment":   moment,
		"inWords":  l.inWords,
		"soon":     l.soon,
	}
}

func escape(s string) template.HTML { return template.HTML(html.EscapeString(s)) } //nolint:gosec // escaped

// name is a name in a sentence, isolated from the direction of the text.
func name(s string) template.HTML { return "<bdi>" + escape(s) + "</bdi>" }

func strong(s template.HTML) template.HTML { return "<strong>" + s + "</strong>" }

// app is the name of an application, or a text if it has no name.
func (l *localized) app(s string) (template.HTML, error) {
	if s == "" {
		return l.text(Text{key: "app.unnamed"})
	}
	return name(s), nil
}

// A Device is a short description of a browser, by which users recognize their own.
type Device struct {
	Browser, System string // either may be empty
	Agent           string // the User-Agent, if both are empty
}

func (l *localized) device(d Device) (template.HTML, error) {
	switch {
	case d.Browser != "" && d.System != "":
		return l.text(Text{"device.browser_on_system", args{"Browser": d.Browser, "System": d.System}})
	case d.Browser != "":
		return escape(d.Browser), nil
	case d.System != "":
		return l.text(Text{"device.on_system", args{"System": d.System}})
	case d.Agent != "":
		return escape(d.Agent), nil
	}
	return l.text(Text{key: "device.unknown"})
}

// moment is a time in UTC, as digits. A script replaces it by the user's local form.
func moment(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(t.Format(`<time datetime="2006-01-02T15:04:05Z">2006-01-02, 15:04 UTC</time>`)) //nolint:gosec // figures
}

// inWords is a waiting time in words, rounded up to the unit.
func (l *localized) inWords(d time.Duration) (template.HTML, error) {
	n, minutes := seconds(d), (seconds(d)+59)/60
	switch {
	case n <= 90:
		return l.message("wait.seconds", "PluralCount", n)
	case minutes <= 90:
		return l.message("wait.minutes", "PluralCount", minutes)
	}
	return l.message("wait.hours", "PluralCount", (minutes+59)/60)
}

// soon is inWords for a time with some seconds more.
func (l *localized) soon(d time.Duration) (template.HTML, error) {
	if d < 10*time.Second {
		return l.text(Text{key: "wait.soon"})
	}
	words, err := l.inWords(d)
	if err != nil {
		return "", err
	}
	return l.message("wait.about", "Wait", words)
}
