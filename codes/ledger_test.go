package codes

import (
	"testing"
	"time"
)

func TestALedgerWithoutCodesIsEmpty(t *testing.T) {
	g := newLedger()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := Limits{}.withDefaults()
	for i := range 20 {
		e := entry{session: [32]byte{byte(i % 4)}, subject: []string{"", "a", "b"}[i%3], expires: now.Add(time.Duration(1+i%2) * time.Minute)}
		if err := g.add(codeID{byte(i)}, e, l, now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		g.remove(codeID{byte(i)})
	}
	g.sweep(now.Add(time.Hour))
	if n := g.live.Len(); n != 0 || len(g.sessions) != 0 || len(g.subjects) != 0 {
		t.Errorf("%d codes, %d sessions and %d users are left", n, len(g.sessions), len(g.subjects))
	}
}
