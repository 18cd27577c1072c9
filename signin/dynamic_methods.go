package signin

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/session"
)

// DynamicMethods is a member of [Methods] that stands for ways which come and go while the
// configuration stays. They count only where they are named, by their IDs: never
// where all ways do. No way has the ID of the member itself, and nobody signs in by
// it.
type DynamicMethods interface {
	Method

	// ByID returns the way with an ID, nil where there is none now.
	ByID(id string) Method
}

// find is the way with an ID, nil where there is none.
func (ws Methods) find(id string) Method {
	for _, w := range ws {
		if w.ID() == id {
			return w
		}
	}
	return ws.dynamic(id)
}

// dynamic is the way with an ID among those that come and go.
func (ws Methods) dynamic(id string) Method {
	for _, w := range ws {
		if changing, ok := w.(DynamicMethods); ok {
			if found := changing.ByID(id); found != nil {
				return found
			}
		}
	}
	return nil
}

// methodMark is the mark of a way that comes and goes, "" of any other.
func methodMark(method Method) string {
	if marked, ok := method.(interface{ Mark() string }); ok {
		return marked.Mark()
	}
	return ""
}

// marked says whether a user signed in by a way with this mark, where it has one: an
// ID may have been another customer's way before. Whether a user of another way, to
// whom this one leads, has is seen where both are known.
func marked(u session.User, mark string) bool {
	return mark == "" || u.Linked != "" || u.Mark == mark
}

// Mark is on every user who signs in by this method, "" where there is none.
func (p *Provider) Mark() string { return p.o.Mark }

// Close lets go of the provider's idle connections, once nobody begins to sign in by
// it any more. What is under way goes on.
func (p *Provider) Close() { p.client.CloseIdleConnections() }

// CloseIdleConnections has [http.Client] reach the connections.
func (b boundedAnswers) CloseIdleConnections() {
	(&http.Client{Transport: b.RoundTripper}).CloseIdleConnections()
}
