package portal

import (
	"fmt"
	"testing"
	"time"
)

func TestTheBrowserCookieKnowsTheLastAccounts(t *testing.T) {
	now := time.Unix(1e9, 0)
	b, until := newDevice(), now.Add(time.Minute)
	for i := range maxKnown {
		b = b.remember(fmt.Sprint(i), until)
	}
	b = b.remember("1", until).remember("new", until)
	if len(b.Known) != maxKnown || b.Known[0].As != "new" || b.Known[1].As != "1" || b.knows("0", now) || !b.knows("2", now) || b.knows("2", until) {
		t.Fatalf("knows %v", b.Known)
	}
}
