package caddymodule

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// A password as a keyboard that composes sends it, and as one that does not.
const (
	composed   = "caf\u00e9 au lait"
	decomposed = "cafe\u0301 au lait"
)

func TestAPasswordThatIsTypedOnAnotherMachineIsRight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	mustSSO(t, "another\n", "user", "add", "ann", "--file", path)
	mustSSO(t, "cafe\u0301\u00a0au\u3000lait\n", "user", "passwd", "ann", "--file", path)
	w := newWorld(t)
	w.mustLoad(setup{local: "users " + path + "\nuser old " + bcryptOf(t, decomposed), global: noPKCE})
	for _, name := range []string{"ann", "old"} {
		for form, password := range map[string]string{"composed": composed, "decomposed": decomposed, "none": "cafe au lait"} {
			right := form == "decomposed" || form == "composed" && name != "old" // the hash is of other bytes
			v := w.visitor()
			page := v.get("http://" + w.site + "/")
			if got := v.submit(page, name, password); (got.body == "hello "+name) != right {
				t.Errorf("the page, %s, %s: %s %.80s", name, form, got.Status, got.body)
			}
			got := w.visitor().api("/api/oauth2/login/token?client_id=2", credentials{name, password})
			if (got.StatusCode == http.StatusOK) != right {
				t.Errorf("JSON, %s, %s: %s %s", name, form, got.Status, got.body)
			}
		}
	}
}

const noPKCE = "client 2 {\npublic\nallow_no_pkce\nredirect_uri http://SITE/other\n}"

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestAPasswordThatNobodyCanTypeAgainIsNotHashed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	for name, typed := range map[string]string{
		"a byte order mark": "\ufeffhunter2\n", "a tab": "hunter\t2\n", "Latin-1": "hunt\xe9r2\n",
		"what is too long and was cut": strings.Repeat("e\u0301", 10_000) + "\n",
	} {
		out, err := sso(t, typed, "user", "add", "ann", "--file", path)
		if err == nil || !strings.Contains(out, "password") || strings.Contains(out, "hunt") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a user was added")
	}
	mustSSO(t, strings.Repeat("e\u0301", 512)+"\n", "user", "add", "ann", "--file", path)
	if !signsIn(t, path, "ann", strings.Repeat("\u00e9", 512)) {
		t.Error("the longest password was cut")
	}
}
