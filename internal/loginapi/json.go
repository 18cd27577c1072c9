package loginapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var errBody = oauth.Invalid("The body should be one JSON object in UTF-8, without duplicate names.")

// jsonBody reads the named members of a JSON object. If it cannot, it answers the
// request and returns false.
func (a *API) jsonBody(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, bool) {
	members, status, refusal := readJSON(w, r, names)
	if refusal != nil {
		a.writeError(w, r, status, "0", refusal)
		return nil, false
	}
	return members, true
}

// readJSON reads the named members of a JSON object, each a string that is not empty,
// and ignores other members. If it cannot, it returns an error and its HTTP status.
// It requires the content type: no page of another site can send this type without a
// preflight (Fetch standard, section 2.2.2).
func readJSON(w http.ResponseWriter, r *http.Request, names []string) (members map[string]string, status int, refusal *oauth.Error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || !httpapi.IsUTF8(params["charset"]) {
		return nil, http.StatusBadRequest, oauth.Invalid("The body should be application/json, in UTF-8.")
	}
	body, status, refusal := httpapi.ReadBody(w, r)
	if refusal != nil {
		return nil, status, refusal
	}
	members, refusal = parseObject(body, names)
	return members, http.StatusBadRequest, refusal
}

// parseObject parses an object. It refuses one whose named members two parsers could
// read differently.
func parseObject(body []byte, names []string) (map[string]string, *oauth.Error) {
	if !utf8.Valid(body) {
		return nil, errBody
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errBody
	}
	members := map[string]string{}
	var wrong *oauth.Error
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, wrong.And(errBody)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, wrong.And(errBody)
		}
		i := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name.(string)) })
		if i < 0 {
			continue
		}
		// Another parser may accept a name in another case.
		if _, twice := members[names[i]]; twice || names[i] != name {
			return nil, wrong.And(errBody)
		}
		var value *string
		if err := json.Unmarshal(raw, &value); err != nil || value == nil {
			wrong = wrong.And(oauth.InvalidParam(names[i], "should be a string."))
			value = new(string)
		}
		members[names[i]] = *value
	}
	if _, err := d.Token(); err != nil {
		return nil, wrong.And(errBody)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong.And(errBody)
	}
	for _, name := range names {
		if members[name] == "" {
			wrong = wrong.And(oauth.MissingParam(name))
		}
	}
	return members, wrong
}
