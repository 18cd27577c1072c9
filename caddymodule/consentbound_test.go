package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// wantAskedAgain wants the consent page again, and nothing given away.
func wantAskedAgain(t *testing.T, got answered, why string) {
	t.Helper()
	if got.StatusCode != http.StatusConflict || !strings.Contains(reads(got), why) || !strings.Contains(got.body, `name="decision"`) {
		t.Errorf("%s: %s", got.Status, reads(got))
	}
}

const somethingChanged = "Something changed since you opened this page"

func TestClass22AnAnswerCountsForTheVeryRequestAndSessionThatWereAsked(t *testing.T) {
	for _, door := range []string{loginDoor, openIDDoor} {
		t.Run(door, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{global: asking, local: "user eve HASH"})
			fresh := func() (*visitor, answered) {
				v := w.allowing()
				return v, v.consentPage(w.asks(door, "8", "email"))
			}
			nothing := func(v *visitor) {
				t.Helper()
				v.consentPage(w.asks(door, "8", "email"))
			}

			// Made up, or posted by another site.
			v, page := fresh()
			wantAskedAgain(t, v.answer(page, "allow", "transaction", ""), "This form is no longer valid")
			wantAskedAgain(t, v.answer(page, "allow", "transaction", strings.Repeat("A", 200)), "This form is no longer valid")
			forged := v.request(http.MethodPost, page.Request.URL.String(), url.Values{"decision": {"allow"}, "transaction": {transactionOf(t, page)}}.Encode())
			forged.Header.Set("Sec-Fetch-Site", "cross-site")
			forged.Header.Set("Origin", "https://evil.example")
			if got := v.send(forged); got.StatusCode != http.StatusForbidden {
				t.Errorf("a form of another site: %s", got.Status)
			}
			wantAskedAgain(t, v.answer(page, "neither"), "Allow Careful ?")
			nothing(v)

			// Of another session, of the same user or of another one.
			thief := w.visitor()
			thief.submit(thief.get("http://"+w.portal+"/sso/sign_in"), "eve", "demo")
			wantAskedAgain(t, thief.answer(page, "allow"), somethingChanged)
			wantAskedAgain(t, w.allowing().answer(page, "allow"), somethingChanged)

			// After another tab has signed another user in, and after a sign-out.
			v.submit(v.get("http://"+w.portal+"/sso/sign_in?switch=1"), "eve", "demo")
			again := v.answer(page, "allow")
			wantAskedAgain(t, again, somethingChanged)
			if !strings.Contains(reads(again), "eve") {
				t.Error("the page does not say who is signed in now")
			}
			nothing(v)
			v, page = fresh()
			w.ask(http.MethodDelete, "/sso/users/demo")
			at, outside := v.decide(page, "allow")
			wantNoCode(t, outside)
			if !strings.Contains(at.body, `name="password"`) {
				t.Errorf("after the session has ended: %s: %s", at.Status, reads(at))
			}

			// To another request: each of these says who gets what.
			v, page = fresh()
			for _, change := range [][2]string{
				{"client_id", "7"}, {"scope", ""}, {"state", "another state"}, {"nonce", "n"}, {"code_challenge", strings.Repeat("A", 43)}, {"response_mode", "form_post"},
			} {
				if door == loginDoor && (change[0] == "nonce" || change[0] == "response_mode") {
					continue // it knows no such parameter
				}
				other := w.asks(door, "8", "email", change[0], change[1])
				if change[0] == "client_id" {
					other = w.asks(door, "7", "email")
				}
				changed := v.consentPage(other)
				wantAskedAgain(t, v.answer(changed, "allow", "transaction", transactionOf(t, page)), somethingChanged)
			}

			// Once, for one code.
			at, outside = v.decide(page, "allow")
			wantCode(t, at, outside)
			twice := v.answer(page, "allow")
			if twice.StatusCode != http.StatusConflict || !strings.Contains(reads(twice), "This was answered before") {
				t.Errorf("sent twice: %s: %s", twice.Status, reads(twice))
			}
			nothing(v)
			page = v.consentPage(w.asks(door, "8", "email"))
			onward := refresh.FindStringSubmatch(v.answer(page, "allow").body)
			first, second := v.getOnce(v.resolve(page, onward[1])), v.getOnce(v.resolve(page, onward[1]))
			if !strings.Contains(first.Header.Get("Location"), "code=") || strings.Contains(second.Header.Get("Location"), "code=") {
				t.Errorf("two codes for one answer: %s and %s", first.Header.Get("Location"), second.Header.Get("Location"))
			}
		})
	}
}

func transactionOf(t *testing.T, page answered) string {
	t.Helper()
	for _, hidden := range formHidden.FindAllStringSubmatch(page.body, -1) {
		if hidden[1] == "transaction" {
			return hidden[2]
		}
	}
	t.Fatalf("no transaction: %s", page.body)
	return ""
}

