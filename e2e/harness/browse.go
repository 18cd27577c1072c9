package harness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

const maxRedirects = 20 // as browsers have it

// navigate does what a browser does when a page is opened or a form is sent: it
// follows redirects, and pages that lead on at once. from is the page that leads
// there; nil: the address bar. bound says that its policy keeps the answers of
// its forms from leading to another origin.
func (c *Client) navigate(from *url.URL, method string, to *url.URL, form url.Values, bound bool) (*Response, error) {
	site := "none"
	posted := form != nil && bound
	var seen []string
	for range maxRedirects {
		if from != nil {
			site = fetchSite(site, from, to)
		}
		var body io.Reader
		if form != nil {
			body = strings.NewReader(form.Encode())
		}
		r, err := http.NewRequest(method, to.String(), body)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		r.Header.Set("Sec-Fetch-Site", site)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
		resp, err := c.Do(r)
		if err != nil {
			return nil, err
		}
		seen = append(seen, to.String())
		resp.Seen = seen
		location := resp.Header.Get("Location")
		redirects := resp.Status >= 300 && resp.Status <= 399 && location != ""
		if !redirects {
			if location = resp.refresh(); location == "" {
				return resp, nil
			}
		}
		next, err := to.Parse(location)
		if err != nil {
			return nil, err
		}
		if !redirects && next.Scheme != "http" && next.Scheme != "https" {
			return resp, nil // an application takes it, and the page stays
		}
		switch {
		case !redirects: // a navigation of its own
			site, from, posted = "none", to, false
		case posted && (next.Scheme != to.Scheme || next.Host != to.Host):
			return nil, fmt.Errorf("the answer of a form redirects to %s, where form-action 'self' stops a browser", next)
		case from == nil:
			from = next // a redirect from the address bar keeps "none"
		default:
			from = to
		}
		to, method, form = next, http.MethodGet, nil
	}
	return nil, fmt.Errorf("more than %d redirects: %s", maxRedirects, strings.Join(seen, " → "))
}

// refresh is where a page leads at once without being asked, or "". The pages
// here put nothing before or behind the URL.
func (r *Response) refresh() string {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		return ""
	}
	root, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return ""
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "meta" && strings.EqualFold(attribute(n, "http-equiv"), "refresh") {
			if address, found := strings.CutPrefix(attribute(n, "content"), "0;url="); found {
				return address
			}
		}
	}
	return ""
}

// fetchSite is Sec-Fetch-Site: it gets worse along a chain of redirects, never
// better. Hosts that differ are taken for different sites.
func fetchSite(before string, from, to *url.URL) string {
	switch {
	case before == "cross-site" || from.Hostname() != to.Hostname():
		return "cross-site"
	case before == "same-site" || from.Host != to.Host || from.Scheme != to.Scheme:
		return "same-site"
	}
	return "same-origin"
}

// A Form is one of a page's.
type Form struct {
	Method string
	Action *url.URL
	Values url.Values // of its hidden fields and of those with a value

	// Buttons are those that send it with a value of their own.
	Buttons []Button

	page  *url.URL
	bound bool // see navigate
}

// A Button sends a form with one more value. Its label is what a screen reader
// says.
type Button struct{ Name, Value, Label string }

// Form finds the form of a page that has a field, or, with "", its first form.
func (r *Response) Form(field string) (*Form, error) {
	root, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		form, err := r.form(n)
		if err != nil {
			return nil, err
		}
		if field == "" || form.Values.Has(field) {
			return form, nil
		}
	}
	return nil, fmt.Errorf("%s (%d) has no form with a field %q:\n%s", r.URL, r.Status, field, r.Body)
}

func (r *Response) form(n *html.Node) (*Form, error) {
	action, err := r.URL.Parse(attribute(n, "action"))
	if err != nil {
		return nil, err
	}
	form := &Form{Method: strings.ToUpper(attribute(n, "method")), Action: action, Values: url.Values{}, page: r.URL}
	form.bound = strings.Contains(r.Header.Get("Content-Security-Policy"), "form-action 'self'")
	for child := range n.Descendants() {
		switch {
		case child.Type == html.ElementNode && child.Data == "input":
			form.Values.Set(attribute(child, "name"), attribute(child, "value"))
		case child.Type == html.ElementNode && child.Data == "button" && attribute(child, "name") != "":
			label := attribute(child, "aria-label")
			if label == "" {
				label = text(child)
			}
			form.Buttons = append(form.Buttons, Button{attribute(child, "name"), attribute(child, "value"), label})
		}
	}
	return form, nil
}

// Press sends a form by one of its buttons.
func (c *Client) Press(f *Form, b Button) (*Response, error) {
	f.Values.Set(b.Name, b.Value)
	return c.Submit(f)
}

// Text is what a page says, without its head, with single spaces.
func (r *Response) Text() string {
	root, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return ""
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "body" {
			return text(n)
		}
	}
	return ""
}

// LinkSaying finds where the link with a text leads.
func (r *Response) LinkSaying(label string) (string, error) {
	root, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return "", err
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && text(n) == label {
			to, err := r.URL.Parse(attribute(n, "href"))
			if err != nil {
				return "", err
			}
			return to.String(), nil
		}
	}
	return "", fmt.Errorf("%s (%d) has no link %q:\n%s", r.URL, r.Status, label, r.Body)
}

func text(n *html.Node) string {
	var b strings.Builder
	for child := range n.Descendants() {
		if child.Type == html.TextNode {
			b.WriteString(child.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Submit sends a form from its page, and follows where it leads.
func (c *Client) Submit(f *Form) (*Response, error) {
	if f.Method != http.MethodPost {
		return nil, errors.New("the form does not post")
	}
	return c.navigate(f.page, http.MethodPost, f.Action, f.Values, f.bound)
}

// SignIn opens a page, signs in where it leads to, and returns the page that it
// ends at.
func (c *Client) SignIn(target string, u User) *Response {
	c.tb.Helper()
	resp, err := c.TrySignIn(target, u)
	if err != nil {
		c.tb.Fatal(err)
	}
	return resp
}

// TrySignIn is SignIn, and returns what went wrong.
func (c *Client) TrySignIn(target string, u User) (*Response, error) {
	page, err := c.TryOpen(target)
	if err != nil {
		return nil, err
	}
	form, err := page.Form("password")
	if err != nil {
		return nil, err
	}
	form.Values.Set("username", u.Name)
	form.Values.Set("password", u.Password)
	resp, err := c.Submit(form)
	if err != nil {
		return nil, err
	}
	if _, err := resp.Form("password"); err == nil {
		return nil, fmt.Errorf("signing in as %s: the page asks again (%d):\n%s", u.Name, resp.Status, resp.Body)
	}
	return resp, nil
}

// StopAt submits a form, follows where it leads, and stops before an address
// that has a beginning: it returns that address.
func (c *Client) StopAt(f *Form, beginning string) (string, error) {
	next, form := f.Action, f.Values
	method := f.Method
	for range maxRedirects {
		var body io.Reader
		if form != nil {
			body = strings.NewReader(form.Encode())
		}
		r, err := http.NewRequest(method, next.String(), body)
		if err != nil {
			return "", err
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := c.Do(r)
		if err != nil {
			return "", err
		}
		if next, err = next.Parse(resp.Header.Get("Location")); err != nil {
			return "", err
		}
		if strings.HasPrefix(next.String(), beginning) {
			return next.String(), nil
		}
		method, form = http.MethodGet, nil
	}
	return "", fmt.Errorf("never came to %s", beginning)
}
