package subjects_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
)

func TestAnOwnSubjectNeverLooksDerived(t *testing.T) {
	for _, derived := range []string{
		subjects.Derive("local", "demo"), subjects.Derive("way", "accounts\x0017"), subjects.Derive("oidc", "https://acme.example\x00ann"),
	} {
		for _, spelled := range []string{
			derived, strings.ToUpper(derived), "{" + derived + "}", "urn:uuid:" + derived, "URN:UUID:" + strings.ToUpper(derived), derived[:8] + strings.ToUpper(derived[8:]),
		} {
			if subjects.CheckOwn(spelled) == nil {
				t.Errorf("%s was taken", spelled)
			}
		}
	}
	for _, refused := range []string{"", " ", "a b", "17\n", "zoë", "a\x7fb", strings.Repeat("x", 256)} {
		if subjects.CheckOwn(refused) == nil {
			t.Errorf("%q was taken", refused)
		}
	}
	for _, own := range []string{
		"17", "0", "zoe@game.example", "auth0|5f7c8ec7c33c6c004bbafe82", "Steam:76561198000000000", "f:1b4e28ba:zoe", "uid=zoe,ou=people",
		"40db2ea4-5c1c-11e6-a3ff-005056a0e04a", "0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E",
		"01890a5d-ac96-774b-bcce-b302099a8057", "0f8fad5bd9cb569fa16570867728950e", // a hash, as MD5 makes them
		"0f8fad5b-d9cb-569f-c165-70867728950e", strings.Repeat("x", 255),
	} {
		if err := subjects.CheckOwn(own); err != nil {
			t.Errorf("%s: %v", own, err)
		}
	}
}
