package redis

import (
	"context"
	"strings"

	"github.com/redis/rueidis"
	"go.uber.org/zap"
)

// A role is the role of a node by its own answer.
type role string

const (
	away    role = "" // it does not answer
	master  role = "master"
	replica role = "replica"

	// sentinel is not a server, but a process that monitors servers.
	sentinel role = "sentinel"
)

// probe is the key that the watchdog reads. No value is stored there.
const probe = "probe"

// askRole asks a node for its role, with the first command of every connection: unlike
// ROLE, every user may use it. A node that is no replica accepts writes, whatever its
// role is called.
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

// probeRole is like askRole, but also reads a key. A node that loads its data, runs a
// long script or has lost its cluster says that it is a master, but answers no read.
// Everything is one turn, within the timeout of one operation. A master is also asked
// for its replication ID.
func (s *Store) probeRole(ctx context.Context, node rueidis.Client) answer {
	commands := rueidis.Commands{hello(node), node.B().Get().Key(s.options.Prefix + probe).Build(), node.B().Dbsize().Build()}
	if !s.infoDenied.Load() {
		commands = append(commands, askReplication(node.B()))
	}
	replies := node.DoMulti(ctx, commands...)
	role, err := roleIn(replies[0])
	if err != nil || role != master {
		return answer{role: role, err: err}
	}
	err = replies[1].Error()
	if answer, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(answer.Error(), "MOVED ") {
		err = replies[2].Error() // another node has the key; a node says so even while it loads its data
	}
	if _, answered := rueidis.IsRedisErr(err); err != nil && !rueidis.IsRedisNil(err) && (!answered || refused(err)) {
		return answer{role: away, err: err}
	}
	if len(replies) == 3 {
		return answer{role: master}
	}
	text, err := replies[3].ToString()
	if forbidden(err) && !s.infoDenied.Swap(true) { // it is not asked again, to keep such entries out of its ACL log
		s.options.Logger.Warn("the redis user may not read the replication ID, so a failover that loses a refresh may end the grant; allow the user the command INFO",
			zap.Error(err))
	}
	identity, _ := replicationID(text)
	return answer{role: master, identity: identity}
}
