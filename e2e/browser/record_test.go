package browser

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// A record is what the browser reported of a tab.
type record struct {
	mu        sync.Mutex
	faults    []string
	expected  []string
	failures  []failure
	documents []document
	forms     int // that were sent
}

// A failure is a request that the console complains of.
type failure struct{ text, url string }

// A document is an answer to a navigation, redirects included.
type document struct {
	url     string
	status  int64
	headers map[string]string // in lower case
}

// watch is called for every event, in order.
func (r *record) watch(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.Text, "the server responded with a status of ") {
			r.failures = append(r.failures, failure{e.Entry.Text, e.Entry.URL})
			return
		}
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			r.faults = append(r.faults, fmt.Sprintf("%s %s: %s (%s)", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		r.faults = append(r.faults, "exception: "+e.ExceptionDetails.Text+" ("+e.ExceptionDetails.URL+")")
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			r.faults = append(r.faults, fmt.Sprintf("console: %v", e.Args))
		}
	case *audits.EventIssueAdded:
		switch e.Issue.Code {
		case audits.InspectorIssueCodeContentSecurityPolicyIssue, audits.InspectorIssueCodeCookieIssue, audits.InspectorIssueCodeMixedContentIssue:
		default:
			return // advice, such as that redirects could be tracking
		}
		r.faults = append(r.faults, fmt.Sprintf("issue: %s", e.Issue.Code))
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument && e.Request.Method == "POST" && e.RedirectResponse == nil {
			r.forms++
		}
		if e.Type == network.ResourceTypeDocument && e.RedirectResponse != nil {
			r.arrived(e.RedirectResponse)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			r.arrived(e.Response)
		}
	case *network.EventResponseReceivedExtraInfo:
		for _, c := range e.BlockedCookies {
			name, _, _ := strings.Cut(c.CookieLine, "=")
			r.faults = append(r.faults, fmt.Sprintf("the browser refused the cookie %s: %v", name, c.BlockedReasons))
		}
	}
}

func (r *record) arrived(response *network.Response) {
	headers := make(map[string]string, len(response.Headers))
	for name, value := range response.Headers {
		headers[strings.ToLower(name)] = fmt.Sprint(value)
	}
	r.documents = append(r.documents, document{response.URL, response.Status, headers})
}

// last is the answer to the latest navigation.
func (b *tab) last() document {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.documents) == 0 {
		b.t.Fatal("no page was loaded")
	}
	return b.documents[len(b.documents)-1]
}

// sent is how many forms were sent.
func (b *tab) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forms
}

// status waits for the page to have been answered with a status.
func (b *tab) status(want int64) {
	b.t.Helper()
	b.wait(fmt.Sprintf("status %d", want), func() bool { return b.last().status == want })
}

// trail lists the documents by which the tab came to its page.
func (b *tab) trail() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := make([]string, 0, len(b.documents))
	for _, d := range b.documents {
		url, _, _ := strings.Cut(d.url, "?")
		lines = append(lines, fmt.Sprintf("%d %s", d.status, url))
	}
	return lines
}

// forget begins the way again.
func (b *tab) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.documents = nil
}

// expect is for what the browser is right to complain of.
func (b *tab) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

// check fails the test for what the browser complained of: violations of the
// Content-Security-Policy, script errors, refused cookies, missing assets.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if slices.ContainsFunc(b.expected, func(text string) bool { return strings.Contains(f, text) }) {
			continue
		}
		b.t.Errorf("the browser reports %s", f)
	}
	for _, f := range b.failures {
		// A page may well be a 401 or 403; what it loads may not, but for the icon
		// that browsers ask every site for.
		url, _, _ := strings.Cut(f.url, "#")
		if slices.ContainsFunc(b.expected, func(text string) bool { return strings.Contains(url, text) }) {
			continue
		}
		if !strings.HasSuffix(url, "/favicon.ico") && !slices.ContainsFunc(b.documents, func(d document) bool { return d.url == url }) {
			b.t.Errorf("the browser reports %s (%s)", f.text, url)
		}
	}
}
