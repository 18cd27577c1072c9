//go:build unix

package oauth_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func TestTwoNodesShareAConsent(t *testing.T) {
	both := nodes(t, redistest.Start(t).URL())
	for _, w := range both {
		asking(t, w)
	}
	_, in := both[0].signIn(ada)
	both[0].allow(both[0].asks("email"), in)
	if !both[1].getsCode(both[1].asks("email"), in) || both[1].getsCode(both[1].asks("email", "profile"), in) {
		t.Error("the other node does not know it")
	}
	// An answer of the consent page is accepted once, at any node.
	ask := func(w *world) bool {
		a := w.asks("email")
		a.PromptConsent = true
		return w.getsCode(a, in)
	}
	a := both[0].asks("email")
	a.PromptConsent = true
	both[0].allow(a, in)
	if !ask(both[1]) || ask(both[0]) {
		t.Error("an answer is accepted at only one node, or twice")
	}
	if err := both[1].Withdraw(t.Context(), in, "6", "", "ended by its user"); err != nil {
		t.Fatal(err)
	}
	if both[0].getsCode(both[0].asks("email"), in) {
		t.Error("it is not withdrawn at the first node")
	}
}