// The session was fresh when the request came. What its user reads is not to be read
// against the clock.
func TestAUserMayLookAtTheConsentPageForLongerThanMaxAge(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.allowing()
	page := v.consentPage(w.asks(openIDDoor, "8", "openid", "max_age", "2"))
	time.Sleep(2100 * time.Millisecond)
	at, outside := v.decide(page, "allow")
	wantCode(t, at, outside)

	// The next request has to be fresh by itself, and any session is young enough for
	// one that goes back before 1970.
	if at, _ := v.walk(w.asks(openIDDoor, "8", "openid", "max_age", "2")); !strings.Contains(at.body, `name="password"`) {
		t.Errorf("%s: %s", at.Status, reads(at))
	}
	const long = "2147483647"
	wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(openIDDoor, "8", "openid", "max_age", long)), "allow")))
	newcomer := w.visitor()
	page, _ = newcomer.walk(w.asks(openIDDoor, "9", "openid", "max_age", long))
	at, outside = newcomer.walkAfter(newcomer.submitOnly(page, "demo", "demo"))
	wantCode(t, at, outside)
}

func TestTheConsentPageNamesTheAddressThatAClaimTells(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: strings.Replace(asking, "consent first", "claim contact {user.email}\nconsent first", 1)})
	page := w.allowing().consentPage(w.asks(loginDoor, "7", "inventory"))
	if text := reads(page); !strings.Contains(text, "see your e-mail address trade the items in your inventory Allow") {
		t.Errorf("the page says %s", text)
	}
}

// Who the user is belongs to every consent, so the other API asks for nothing more.
func TestOpenIDAloneIsNoNewScope(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.allowing()
	wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(loginDoor, "7", "email")), "allow")))
	wantCode(t, answered{}, second(v.walk(w.asks(openIDDoor, "7", "openid email"))))
	v.consentPage(w.asks(openIDDoor, "7", "openid profile"))
}

// Where one provider is the only method, the browser goes straight there.
func TestAUserOfAProviderIsAskedForConsentAfterTheCallback(t *testing.T) {
	w := newWorld(t)
	provider := brokenProvider(t, map[string]any{"preferred_username": "ann.acme", "email": "ann@acme.example", "email_verified": true})
	w.mustLoad(setup{global: strings.ReplaceAll(asking, "consent ", "signin acme\nconsent ") + "\nsignin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\n}"})
	for _, door := range []string{loginDoor, openIDDoor} {
		v := w.visitor()
		at, outside := v.walk(w.asks(door, "7", "email"))
		if outside == nil || "http://"+outside.Host != provider.URL {
			t.Fatalf("not straight to the provider: %v, %s", outside, at.Status)
		}
		back, err := v.getOnce(outside.String()).Location()
		if err != nil {
			t.Fatal(err)
		}
		page := v.consentPage(back.String())
		if !strings.Contains(reads(page), "ann.acme") {
			t.Errorf("the page says %s", reads(page))
		}
		wantCode(t, page, second(v.decide(page, "allow")))
		if door == loginDoor {
			v.answer(v.openSessions(), "", "withdraw", "7")
		}
	}
}

// A link of the License API goes by the consent of its client, and costs nothing where
// the user says no.
func TestALicenseLinkGoesByTheConsentOfItsClient(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	backend := newVendor(t)
	w := newWorld(t)
	w.mustLoad(setup{global: strings.NewReplacer(
		"PROVISION", "provision "+backend.URL+"/users s3cr3ts3cr3ts3cr3t", "https://app.example/sso\n			token_alg ES256", "https://app.example/sso\n			consent always\n			token_alg ES256",
	).Replace(licensed)})
	v := w.allowing()
	link := v.signed("http://" + w.portal + "/api/v4/sso_url?product=demo&customer_account_code=acme&response_type=token&redirect_uri=https://app.example/sso").link(t)
	at, outside := v.decide(v.consentPage(link), "deny")
	if outside == nil || !strings.Contains(outside.Fragment, "error=access_denied") || !strings.Contains(outside.Fragment, "state=") {
		t.Fatalf("%v: %s", outside, at.body)
	}
	backend.mu.Lock()
	if len(backend.got) > 0 {
		t.Errorf("a user was provisioned who did not allow it: %d requests", len(backend.got))
	}
	backend.mu.Unlock()
	at, outside = v.decide(v.consentPage(link), "allow")
	if outside == nil || !strings.Contains(outside.Fragment, "access_token=") {
		t.Errorf("%v: %s: %s", outside, at.Status, reads(at))
	}
}

func TestScopesThatAreLeftOutAreLoggedOnceAMinute(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking}.withLog())
	v := w.allowing()
	for range 3 {
		for _, door := range []string{loginDoor, openIDDoor} {
			wantCode(t, answered{}, second(v.walk(w.asks(door, "9", "openid email groups "+strings.Repeat("x", 1000)))))
		}
	}
	wantCode(t, answered{}, second(v.walk(w.asks(openIDDoor, "9", "openid email"))))
	log, lines := w.logged()
	n := 0
	for _, line := range lines {
		if strings.HasPrefix(line.Text, "a client asks for scopes that it is not registered for") {
			if n++; line.Client != "9" || line.Level != "warn" {
				t.Errorf("a line is %+v", line)
			}
		}
	}
	if n != 1 || !strings.Contains(log, `groups x`) || strings.Contains(log, strings.Repeat("x", 300)) {
		t.Errorf("%d lines: %s", n, log)
	}
}
