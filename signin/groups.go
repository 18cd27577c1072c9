package signin

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

// A groupReader reads in which groups a user is, and logs what cannot be taken, once
// a minute of each reason. One without a log only reads.
type groupReader struct {
	method    string
	claim     string // where the groups are
	separator string // as in [ProviderOptions]
	log       *zap.Logger
	now       func() time.Time
	lines     logthrottle.ByKind
}

// read returns the groups of the user with a subject.
func (g *groupReader) read(claim any, subject string) []string {
	separator := ""
	if g != nil {
		separator = g.separator
	}
	names, problems := readGroups(claim, separator)
	for _, problem := range problems {
		g.warn(subject, problem)
	}
	return names
}

func (g *groupReader) warn(subject string, problem error) {
	if g == nil || g.log == nil {
		return
	}
	if n := g.lines.Due("", problem, g.now()); n > 0 {
		g.log.Warn("groups of a user were not taken as they are", zap.String("signin", g.method), zap.String("claim", g.claim),
			zap.String("subject", subject), zap.Error(problem), zap.Int("times", n))
	}
}

// The separators of [ProviderOptions], by their names.
var separators = map[string]string{"comma": ",", "semicolon": ";", "space": " ", "none": ""}

// What cannot be taken of groups. None of these texts has a value of the claim in it.
var (
	errGroupsText = errors.New("a text with commas, semicolons or spaces was taken as the name of one group; if it is a list, set group_separator, and if it is a name, group_separator none")
	errGroupsKind = errors.New("expected a list of texts, one text, or an object whose members are the groups, and got another kind of value; if the groups are within it, name them by a path, such as realm_access.roles")
	errGroupsPath = errors.New("the path leads to several claims, since names have dots in them; have the provider use another name")
	errGroupKind  = errors.New("an entry is neither a text, nor a whole number below 2^53 in a list of such, nor an object with a text as its name; if the entries are objects, name their member by a path, such as groups.display")
	errGroupName  = errors.New("a name is empty, longer than 256 bytes, or has control characters")
	errManyGroups = errors.New("there are more than 200 groups, or more than 8 KiB of names; have the provider send only the groups of this application")
	errOverage    = errors.New("the provider left the groups out and refers to another place for them, as Entra ID does for users with more than 200; have it send only groups that are assigned to this application, or application roles")
)

// readGroups reads every form of groups that has one meaning, and says what else was
// there. What is beyond the bounds is left out: it can open less then, never more.
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
		if size += len(name); size > maxAllGroups || len(names) == maxGroups {
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
	if sep := separators[separator]; sep != "" {
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

// members reads an object whose members are the groups: each true or false, or with
// the organisations that gave it, by ID, as Zitadel has them. Any other object has
// the groups somewhere within it.
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

// groupName reads one entry of a list. A number is an ID where all entries are such,
// and a fault among texts.
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

// ambiguous is what a path leads to that leads to several claims.
type ambiguous struct{}

// lookup finds a claim by its name, or by a path of names with dots between them.
// Names may have dots, too: the whole name counts first. A path goes on within each
// object of a list. Lists within lists have no meaning there, and a provider could
// send so many that each of them costs as much as all that is in it.
func lookup(within any, path string) any {
	switch v := within.(type) {
	case map[string]any:
		if found, there := v[path]; there {
			return found
		}
		var found any
		for i := range len(path) {
			if path[i] != '.' {
				continue
			}
			next := lookup(v[path[:i]], path[i+1:])
			if next != nil && found != nil {
				return ambiguous{}
			}
			if next != nil {
				found = next
			}
		}
		return found
	case []any:
		var all []any
		for _, entry := range v {
			object, _ := entry.(map[string]any)
			switch found := lookup(object, path).(type) {
			case nil:
			case []any:
				all = append(all, found...)
			default:
				all = append(all, found)
			}
		}
		if all == nil {
			return nil
		}
		return all
	}
	return nil
}

// GroupLister is what a way is that knows which groups its users can have. Those of another
// way may have any.
type GroupLister interface {
	Method

	// Groups are the groups that users are known to have; open: they may have others.
	Groups() (names []string, open bool)
}

// Groups implements [GroupLister]. A file of users may get any group while it is followed.
func (l *Local) Groups() (names []string, open bool) {
	for _, a := range l.configured.bySubject {
		names = append(names, a.user.Groups...)
	}
	return names, l.file != nil
}

// Groups implements [GroupLister]: a provider's users have groups if a claim has them.
func (p *Provider) Groups() (names []string, open bool) { return nil, p.o.Claims.Groups != "" }

// Groups are those that users have who sign in by one of some ways, or, without any, by
// all; open: they may have others.
func (ws Methods) Groups(ids []string) (names []string, open bool) {
	add := func(method Method) {
		grouping, knows := method.(GroupLister)
		if !knows {
			open = true
			return
		}
		more, others := grouping.Groups()
		names, open = append(names, more...), open || others
	}
	for _, method := range ws {
		if len(ids) > 0 && !slices.Contains(ids, method.ID()) {
			continue
		}
		add(method)
		if linked := ws.linkedTo(method); linked != nil {
			add(linked)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), open
}
