package oauth

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/session"
)

// A GroupClaim is a group in the tokens of the Login API.
type GroupClaim struct {
	ID        uint32 `json:"id"`
	Name      string `json:"name"`
	IsDefault bool   `json:"is_default"`
}

// GroupID returns the number of a group: a hash of its name (FNV-1a), since the Login
// API has integers and our groups have only names. It is the same on every node and
// after every restart. It has 31 bits, since clients read a signed integer of 32
// bits. It is never 0, which some clients read as "none".
func GroupID(name string) uint32 {
	id := uint32(2166136261)
	for i := range len(name) {
		id = (id ^ uint32(name[i])) * 16777619
	}
	return max(id&(1<<31-1), 1)
}

// GroupClaims are groups with their numbers.
func GroupClaims(names []string) []GroupClaim {
	groups := make([]GroupClaim, 0, len(names))
	for i, name := range names {
		groups = append(groups, GroupClaim{ID: GroupID(name), Name: name, IsDefault: i == 0})
	}
	return groups
}

// ConfiguredGroups are the groups that a configuration names. No other group may have
// the number of one of them, since clients that use numbers could not tell them
// apart. The zero value is ready.
type ConfiguredGroups struct{ byID map[uint32]configuredGroup }

type configuredGroup struct{ name, where string }

// Add adds a group. where says what names it, such as: user "ada". It refuses a group
// with the number of another one.
func (c *ConfiguredGroups) Add(name, where string) error {
	if other, collides := c.collision(name); collides {
		return fmt.Errorf("group %q (%s) and group %q (%s) have the same number, %d, in tokens of the Login API; rename one of them",
			other.name, other.where, name, where, GroupID(name))
	}
	if c.byID == nil {
		c.byID = make(map[uint32]configuredGroup)
	}
	if _, known := c.byID[GroupID(name)]; !known {
		c.byID[GroupID(name)] = configuredGroup{name, where}
	}
	return nil
}

// collision is the configured group with the same number.
func (c *ConfiguredGroups) collision(name string) (configuredGroup, bool) {
	other, taken := c.byID[GroupID(name)]
	return other, taken && other.name != name
}

// Distinct returns Users without colliding groups: no user is in a group with the
// number of a configured group, or in two groups with the same number, of which the
// first is kept. Dropped groups are logged, once a minute.
func (c *ConfiguredGroups) Distinct(users Users, log *zap.Logger) Users {
	return &distinctGroups{Users: users, configured: c, log: log}
}

type distinctGroups struct {
	Users
	configured *ConfiguredGroups
	log        *zap.Logger
	lines      logthrottle.ByKind
}

// Current implements [Users].
func (d *distinctGroups) Current(u session.User) (session.User, bool) {
	u, may := d.Users.Current(u)
	if may && d.collide(u.Groups) {
		u.Groups = d.distinct(u)
	}
	return u, may
}

// collide runs on every request, so it allocates nothing for most users.
func (d *distinctGroups) collide(names []string) bool {
	var few [16]uint32
	ids := few[:0]
	for _, name := range names {
		id := GroupID(name)
		if other, taken := d.configured.byID[id]; taken && other.name != name {
			return true
		}
		if i := slices.Index(ids, id); i >= 0 && names[i] != name {
			return true
		}
		ids = append(ids, id)
	}
	return false
}

// distinct returns the groups of a user without colliding ones. It runs on every
// request of such a user, who may have chosen the groups, so it numbers each group
// only once.
func (d *distinctGroups) distinct(u session.User) []string {
	kept, ids := make([]string, 0, len(u.Groups)), make([]uint32, 0, len(u.Groups))
	for _, name := range u.Groups {
		if other, collides := d.configured.collision(name); collides {
			d.logDropped(u, fmt.Errorf("group %q has the number of group %q (%s), which the configuration names; rename one of them", name, other.name, other.where))
			continue
		}
		id := GroupID(name)
		if i := slices.Index(ids, id); i >= 0 && kept[i] != name {
			d.logDropped(u, fmt.Errorf("group %q has the number of the user's group %q; rename one of them", name, kept[i]))
			continue
		}
		kept, ids = append(kept, name), append(ids, id)
	}
	return kept
}

func (d *distinctGroups) logDropped(u session.User, problem error) {
	if n := d.lines.Due("", problem, time.Now()); n > 0 {
		d.log.Warn("a group of a user was dropped: tokens of the Login API have a number for each group, and another group has the same number",
			zap.String("signin", u.Signin), zap.String("subject", u.Subject), zap.Error(problem), zap.Int("times", n))
	}
}
