package oauth_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// product is licensed software with n seats.
func (w *world) product(n int, deny bool, told oauth.Provisioner) *oauth.LicenseRequest {
	return &oauth.LicenseRequest{
		Product: &oauth.Product{Code: "demo", Client: w.client("1"), Seats: oauth.Seats{Limit: n, Deny: deny}, Provision: told},
		Account: &oauth.CustomerAccount{Code: "acme"},
	}
}

func (w *world) live(subject string) int {
	w.t.Helper()
	all, err := w.Sessions.OfUser(w.t.Context(), subject)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(all)
}

func TestASeatIsTakenOnceBySession(t *testing.T) {
	w := newWorld(t)
	r := w.product(1, true, nil)
	_, in := w.signIn(ada)
	for range 3 {
		if refusal := w.Admit(t.Context(), r, in, ""); refusal != nil {
			t.Fatal(refusal)
		}
	}
}

func TestTheOldestSessionGivesUpItsSeat(t *testing.T) {
	w := newWorld(t)
	r := w.product(2, false, nil)
	var cookies []string
	for range 3 {
		cookie, in := w.signIn(ada)
		cookies = append(cookies, cookie)
		if refusal := w.Admit(t.Context(), r, in, ""); refusal != nil {
			t.Fatal(refusal)
		}
		w.clock.Advance(time.Second)
	}
	for i, alive := range []bool{false, true, true} {
		_, err := w.SignedIn(t.Context(), cookies[i])
		if alive != (err == nil) {
			t.Errorf("session %d lives: %v, want %v", i, err == nil, alive)
		}
	}
}

func TestASessionWithoutASeatIsDeniedUntilOneIsFree(t *testing.T) {
	w := newWorld(t)
	r := w.product(1, true, nil)
	_, first := w.signIn(ada)
	_, second := w.signIn(ada)
	if refusal := w.Admit(t.Context(), r, first, ""); refusal != nil {
		t.Fatal(refusal)
	}
	wantKind(t, w.Admit(t.Context(), r, second, ""), oauth.NoSeat)
	if n := w.live(ada.Subject); n != 2 {
		t.Errorf("%d sessions live after a denial, want both", n)
	}
	all, err := w.Sessions.OfUser(t.Context(), ada.Subject)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := w.SeatsTaken(t.Context(), r.Product, all)
	if err != nil || len(taken) != 1 || taken[0] != first.Session.Key() {
		t.Errorf("the seats are taken by %v (%v), want the first session", taken, err)
	}
	if err := w.EndSession(t.Context(), first, ""); err != nil {
		t.Fatal(err)
	}
	if refusal := w.Admit(t.Context(), r, second, ""); refusal != nil {
		t.Errorf("refused with a seat free: %v", refusal)
	}
}

func TestClass14AnInvalidSessionHasNoSeat(t *testing.T) {
	w := newWorld(t)
	w.Users = byMark{}
	r := w.product(1, true, nil)
	before, now := ada, ada
	before.Mark = "of another password"
	_, first := w.signIn(before)
	if refusal := w.Admit(t.Context(), r, first, ""); refusal != nil {
		t.Fatal(refusal)
	}
	_, second := w.signIn(now)
	if refusal := w.Admit(t.Context(), r, second, ""); refusal != nil {
		t.Errorf("an old session, which is not valid, keeps its seat: %v", refusal)
	}
}

// byMark are users whose sessions of another password are not valid.
type byMark struct{}

func (byMark) Current(u session.User) (session.User, bool) { return u, u.Mark == ada.Mark }

func TestSeatsAreEachUsersOwn(t *testing.T) {
	w := newWorld(t)
	r := w.product(1, true, nil)
	bob := session.User{Subject: "0a7a3f9c-54b0-4f0a-8d6e-1f2d3c4b5a69", Name: "bob"}
	for _, u := range []session.User{ada, bob} {
		_, in := w.signIn(u)
		if refusal := w.Admit(t.Context(), r, in, ""); refusal != nil {
			t.Errorf("%s: %v", u.Name, refusal)
		}
	}
}

