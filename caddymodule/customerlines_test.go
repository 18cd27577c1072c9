package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/command"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/signin"
)

const localLine = `{"code":"CODE","products":["demo"],"signin":["local"]}` + "\n"

func TestAWrongLineOfCustomersIsLoggedAndLosesNobodyElse(t *testing.T) {
	oidc := `{"code":"x","products":["demo"],"providers":[PROVIDER]}`
	for name, c := range map[string]struct {
		line string
		want []string // in the log
		took bool     // the line counts all the same
	}{
		"no JSON":                      {`acme`, []string{`expected one customer, such as {\"code\"`}, false},
		"an array in the middle":       {`["acme"]`, []string{"expected one customer"}, false},
		"an unknown member":            {`{"code":"x","seats":3}`, []string{`unknown field \"seats\"`}, false},
		"two on a line":                {`{"code":"x"} {"code":"y"}`, []string{"there is more on the line"}, false},
		"no code":                      {`{"products":["demo"],"signin":["local"]}`, []string{"code is missing"}, false},
		"a code with blanks":           {`{"code":"a b","products":["demo"],"signin":["local"]}`, []string{`customer \"a b\"`, "short code without spaces"}, false},
		"a code with another alphabet": {`{"code":"аcme","products":["demo"],"signin":["local"]}`, []string{"short code without spaces"}, false},
		"no products":                  {`{"code":"x","signin":["local"]}`, []string{"has no products"}, false},
		"no sign-in method":            {`{"code":"x","products":["demo"]}`, []string{"has no sign-in method"}, false},
		"a domain that is none":        {`{"code":"x","products":["demo"],"signin":["local"],"email_domains":["@acme"]}`, []string{`email_domain \"@acme\"`}, false},
		"a method that is unknown":     {`{"code":"x","products":["demo"],"signin":["google"]}`, []string{`signin \"google\" is unknown`}, false},
		"a provider for everybody":     {`{"code":"x","products":["demo"],"signin":["shared-page"]}`, []string{`signin \"shared-page\" is a provider of the Caddyfile that is allowed for every client`}, false},
		"what stands for all":          {`{"code":"x","products":["demo"],"signin":["of customers"]}`, []string{"is unknown"}, false},
		"a code of the Caddyfile":      {strings.Replace(localLine, "CODE", "Fixed", 1), []string{"the Caddyfile has customer_account fixed, which is used"}, false},
		"a code of an earlier line":    {strings.Replace(localLine, "CODE", "FIRST", 1), []string{`an earlier line has \"first\"`}, false},
		"a product that is unknown":    {`{"code":"x","products":["demo","none"],"signin":["local"]}`, []string{`product \"none\" is unknown`}, true},
		"a provider without an issuer": {strings.Replace(oidc, "PROVIDER", `{"id":"x","client_id":"sso"}`, 1), []string{"provider 1", "issuer is missing"}, false},
		"an issuer over http":          {strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"http://acme.example","client_id":"sso"}`, 1), []string{"use https"}, false},
		"an issuer with a password":    {strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://u:hunter2@acme.example","client_id":"sso"}`, 1), []string{"has user information"}, false},
		"the same, that is no address": {strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://u:hunter2%@acme.example","client_id":"sso"}`, 1), []string{"is no web address"}, false},
		"a product for a terminal":     {`{"code":"x","products":["de\u001b[31mmo"],"signin":["local"]}`, []string{"has control characters"}, false},
		"a provider's unknown member":  {strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso","secret":"hunter2"}`, 1), []string{`unknown field \"secret\"`}, false},
		"an unknown method":            {strings.Replace(oidc, "PROVIDER", `{"id":"x","method":"saml"}`, 1), []string{`method \"saml\" is unknown`}, false},
		"a provider that is none":      {strings.Replace(oidc, "PROVIDER", `"google"`, 1), []string{"provider 1: cannot be read"}, false},
		"an ID of the Caddyfile":       {strings.Replace(oidc, "PROVIDER", `{"id":"Shared-Page","issuer":"https://acme.example","client_id":"sso"}`, 1), []string{"the Caddyfile has a signin of this ID"}, false},
		"an ID twice on the line": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso"},{"id":"X","issuer":"https://acme.example","client_id":"sso"}`, 1),
			[]string{"duplicate provider"},
			false,
		},
		"a secret that is not there": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso","client_secret":"{env.NOBODY_SETS_THIS}"}`, 1),
			[]string{`provider \"x\": secret: placeholder {env.NOBODY_SETS_THIS} is empty`},
			false,
		},
		"a secret with a blank": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso","client_secret":"hunter2 "}`, 1),
			[]string{"the secret ends with a blank"},
			false,
		},
		"a link to nobody": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso","link_email":"none"}`, 1),
			[]string{"link_email none: there is no such sign-in method"},
			false,
		},
		"a provider that says who users are": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","issuer":"https://acme.example","client_id":"sso","subject":"own"}`, 1),
			[]string{"subject own is not for a provider of a customer"},
			false,
		},
		"a page that says who users are": {
			strings.Replace(oidc, "PROVIDER", `{"id":"x","method":"trusted","url":"https://acme.example","secret":"sixteen-letters-or-more","subject":"own"}`, 1),
			[]string{"subject own is not for a provider of a customer"},
			false,
		},
		"a line without end": {`{"code":"` + strings.Repeat("x", 1<<20) + `"}`, []string{"it has more than 1048576 bytes"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := customersOf(t, strings.Replace(localLine, "CODE", "first", 1), c.line, "\n", strings.Replace(localLine, "CODE", "last", 1))
			for _, customer := range []string{"first", "last", "fixed"} {
				if !w.has(customer) {
					t.Errorf("%s is lost", customer)
				}
			}
			if w.has("x") != c.took {
				t.Errorf("the line counts: %v", !c.took)
			}
			log, _ := w.logged()
			want := append(c.want, "customers.jsonl:2: ")
			if c.took {
				want = c.want
			}
			for _, part := range want {
				if !strings.Contains(log, part) {
					t.Errorf("the log does not say %s: %s", part, log)
				}
			}
			if strings.Contains(log, "hunter2") {
				t.Error("a secret is in the log")
			}
		})
	}
}

