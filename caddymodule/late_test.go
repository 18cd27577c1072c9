package caddymodule

import "testing"

// Caddy cleans a configuration up while its servers still read requests.
func TestALateRequestOfTheOldConfigurationUsesTheStoreOfTheNewOne(t *testing.T) {
	w := newWorld(t)
	s := setup{}
	w.mustLoad(s)
	old := w.running()
	handled := old.opened.Load()
	s.global = "session {\nidle 1h\n}"
	w.mustLoad(s)
	if old.opened.Load() != nil {
		t.Fatal("the old configuration was not cleaned up")
	}

	first, err := old.runtime() // by a handler that served nobody before
	if err != nil || first != handled {
		t.Fatalf("a late request finds no store: %v", err)
	}
	for range 3 {
		if !first.Hold() {
			t.Fatal("a late request cannot hold the store")
		}
	}
	if n := references(first.Identity); n != 2 {
		t.Errorf("%d hold the store, not one configuration each", n)
	}
	for range 3 {
		first.Release()
	}
	if n := references(first.Identity); n != 1 {
		t.Errorf("%d hold the store after the late requests", n)
	}

	s.storage = "storage file DIR/another.db"
	w.mustLoad(s)
	if first.Hold() {
		t.Error("a late request holds a store that is closed")
	}
}
