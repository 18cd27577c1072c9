package signin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

const (
	// sentOnParam, in the query of a callback, says that our own page sends an
	// answer on.
	sentOnParam = "sent_on"

	// maxAnswerFields bounds the fields of an answer that is posted.
	maxAnswerFields = 64
)

// finishPosted is finishAtCallback for a provider that posts its answer (OAuth 2.0 Form
// Post Response Mode), as Apple does. The browser sends none of our cookies with
// the form of another site, since they are SameSite=Lax. So it gets a page that
// posts the same fields once more, from this origin: in a body again, so that no
// address and no access log has them. What the answer is bound to is looked at then,
// as in any other. Who sends the second form alone, from another site, comes
// without cookies.
func (h *Hosted) finishPosted(w http.ResponseWriter, r *http.Request, id string) {
	raw, status, refusal := httpapi.ReadForm(w, r)
	if refusal != nil {
		h.startAgain(w, status, signInContext{}, false, "Signing in was not finished", refusal.Description)
		return
	}
	answer, err := httpapi.ParseQuery(raw)
	fields := 0
	for values := range maps.Values(answer) {
		fields += len(values)
	}
	if err != nil || fields > maxAnswerFields {
		h.damaged(w)
		return
	}
	if r.URL.RawQuery == sentOnParam+"=1" {
		h.finish(w, r, id, answer)
		return
	}
	if !h.Methods.IsProvider(id) {
		h.method(w, id, signInContext{}) // which says so
		return
	}
	h.Pages.FormPost(w, page.FormPost{
		Title: "Signing in", ActionURL: CallbackPrefix + id + "?" + sentOnParam + "=1", Fields: fieldsOf(answer),
	})
}

// fieldsOf are the fields of a form, in the order of their names.
func fieldsOf(form url.Values) []page.Field {
	var fields []page.Field
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			fields = append(fields, page.Field{Name: name, Value: value})
		}
	}
	return fields
}

func (h *Hosted) damaged(w http.ResponseWriter) {
	h.startAgain(w, http.StatusBadRequest, signInContext{}, false, "Signing in was not finished", "The answer arrived damaged.")
}
