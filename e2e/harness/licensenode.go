package harness

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/licenseclient"
)

// NodeOptions are what the licensed software in Node is told.
type NodeOptions struct {
	API          string `json:"api"`
	Backend      string `json:"backend"`
	APIKey       string `json:"apiKey"`
	SharedKey    string `json:"sharedKey"`
	Product      string `json:"product"`
	Account      string `json:"account"`
	Hardware     string `json:"hardware"`
	ResponseType string `json:"responseType,omitempty"`
}

// NodeOptions are those of software that is configured as its vendor does it.
func (l *License) NodeOptions(portal string) NodeOptions {
	return NodeOptions{
		API: portal, Backend: l.Gate, APIKey: APIKey, SharedKey: SharedKey,
		Product: "demo", Account: "other", Hardware: "66:77:88:99:aa:bb",
	}
}

// A NodeApp is the licensed software in Node, while it runs.
type NodeApp struct {
	URL         string // where the user has to sign in
	RedirectURI string // where the browser brings the answer

	script *Script
}

// A NodeActivation is what came of it.
type NodeActivation struct {
	Status     int    // of the answer to the activation
	Body, Sent string // of that answer, and of the request

	Answer map[string]string // what the browser brought
}

// StartNodeApp starts it, and waits until it knows where to sign in.
func StartNodeApp(tb testing.TB, o NodeOptions) (*NodeApp, error) {
	tb.Helper()
	a := &NodeApp{script: StartScript(tb, "licenseclient/node/client.mjs", o)}
	line, err := a.next()
	a.URL, a.RedirectURI = line.URL, line.RedirectURI
	return a, err
}

// Fragment does what the script on the software's page does, for browsers that
// run none.
func (a *NodeApp) Fragment(browser *Client, page *Response) error {
	r, err := http.NewRequest(http.MethodPost, a.RedirectURI+"/fragment", strings.NewReader(page.URL.EscapedFragment()))
	if err != nil {
		return err
	}
	_, err = browser.Do(r)
	return err
}

// Finish waits for the answer, and for the activation that follows.
func (a *NodeApp) Finish() (NodeActivation, error) {
	line, err := a.next()
	done := NodeActivation{Answer: line.Answer}
	if err != nil || done.Answer["error"] != "" {
		return done, err
	}
	line, err = a.next()
	done.Status, done.Body, done.Sent = line.Status, line.Body, line.Sent
	return done, err
}

type nodeLine struct {
	Failed      string            `json:"failed"`
	URL         string            `json:"url"`
	RedirectURI string            `json:"redirectURI"`
	Answer      map[string]string `json:"answer"`
	Status      int               `json:"status"`
	Body        string            `json:"body"`
	Sent        string            `json:"sent"`
}

func (a *NodeApp) next() (nodeLine, error) {
	var line nodeLine
	err := a.script.Next(&line)
	switch {
	case err != nil:
	case line.Failed == "sso_url":
		err = licenseclient.ReadError(line.Status, []byte(line.Body))
	case line.Failed != "":
		err = errors.New("the client in Node: " + line.Failed)
	}
	return line, err
}