func TestTheLimitOfSeatsHoldsForConcurrentSignIns(t *testing.T) {
	w := newWorld(t)
	r := w.product(3, true, nil)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		admitted int
	)
	for range 20 {
		_, in := w.signIn(ada)
		wg.Go(func() {
			refusal := w.Admit(context.Background(), r, in, "")
			mu.Lock()
			defer mu.Unlock()
			if refusal == nil {
				admitted++
			} else if refusal.Kind != oauth.NoSeat {
				t.Error(refusal)
			}
		})
	}
	wg.Wait()
	if admitted != 3 {
		t.Errorf("%d sessions were admitted to 3 seats", admitted)
	}
}

// A session that is about to end and a session that has just begun have a seat.
func TestASeatIsKeptLongerThanOlderSessions(t *testing.T) {
	w := newWorld(t)
	r := w.product(2, true, nil)
	older, in := w.signIn(ada)
	live := func(cookie string) {
		t.Helper()
		w.clock.Advance(20 * time.Hour)
		if _, err := w.SignedIn(t.Context(), cookie); err != nil {
			t.Fatal(err)
		}
	}
	for range 34 {
		live(older)
	}
	younger, second := w.signIn(ada)
	for _, in := range []oauth.SignedIn{second, in} {
		if refusal := w.Admit(t.Context(), r, in, ""); refusal != nil {
			t.Fatal(refusal)
		}
	}
	for range 3 {
		live(younger)
	}
	_, third := w.signIn(ada)
	if refusal := w.Admit(t.Context(), r, third, ""); refusal != nil {
		t.Fatal("the seat of the session that has ended is not free:", refusal)
	}
	_, fourth := w.signIn(ada)
	wantKind(t, w.Admit(t.Context(), r, fourth, ""), oauth.NoSeat)
}

func TestASessionThatCannotBeEndedNowGivesUpItsSeatLater(t *testing.T) {
	w := newWorld(t)
	r := w.product(1, false, nil)
	cookie, oldest := w.signIn(ada)
	_, newest := w.signIn(ada)
	if refusal := w.Admit(t.Context(), r, oldest, ""); refusal != nil {
		t.Fatal(refusal)
	}
	w.store.FailMethods("Take")
	wantKind(t, w.Admit(t.Context(), r, newest, ""), oauth.Internal)
	wantKind(t, w.Admit(t.Context(), r, oldest, ""), oauth.NoSeat)
	all, err := w.Sessions.OfUser(t.Context(), ada.Subject)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := w.SeatsTaken(t.Context(), r.Product, all)
	if err != nil || len(taken) != 1 || taken[0] != newest.Session.Key() {
		t.Errorf("the seat is taken by %v (%v), want the newest session", taken, err)
	}
	w.store.Down(false)
	if refusal := w.Admit(t.Context(), r, newest, ""); refusal != nil {
		t.Fatal(refusal)
	}
	if _, err := w.SignedIn(t.Context(), cookie); err == nil {
		t.Error("two sessions are active with one seat")
	}
}

func TestAStoreThatIsDownGivesNoSeat(t *testing.T) {
	w := newWorld(t)
	r := w.product(1, true, nil)
	_, in := w.signIn(ada)
	w.store.Down(true)
	wantKind(t, w.Admit(t.Context(), r, in, ""), oauth.Internal)
}

// backend records the first sign-ins, and can fail.
type backend struct {
	told []oauth.FirstSignIn
	err  error
}

func (b *backend) Provision(_ context.Context, first oauth.FirstSignIn) error {
	b.told = append(b.told, first)
	return b.err
}

func TestTheBackendIsNotifiedOfTheFirstSignIn(t *testing.T) {
	w := newWorld(t)
	told := &backend{err: errors.New("down")}
	r := w.product(0, false, told)
	_, in := w.signIn(ada)
	wantKind(t, w.Admit(t.Context(), r, in, ""), oauth.Unprovisioned)
	told.err = nil
	for range 3 {
		_, in := w.signIn(ada)
		if refusal := w.Admit(t.Context(), r, in, ""); refusal != nil {
			t.Fatal(refusal)
		}
	}
	if len(told.told) != 2 {
		t.Fatalf("told %d times, want the time that failed and one more", len(told.told))
	}
	if got := told.told[1]; got.Product != "demo" || got.Account != "acme" || got.User.Subject != ada.Subject || !got.At.Equal(w.clock.Now()) {
		t.Errorf("told %+v", got)
	}
}
