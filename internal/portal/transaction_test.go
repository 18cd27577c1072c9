package portal

import (
	"net/url"
	"testing"
)

func TestTheSignInPageForAnotherAccountAsksToSwitch(t *testing.T) {
	if u, err := url.Parse(signInContext{}.address(true)); err != nil || u.String() != SignInPath+"?switch=1" {
		t.Errorf("%v, %v", u, err)
	}
}
