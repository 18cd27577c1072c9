package userinfo

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A Groups reads the groups of a user, and logs values that cannot be used, once a
// minute for each reason. Without a log it only reads.
type Groups struct {
	Method    string
	Claim     string // has the groups
	Separator string // as in [provider.ProviderOptions]
	Log       *zap.Logger
	Now       func() time.Time
	lines     logthrottle.ByKind
}

// Read returns the groups of the user with a subject, and whether these are all.
func (g *Groups) Read(claim any, subject string) (names []string, whole bool) {
	separator := ""
	if g != nil {
		separator = g.Separator
	}
	names, problems := readGroups(claim, separator)
	for _, problem := range problems {
		g.Warn(subject, problem)
	}
	return names, len(problems) == 0
}

// ReadQuietly is Read without a line in the log.
func (g *Groups) ReadQuietly(claim any) (names []string, whole bool) {
	names, problems := readGroups(claim, g.Separator)
	return names, len(problems) == 0
}

func (g *Groups) Warn(subject string, problem error) {
	if g == nil || g.Log == nil {
		return
	}
	if n := g.lines.Due("", problem, g.Now()); n > 0 {
		g.Log.Warn("groups of a user were not taken as they are", zap.String("signin", g.Method), zap.String("claim", g.Claim),
			zap.String("subject", subject), zap.Error(problem), zap.Int("times", n))
	}
}

// The Separators of [provider.ProviderOptions], by their names.
var Separators = map[string]string{"comma": ",", "semicolon": ";", "space": " ", "none": ""}

// Reasons why a value of groups cannot be used. The texts contain no value of the claim.
var (
	errGroupsText = errors.New("a text with commas, semicolons or spaces was taken as the name of one group; if it is a list, set group_separator, and if it is a name, group_separator none")
	errGroupsKind = errors.New("expected a list of texts, one text, or an object whose members are the groups, and got another kind of value; if the groups are within it, name them by a path, such as realm_access.roles")
	errGroupsPath = errors.New("the path leads to several claims, since names have dots in them; have the provider use another name")
	errGroupKind  = errors.New("an entry is neither a text, nor a whole number below 2^53 in a list of such, nor an object with a text as its name; if the entries are objects, name their member by a path, such as groups.display")
	errGroupName  = errors.New("a name is empty, longer than 256 bytes, or has control characters")
	errManyGroups = errors.New("there are more than 200 groups, or more than 8 KiB of names; have the provider send only the groups of this application")
	ErrOverage    = errors.New("the provider left the groups out and refers to another place for them, as Entra ID does for users with more than 200; have it send only groups that are assigned to this application, or application roles")
)

// readGroups reads every unambiguous form of groups, and returns the problems with
// other values. Groups beyond the bounds are omitted: that can only reduce access.
func readGroups(claim any, separator string) (names []string, problems []error) {
	left := func(problem error) {
		if !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
	}
	list, problem := listOf(claim, separator)
	if problem != nil {
		left(problem)
	}
	texts, size := slices.ContainsFunc(list, isText), 0
	for _, entry := range list {
		name, ok := groupName(entry, texts)
		switch {
		case !ok:
			left(errGroupKind)
			continue
		case name == "" || len(name) > maxGroup || !oauth.CleanText(name):
			left(errGroupName)
			continue
		case slices.Contains(names, name):
			continue
		}
		if size += len(name); size > MaxAllGroups || len(names) == MaxGroups {
			left(errManyGroups)
			break
		}
		names = append(names, name)
	}
	return names, problems
}

// listOf is a claim as a list.
func listOf(claim any, separator string) (list []any, problem error) {
	switch v := claim.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case float64: // the ID of the only one
		return []any{v}, nil
	case string:
		return listOfText(v, separator)
	case map[string]any:
		return members(v)
	case ambiguous:
		return nil, errGroupsPath
	}
	return nil, errGroupsKind
}

// listOfText reads the only group, or a list in a text. A comma or a space may as
// well be a part of a name: those of LDAP have commas.
func listOfText(text, separator string) (list []any, problem error) {
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return list, nil
	}
	list = nil
	if sep := Separators[separator]; sep != "" {
		for part := range strings.SplitSeq(text, sep) {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, nil
	}
	if text == "" {
		return nil, nil
	}
	if separator == "" && strings.ContainsAny(text, ",; ") {
		problem = errGroupsText
	}
	return []any{text}, problem
}

// members reads an object whose members are the groups: each with true or false, or
// with the IDs of the organisations that granted it, as Zitadel sends them. In any
// other object the groups are in an unknown place inside it.
func members(object map[string]any) (list []any, problem error) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch v := object[name].(type) {
		case bool:
			if v {
				list = append(list, name)
			}
			continue
		case map[string]any:
			if len(v) > 0 && !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(v any) bool { return !isText(v) }) {
				list = append(list, name)
				continue
			}
		}
		return nil, errGroupsKind
	}
	return list, nil
}

func isText(v any) bool {
	_, text := v.(string)
	return text
}

// groupName reads one entry of a list. A number is an ID if all entries are numbers,
// and an error among texts.
func groupName(entry any, texts bool) (name string, ok bool) {
	switch v := entry.(type) {
	case string:
		return v, true
	case float64:
		// Beyond, two numbers could become one name.
		return strconv.FormatFloat(v, 'f', -1, 64), !texts && v == math.Trunc(v) && math.Abs(v) < 1<<53
	case map[string]any:
		name, ok = v["name"].(string)
		return name, ok
	}
	return "", false
}

const MaxGroups = 200

const maxGroup = 256

const MaxAllGroups = 8 << 10
