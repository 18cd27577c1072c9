package portal_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
)

// A waitingStep holds up every sign-in until it is done.
type waitingStep struct {
	done  bool
	users []session.User
}

func (s *waitingStep) Check(_ *http.Request, f portal.FirstFactor) (*portal.Pending, error) {
	s.users = append(s.users, f.User)
	if s.done {
		return nil, nil
	}
	return &portal.Pending{
		Page:  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		Error: &oauth.Error{Kind: oauth.Denied, Description: "Another step is pending."},
	}, nil
}

func TestEverySignInGoesThroughTheSteps(t *testing.T) {
	for name, signIn := range map[string]func(f *outsideFixture, b *visitor) *httptest.ResponseRecorder{
		"the page": func(_ *outsideFixture, b *visitor) *httptest.ResponseRecorder {
			return b.try("demo", "demo password")
		},
		"an HTTP API": func(_ *outsideFixture, b *visitor) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			if _, refusal := b.api("demo", "demo password"); refusal != nil {
				if refusal.Description != "Another step is pending." {
					t.Errorf("the API says %v", refusal)
				}
				w.Code = http.StatusTeapot
			}
			return w
		},
		"the callback of a provider": func(_ *outsideFixture, b *visitor) *httptest.ResponseRecorder {
			return b.back("acme", b.leave(b.open(portal.SignInPath), "acme"), "ann")
		},
	} {
		f, step, second := newOutsideFixture(t), new(waitingStep), new(waitingStep)
		f.hosted.Steps = []portal.Step{step, second}
		second.done = true
		b := f.visitor()
		if w := signIn(f, b); w.Code != http.StatusTeapot || b.session() != "" {
			t.Errorf("%s: status %d and session %q while a step is pending", name, w.Code, b.session())
		}
		if len(step.users) != 1 || step.users[0].Subject == "" || len(second.users) != 0 {
			t.Errorf("%s: the steps saw %v and %v", name, step.users, second.users)
		}
		step.done = true
		if w := signIn(f, b); w.Code != http.StatusOK || f.who(b.session()) == "" {
			t.Errorf("%s: status %d once nothing is pending", name, w.Code)
		}
		if len(second.users) != 1 {
			t.Errorf("%s: the second step saw %v", name, second.users)
		}
	}
}

type brokenStep struct{}

func (brokenStep) Check(*http.Request, portal.FirstFactor) (*portal.Pending, error) {
	return nil, faultystore.ErrDown
}

func TestAStepThatFailsBeginsNoSession(t *testing.T) {
	f := newFixture(t)
	f.hosted.Steps = []portal.Step{brokenStep{}}
	b := f.visitor()
	want(t, b.try("demo", "demo password"), http.StatusServiceUnavailable)
	if _, refusal := b.api("demo", "demo password"); refusal == nil || refusal.Kind != oauth.Internal {
		t.Errorf("the API says %v", refusal)
	}
	if b.session() != "" {
		t.Error("a session began")
	}
}
