package session_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// formats is a node of each format on one store.
func formats(t *testing.T, p session.Policy) (nodes []*session.Sessions, store storage.Store, c *clock) {
	t.Helper()
	c = newClock()
	store = memory.New(memory.Options{Now: c.Now})
	for _, f := range []records.Format{records.JSON, records.CBOR} {
		cache := session.NewCache(store, session.CacheOptions{Now: c.Now})
		t.Cleanup(cache.Close)
		p.Format = f
		nodes = append(nodes, session.New(cache, p))
	}
	return nodes, store, c
}

func TestNodesOfBothFormatsShareSessions(t *testing.T) {
	nodes, store, c := formats(t, session.Policy{Idle: time.Hour})
	ctx := t.Context()
	for i, at := range nodes {
		other := nodes[1-i]
		token, begun, err := at.Begin(ctx, session.SignIn{User: ada, Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", From: "2001:db8::1"})
		if err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
		sso, err := other.Check(ctx, token.Encode())
		if err != nil || sso.Key() != begun.Key() || !reflect.DeepEqual(sso.User(), ada) || !sso.Expires().Equal(begun.Expires()) {
			t.Fatalf("the other node has %+v, %v", sso, err)
		}
		var sites []string
		for _, node := range []*session.Sessions{at, other} {
			site, err := node.BeginSite(ctx, sso, "wiki", "a transaction")
			if err != nil {
				t.Fatal(err)
			}
			sites = append(sites, site.Encode())
		}
		for _, node := range nodes {
			for _, site := range sites {
				if s, err := node.CheckSite(ctx, site, "wiki"); err != nil || s.Key() != begun.Key() {
					t.Error("a site session does not count:", err)
				}
				if tx, ok := node.SiteTransaction(ctx, site, "wiki"); !ok || tx != "a transaction" {
					t.Errorf("the transaction is %q", tx)
				}
			}
			all, err := node.OfUser(ctx, ada.Subject)
			if err != nil || len(all) != i+1 || all[0].Key() != begun.Key() {
				t.Errorf("listed are %v, %v", all, err)
			}
			if all[0].Agent() != "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0" || all[0].From() != "2001:db8::1" {
				t.Errorf("the device is %q, %q", all[0].Agent(), all[0].From())
			}
			if found, err := node.Find(ctx, begun.ID()); err != nil || found.Key() != begun.Key() {
				t.Error("not found by its ID:", err)
			}
		}
	}
	if n, err := nodes[0].EndUser(ctx, ada.Subject); n != 2 || err != nil {
		t.Fatalf("ended %d, %v", n, err)
	}
	c.Advance(time.Second) // lists that have become empty go
	err := store.Scan(ctx, "", func(key string, value []byte) error {
		t.Errorf("left is %q", key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClass24TheBoundIsOneForBothFormats(t *testing.T) {
	nodes, _, c := formats(t, session.Policy{PerUser: 3})
	var begun []string
	for i := range 8 {
		_, s, err := nodes[i%2].Begin(t.Context(), session.SignIn{User: ada})
		if err != nil {
			t.Fatal(err)
		}
		begun = append([]string{s.ID()}, begun...)
		c.Advance(3 * time.Minute)
		for _, node := range nodes {
			all, err := node.OfUser(t.Context(), ada.Subject)
			var ids []string
			for _, s := range all {
				ids = append(ids, s.ID())
			}
			if want := begun[:min(len(begun), 3)]; err != nil || !slices.Equal(ids, want) {
				t.Fatalf("after %d sign-ins there are %v, want %v; %v", i+1, ids, want, err)
			}
		}
	}
}

// changed changes the fields of a stored record.
func changed(t *testing.T, store storage.Store, key string, change func(fields map[any]any)) {
	t.Helper()
	value := stored(t, store, key)
	fields := fieldsOf(t, value)
	change(fields)
	var next []byte
	var err error
	if records.FormatOf(value) == records.CBOR {
		next, err = cbor.Marshal(fields)
	} else {
		named := make(map[string]any)
		for name, field := range fields {
			named[name.(string)] = field
		}
		next, err = json.Marshal(named)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), key, next, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, store storage.Store, key string) []byte {
	t.Helper()
	value, ok, err := store.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("%q is not stored: %v", key, err)
	}
	return value
}

func fieldsOf(t *testing.T, value []byte) map[any]any {
	t.Helper()
	fields := make(map[any]any)
	if records.FormatOf(value) == records.CBOR {
		if err := cbor.Unmarshal(value, &fields); err != nil {
			t.Fatal(err)
		}
		return fields
	}
	var named map[string]any
	if err := json.Unmarshal(value, &named); err != nil {
		t.Fatal(err)
	}
	for name, field := range named {
		fields[name] = field
	}
	return fields
}

// version is the name of a record's version.
func version() any {
	if format == records.CBOR {
		return uint64(0)
	}
	return "v"
}

func TestWhatTheNextReleaseAddsToASessionStays(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, s := w.begin()
	changed(t, w.store, w.storeKey(s), func(fields map[any]any) {
		fields[version()] = 2
		fields["device"] = map[any]any{"kind": "phone"}
		if format == records.CBOR {
			fields[200] = []byte{1, 2, 3}
		} else {
			fields["device"] = map[string]any{"kind": "phone"}
		}
	})
	before := fieldsOf(t, stored(t, w.store, w.storeKey(s)))
	w.clock.Advance(30 * time.Minute)
	used := w.check(cookie)
	if _, err := w.BeginSite(t.Context(), used, "wiki", ""); err != nil {
		t.Fatal(err)
	}
	if !used.Seen().Equal(w.clock.Now()) {
		t.Fatal("its use was not written down")
	}
	after := fieldsOf(t, stored(t, w.store, w.storeKey(s)))
	for name, field := range before {
		if name == "device" || name == version() || name == uint64(200) {
			if !reflect.DeepEqual(after[name], field) {
				t.Errorf("%v was %v and is %v", name, field, after[name])
			}
		}
	}
	if maps.EqualFunc(before, after, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		t.Error("nothing was written")
	}
}

// What is a version too new is no reason to end anything, to sign anybody out, or
// to take the store for silent.
func TestASessionOfANewerReleaseIsLeftAlone(t *testing.T) {
	w := newWorld(t, session.Policy{PerUser: 2})
	ctx := t.Context()
	cookie, s := w.begin()
	site, err := w.BeginSite(ctx, s, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckSite(ctx, site.Encode(), "wiki"); err != nil {
		t.Fatal(err)
	}
	attached, release := w.Attach(ctx, w.check(cookie))
	defer release()
	changed(t, w.store, w.storeKey(s), func(fields map[any]any) {
		fields[version()] = 3
		for name := range fields {
			if name != version() {
				fields[name] = true // whatever it is by then
			}
		}
	})
	newer := stored(t, w.store, w.storeKey(s))
	if _, err := w.Check(ctx, cookie); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, records.ErrVersion) || errors.Is(err, session.ErrNone) {
		t.Errorf("checking it: %v", err)
	}
	if _, err := w.CheckSite(ctx, site.Encode(), "wiki"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("checking its site session: %v", err)
	}
	if _, err := w.OfUser(ctx, ada.Subject); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("listing: %v", err)
	}
	if _, err := w.Stored(ctx, s.Key()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("asking for it: %v", err)
	}
	if _, _, err := w.ProviderSession(ctx, s.Key()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("asking for what it keeps: %v", err)
	}
	if _, err := w.EndMatching(ctx, func(*session.Session) bool { return false }); !errors.Is(err, records.ErrVersion) {
		t.Errorf("looking for sessions: %v", err)
	}
	if _, err := w.Check(ctx, (session.Token{9}).Encode()); err != session.ErrNone {
		t.Errorf("a made-up token: %v", err)
	}
	w.store.lose()
	if _, err := w.CheckSite(ctx, site.Encode(), "wiki"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("checking its site session after an interruption: %v", err)
	}
	eventually(t, "all is read again", w.cache.Settled)
	w.clock.Advance(5 * time.Minute)
	w.begin()
	if attached.Err() != nil {
		t.Error("its request was ended")
	}
	if got := stored(t, w.store, w.storeKey(s)); !slices.Equal(got, newer) {
		t.Errorf("it is %q, and was %q", got, newer)
	}
	stored(t, w.store, storeKey("site:", site.Key()))

	// It takes a seat, and is on the list that ends all sessions.
	if n, err := w.EndUser(ctx, ada.Subject); err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if n := w.stored(t, "session:"); n != 0 {
		t.Errorf("%d are left", n)
	}
	if _, err := w.Check(ctx, cookie); err != session.ErrNone {
		t.Errorf("after its end: %v", err)
	}
}

func TestASiteSessionOfANewerReleaseIsLeftAlone(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, s := w.begin()
	site, err := w.BeginSite(t.Context(), s, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	key := storeKey("site:", site.Key())
	changed(t, w.store, key, func(fields map[any]any) { fields[version()] = 2; fields["more"] = "x" })
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
		t.Errorf("of the next version: %v", err)
	}
	changed(t, w.store, key, func(fields map[any]any) { fields[version()] = 3 })
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("of a newer version: %v", err)
	}
	stored(t, w.store, key)
}
