package redis

import (
	"context"
	"strings"

	"github.com/redis/rueidis"
	"go.uber.org/zap"
)

// A role is what a node says that it is.
type role string

const (
	away    role = "" // it says nothing
	master  role = "master"
	replica role = "replica"

	// sentinel is no server at all: it watches over them.
	sentinel role = "sentinel"
)

// probe is the key that the watchdog reads. Nothing is ever stored there.
const probe = "probe"

// askRole asks a node for its role, with the command that every connection
// begins with: unlike ROLE it is allowed to every user. What is no replica
// takes writes, whatever it calls that.
func askRole(ctx context.Context, node rueidis.Client) (role, error) {
	return roleIn(node.Do(ctx, hello(node)))
}

func hello(node rueidis.Client) rueidis.Completed { return node.B().Arbitrary("HELLO", "3").Build() }

func roleIn(answer rueidis.RedisResult) (role, error) {
	hello, err := answer.AsMap()
	if err != nil {
		return away, err
	}
	mode := hello["mode"]
	if text, err := mode.ToString(); err == nil && text == string(sentinel) {
		return sentinel, nil
	}
	said := hello["role"]
	if text, err := said.ToString(); err == nil && (text == string(replica) || text == "slave") {
		return replica, nil
	}
	return master, nil
}

// tryRole is askRole, and reads, too: a node that loads its data, runs a long
// script or has lost its cluster says that it is a master, and reads nothing. All
// of it is one turn, so that a node may take the time of one operation. A master
// is asked for its replication ID, too.
func (s *Store) tryRole(ctx context.Context, node rueidis.Client) answer {
	commands := rueidis.Commands{hello(node), node.B().Get().Key(s.options.Prefix + probe).Build(), node.B().Dbsize().Build()}
	if !s.untold.Load() {
		commands = append(commands, askReplication(node.B()))
	}
	replies := node.DoMulti(ctx, commands...)
	role, err := roleIn(replies[0])
	if err != nil || role != master {
		return answer{role: role, err: err}
	}
	err = replies[1].Error()
	if answer, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(answer.Error(), "MOVED ") {
		err = replies[2].Error() // it is another one's key, which a node says even while it loads
	}
	if _, answered := rueidis.IsRedisErr(err); err != nil && !rueidis.IsRedisNil(err) && (!answered || refused(err)) {
		return answer{role: away, err: err}
	}
	if len(replies) == 3 {
		return answer{role: master}
	}
	text, err := replies[3].ToString()
	if forbidden(err) && !s.untold.Swap(true) { // it is not asked again, so that its log of what it denied is not filled
		s.options.Logger.Warn("redis does not tell its replication ID, so a failover may end grants whose last refresh it lost; allow its user the command INFO",
			zap.Error(err))
	}
	identity, _ := replicationID(text)
	return answer{role: master, identity: identity}
}