// customersFixture is customers without a server, whose file is looked at by hand.
type customersFixture struct {
	*customers.File
	t    *testing.T
	path string
	tick int
}

func newCustomersFixture(t *testing.T, text string) *customersFixture {
	t.Helper()
	a := &App{License: new(LicenseConfig), log: zap.NewNop()}
	a.methods = methods.List{mustLocal(t)}
	var err error
	if a.clients, err = oauth.NewClients(nil); err != nil {
		t.Fatal(err)
	}
	f := &customersFixture{t: t, path: filepath.Join(t.TempDir(), "customers")}
	f.File = (&LicenseConfig{CustomersFile: f.path}).newCustomers(a)
	f.write(text)
	if err := f.Open(nil); err != nil {
		t.Fatal(err)
	}
	return f
}

func mustLocal(t *testing.T) *local.Method {
	t.Helper()
	local, err := local.New("local", nil)
	if err != nil {
		t.Fatal(err)
	}
	return local
}

func (f *customersFixture) write(text string) {
	f.t.Helper()
	f.tick++
	at := time.Unix(1_700_000_000+int64(f.tick), 0)
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chtimes(f.path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// changed writes the file, and has it count.
func (f *customersFixture) changed(text string) {
	f.t.Helper()
	f.write(text)
	f.Look()
	f.Look()
}

func TestCustomersWhoComeAndGoLeaveNothingRunning(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	f := newCustomersFixture(t, "\n")
	before := runtime.NumGoroutine()
	for i := range 200 {
		f.changed(customerAt("acme", fmt.Sprintf("acme%d", i%3), provider, "") + customerAt("other", "other", provider, fmt.Sprintf(`,"email_domains":["%d.example"]`, i)))
		for _, id := range []string{fmt.Sprintf("acme%d", i%3), "other"} {
			if _, err := f.ByID(id).(signin.ProviderMethod).Start(t.Context(), signin.ProviderRequest{State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.changed("\n")
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+2 })
	if f.ByID("other") != nil || f.Account("other") != nil {
		t.Error("a customer is left")
	}
}

func TestAProviderThatDidNotChangeIsNotMadeAgain(t *testing.T) {
	provider := httptest.NewServer(http.NotFoundHandler())
	defer provider.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(customerAt("acme", "acme", provider, ""), "hunter2", "{file."+secret+"}", 1)
	f := newCustomersFixture(t, line)
	first := f.ByID("acme")
	f.changed(customerAt("other", "other", provider, "") + strings.Replace(line, `"demo"`, `"demo","tool"`, 1))
	if f.ByID("acme") != first {
		t.Error("it was made again for another product")
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	f.changed(line)
	if f.ByID("acme") != first {
		t.Error("it is lost with the file of its secret")
	}
	if err := os.WriteFile(secret, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.changed(line + "\n")
	if second := f.ByID("acme"); second == nil || second == first {
		t.Error("a new secret does not count")
	}
}

func TestAFileOfCustomersThatIsCutOffOrEmptyLosesNobody(t *testing.T) {
	acme, blue := strings.Replace(localLine, "CODE", "acme", 1), strings.Replace(localLine, "CODE", "blue", 1)
	for name, text := range map[string]string{
		"empty": "", "within a line": acme + blue[:20], "an array": "[" + acme + "]", "UTF-16": "\xff\xfe" + acme,
		"too many": strings.Repeat("x\n", customers.Kind.MaxLines+1), "no customer": "acme\nblue\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newCustomersFixture(t, acme+blue)
			f.changed(text)
			if f.Account("acme") == nil || f.Account("blue") == nil {
				t.Error("a customer is lost")
			}
			f.changed("\n")
			if f.Account("acme") != nil {
				t.Error("an empty line leaves a customer")
			}
		})
	}
}

func TestCustomersAreEditedByCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "customers.jsonl")
	add := func(code string, more ...string) []string {
		return append([]string{"license", "customer", "add", code, "--file", path, "--product", "demo"}, more...)
	}
	t.Setenv(command.ClientSecretVariable, "hunter2")
	out := mustSSO(t, "", add("acme", "--product", "tool", "--issuer", "https://login.acme.example", "--client-id", "sso", "--claim", "groups=roles", "--email-domain", "acme.example")...)
	if !strings.Contains(out, "register the redirect URI <issuer of the portal>/sso/callback/acme\n") {
		t.Errorf("what to register is not said: %s", out)
	}
	mustSSO(t, "", add("blue", "--signin", "local")...)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	raw, err := os.ReadFile(path)
	want := `{"code":"acme","products":["demo","tool"],"providers":[{"id":"acme","issuer":"https://login.acme.example","client_id":"sso","client_secret":"hunter2","claims":{"groups":"roles"}}],"email_domains":["acme.example"]}` + "\n" +
		`{"code":"blue","products":["demo"],"signin":["local"]}` + "\n"
	if err != nil || string(raw) != want {
		t.Fatalf("%v: the file is\n%s", err, raw)
	}
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"a code twice":         {add("ACME", "--signin", "local"), `the file has a customer \"ACME\" already`},
		"no sign-in method":    {add("red"), "has no sign-in method"},
		"no product":           {[]string{"license", "customer", "add", "red", "--file", path, "--signin", "local"}, "has no products"},
		"half a provider":      {add("red", "--issuer", "https://login.red.example"), "client_id is missing"},
		"a provider's flag":    {add("red", "--signin", "local", "--scope", "email"), "give --issuer and --client-id"},
		"a claim":              {add("red", "--issuer", "https://login.red.example", "--client-id", "sso", "--claim", "groups"), "expected ours=theirs"},
		"a code that is none":  {add("a b", "--signin", "local"), "short code without spaces"},
		"nobody to disable":    {[]string{"license", "customer", "disable", "red", "--file", path}, `the file has no customer \"red\"`},
		"no file":              {[]string{"license", "customer", "list", "--file", path + ".none"}, "the file of customers is not there"},
		"without a file":       {[]string{"license", "customer", "list"}, `required flag(s) \"file\" not set`},
		"an unknown command":   {[]string{"license", "customer", "delete", "acme", "--file", path}, "unknown command"},
		"more than was wanted": {[]string{"license", "customer", "enable", "acme", "blue", "--file", path}, "accepts 1 arg"},
	} {
		out, err := sso(t, "", c.args...)
		if err == nil || !strings.Contains(out, c.want) && !strings.Contains(out, strings.ReplaceAll(c.want, `\"`, `"`)) || strings.Contains(out, "hunter2") {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != want {
		t.Errorf("a refused edit changed the file: %v\n%s", err, after)
	}
	mustSSO(t, "", "license", "customer", "disable", "Acme", "--file", path)
	list := mustSSO(t, "", "license", "customer", "list", "--file", path)
	if !strings.Contains(list, "acme  demo tool  acme     acme.example    no") || !strings.Contains(list, "blue  demo       local                    yes") || strings.Contains(list, "hunter2") {
		t.Errorf("it lists\n%s", list)
	}
	mustSSO(t, "", "license", "customer", "enable", "acme", "--file", path)
	mustSSO(t, "", "license", "customer", "remove", "blue", "--file", path)
	if after, err := os.ReadFile(path); err != nil || string(after) != strings.SplitAfter(want, "\n")[0] {
		t.Errorf("%v: the file is\n%s", err, after)
	}
	mustSSO(t, "", "license", "customer", "remove", "acme", "--file", path)
	if after, err := os.ReadFile(path); err != nil || string(after) != "\n" {
		t.Errorf("without customers the file is %q, %v", after, err)
	}
}
