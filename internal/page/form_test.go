package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestTheFieldsOfAKeptFormAreBytesInBase64(t *testing.T) {
	for name, test := range map[string]struct {
		fields []page.KeptField
		want   string
	}{
		"no fields":         {nil, ""},
		"one without bytes": {[]page.KeptField{{}}, "."},
		"two, in order":     {[]page.KeptField{{Name: []byte("b"), Value: []byte("?>")}, {Name: []byte("a"), Value: []byte{0, 0xff}}}, "Yg.Pz4 YQ.AP8"},
		"a file":            {[]page.KeptField{{Name: []byte("f"), Value: []byte("x"), File: true, FileName: []byte("n"), FileType: "a/b"}}, "Zg.eA.bg.YS9i"},
		"an empty file":     {[]page.KeptField{{Name: []byte("f"), File: true, FileType: "a/b"}}, "Zg...YS9i"},
	} {
		if got := (page.KeptForm{Fields: test.fields}).Packed(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestAFormThatIsNotKeptIsSaidToBeLost(t *testing.T) {
	w, doc := render(t, &page.UnsentForm{App: "Acme", Why: page.FormTooLarge, SignInURL: "/oauth2/sign_in?return=%2F"})
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d", w.Code)
	}
	if n := len(elements(doc, "script")); n != 0 {
		t.Errorf("%d scripts", n)
	}
	if got := text(elements(doc, "main")[0]); !strings.Contains(got, "did not reach Acme") || !strings.Contains(got, "It is too big to be kept while you sign in. Go back") || strings.Contains(got, "JavaScript") {
		t.Errorf("the page says %q", got)
	}
}

func TestClass10AFormIsSentToAnAddressOnly(t *testing.T) {
	for _, address := range []string{"javascript:alert(1)", "data:text/html,x", "https://user@app.example/"} {
		p, err := page.New(page.Brand{}, page.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.UnsentForm(w, request(), page.UnsentForm{SignInURL: "/", Kept: &page.KeptForm{NextURL: "/", ActionURL: address}})
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), address) {
			t.Errorf("%s: status %d", address, w.Code)
		}
	}
}
