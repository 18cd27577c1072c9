package options

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The errors of a Caddyfile that cannot be read. They name the text that was found,
// and the text to write instead.

// blockName is the first word of the current line: the name of the block. Other words
// of the line may be secrets.
func blockName(d *caddyfile.Dispenser) string {
	at := *d
	name := at.Val()
	for file, line := at.File(), at.Line(); at.Prev() && at.File() == file && at.Line() == line; {
		name = at.Val()
	}
	return name
}

// unexpectedArgument reports a word in place of a block or the end of the line. It
// shows the block.
func unexpectedArgument(d *caddyfile.Dispenser, block string, known map[string]func() error) error {
	if len(known) == 0 {
		return d.Errf("%s: unexpected %q; expected the end of the line", block, d.Val())
	}
	first := block
	if block == "sso_gate" {
		first += " [@<matcher> | /<path>]"
	}
	lines := []string{"`" + first + " {`"}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		lines = append(lines, "`"+strings.TrimSpace(name+" "+argumentOf(name))+"`")
	}
	return d.Errf("%s: unexpected %q; expected a block with each option on its own line: %s `}`", block, d.Val(), strings.Join(lines, " "))
}

// unexpectedValue reports a word after the last value of a setting.
func unexpectedValue(d *caddyfile.Dispenser, setting string) error {
	if argumentOf(setting) == "" {
		return d.Errf("%s: unexpected %q; this option takes no value: leave it out", setting, d.Val())
	}
	return d.Errf("%s: unexpected %q; expected the end of the line (put a value with blanks in quotes)", setting, d.Val())
}

// argumentOf describes the argument of a setting.
func argumentOf(setting string) string {
	for argument, settings := range map[string]string{
		"":                "public popup allow_raw_path drop_forms license_activation allow_preflight allow_no_pkce default_audience disabled openid_configuration",
		"<duration>":      "idle lifetime outage_grace every timeout recheck token_lifetime refresh_lifetime clock_skew",
		"<number>":        "cache per_user capacity per_session per_account per_address",
		"on | off":        "bearer cache_private",
		"group <name>...": "require",
		"<id>":            "client client_id",
		"<url>":           "issuer url logo icon redirect_uri fail_auth_url post_logout_redirect_uri",
	} {
		if slices.Contains(strings.Fields(settings), setting) {
			return argument
		}
	}
	return "…"
}

// unknownSetting is about a name that a block does not have.
func unknownSetting(d *caddyfile.Dispenser, block string, known map[string]func() error) error {
	name := d.Val()
	_, matcherErr := caddy.GetModule("http.matchers." + name)
	switch {
	case name == "{":
		return d.Errf("unexpected {; the option before it takes no block, or its { belongs at the end of that line")
	case len(known) == 0:
		return d.Errf("unknown option %q; this block takes no options", name)
	case settingBlocks[name] != "":
		return d.Errf("unknown option %q; it belongs in: %s", name, settingBlocks[name])
	case block == "sso_gate" && matcherErr == nil:
		return d.Errf("unknown option %q; it is a matcher: write `@private %s …` on the site, and `sso_gate @private {`", name, name)
	}
	return d.Errf("unknown option %q; %sexpected one of: %s", name, DidYouMean(name, slices.Collect(maps.Keys(known))), settingNames(known))
}

// settingBlocks has the block of settings that may be written in another block by
// mistake.
var settingBlocks = map[string]string{ //nolint:gosec // names of settings, no credentials
	"user": "signin local { … }", "hash": "signin local { user <name> <hash> }", "password": "signin local { user <name> <hash> }",
	"idle": "session { … }", "outage_grace": "session { … }", "same_site": "session { … }",
	"redirect_uri": "client <id> { … }", "token_alg": "client <id> { … }", "storage_key": "storage redis <url> { … }",
	"client_id": "signin oidc <id> { … }", "client_secret": "signin oidc <id> { … }", "accent": "brand { … }", "logo": "brand { … }",
	"per_account": "signin local { attempts { … } }", "per_address": "signin local { attempts { … } }",
	"api_key": "license { … }", "customer_account": "license { … }", "product": "license { … }", "require": "sso_gate { … }",
}

func settingNames(known map[string]func() error) string {
	return strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}

// DidYouMean proposes the known name that is most similar to a name, if there is one.
func DidYouMean(name string, known []string) string {
	best, distance := "", min(2, len(name)/2)+1
	slices.Sort(known)
	for _, k := range known {
		if n := editDistance(strings.ToLower(name), strings.ToLower(k)); n < distance {
			best, distance = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q? ", best)
}

// editDistance is the number of characters to change, add or leave out (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

var (
	runtimePlaceholder = regexp.MustCompile(`\{(env|file)\.([^{}]+)\}`)
	importPlaceholder  = regexp.MustCompile(`\{args\[[^{}]*\]\}`)
)

// CheckNoPlaceholder refuses a placeholder in a setting whose placeholders are not
// replaced: its text would be the value.
func CheckNoPlaceholder(d *caddyfile.Dispenser, setting, value string) error {
	if importPlaceholder.MatchString(value) {
		return d.Errf("%s: %s has no value; add an argument to the import", setting, importPlaceholder.FindString(value))
	}
	found := runtimePlaceholder.FindStringSubmatch(value)
	if found == nil {
		return nil
	}
	if found[1] == "file" {
		return d.Errf("%s: %s is replaced in secrets only; write the value itself", setting, found[0])
	}
	return d.Errf("%s: %s is replaced in secrets only; write {$%s}, which Caddy replaces when it reads the Caddyfile", setting, found[0], found[2])
}
