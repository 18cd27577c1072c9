package caddymodule

import (
	"net/http"
	"regexp"
	"testing"
	"time"
)

var storedMark = regexp.MustCompile(`,?"(mark|Mark)":"[^"]+"`)

func TestClass14WhatBeganWithAPasswordThatNobodyKnowsIsNobodys(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	page := "http://" + w.site + "/"
	v, launcher := w.visitor(), w.visitor()
	v.signIn(page)
	held := launcher.tokens()

	// As a version wrote it that had no marks.
	store, written := w.running().opened.Load().State.Store, map[string][]byte{}
	err := store.Scan(t.Context(), "", func(key string, value []byte) error {
		if storedMark.Match(value) {
			written[key] = storedMark.ReplaceAll(value, nil)
		}
		return nil
	})
	if err != nil || len(written) != 3 {
		t.Fatalf("%d sessions and grants have a mark, want 3; %v", len(written), err)
	}
	for key, value := range written {
		if err := store.Put(t.Context(), key, value, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.getOnce(page); got.StatusCode != http.StatusFound {
		t.Errorf("the session counts: %s", got.Status)
	}
	if got := launcher.refresh(held.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("the refresh token counts: %s: %s", got.Status, got.body)
	}
	if launcher.valid(held.Access) {
		t.Error("the access token counts")
	}
	if got := v.signIn(page); got.body != "hello demo" {
		t.Errorf("signing in again: %s: %s", got.Status, got.body)
	}
}
