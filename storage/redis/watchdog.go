package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	firstConnectDelay = 50 * time.Millisecond
	lastConnectDelay  = time.Second

	// failingTurns is for how many turns of the watchdog each connection to a node may
	// fail before the node is treated as down.
	failingTurns = 3

	// replicaRedialInterval is how often a single server that stays a replica is
	// dialled again.
	replicaRedialInterval = time.Second
)

// connected returns the client. If there is none yet, it waits for the first attempt to
// connect, but not for later ones.
func (s *Store) connected(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-s.ready:
		return s.redis, nil
	default:
	}
	select {
	case <-s.ready:
		return s.redis, nil
	case <-s.tried:
		return nil, fmt.Errorf("%w: not connected yet: %s", storage.ErrAway, *s.lastFail.Load())
	case <-s.ctx.Done():
		return nil, storage.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: not connected yet", storage.ErrUnavailable)
	}
}

// connectAndWatch runs from Open to Close.
func (s *Store) connectAndWatch(option rueidis.ClientOption) {
	client := s.connect(option, func(err error) {
		text := err.Error()
		if s.lastFail.Swap(&text) == nil {
			close(s.tried)
			if s.ctx.Err() == nil {
				s.options.Logger.Warn("redis cannot be reached; trying again until it can", zap.Strings("addresses", option.InitAddress), zap.Error(err))
			}
		}
	})
	if client == nil {
		return
	}
	defer client.Close()
	s.redis = client
	nodes := make(map[string]role)
	s.checkNodes(client, nodes) // the store is connected once every node is tracked
	close(s.ready)
	s.watchdog.Go(func() { s.checkServers(client) })
	if s.options.Wait.Replicas > 0 {
		s.watchdog.Go(func() { s.connectWaiter(option) })
	}
	ticker := time.NewTicker(s.options.Watchdog)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
		s.checkNodes(client, nodes)
	}
}

// connect tries until it succeeds. It returns nil if the store is closed.
func (s *Store) connect(option rueidis.ClientOption, failed func(error)) rueidis.Client {
	for delay := firstConnectDelay; s.ctx.Err() == nil; delay = min(2*delay, lastConnectDelay) {
		client, err := s.newClient(option)
		if err == nil {
			return client
		}
		failed(err)
		wait(s.ctx, delay)
	}
	return nil
}

// invalidated is called by rueidis with the keys that changed, or with nil if a
// connection was lost or a database was flushed.
func (s *Store) invalidated(names []rueidis.RedisMessage) {
	if s.closed.Load() {
		return
	}
	if names == nil {
		s.connLost.Store(true)
		s.feed.Send(storage.Change{Lost: true})
		s.wakeWatchdog()
		return
	}
	for _, name := range names {
		if text, err := name.ToString(); err == nil {
			s.feed.Send(storage.Change{Key: s.key(text)})
		}
	}
}

// wakeWatchdog starts a turn of the watchdog without waiting for the interval.
func (s *Store) wakeWatchdog() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// checkNodes asks every node for its role. This opens lost connections again, which
// rueidis does only for a command. It also opens connections to new nodes, since a node
// without a command is not tracked.
//
// nodes has the last answers. If an answer differs from the last one, or a connection
// was lost, changes may have been missed. Watchers are told so after the answer,
// because from then on no change can be missed.
func (s *Store) checkNodes(client rueidis.Client, nodes map[string]role) {
	lost := s.connLost.Swap(false)
	// In a cluster another node may have answered.
	answered := s.answered.Swap(false) && client.Mode() != rueidis.ClientModeCluster
	answers := s.ask(client.Nodes())
	if s.ctx.Err() != nil {
		return
	}
	var masters []rueidis.Client
	usable, silent := 0, 0 // nodes that may accept a command, and nodes that do not answer
	for addr, answer := range answers {
		before, known := nodes[addr]
		unreachable := cannotReach(answer.err)
		died := answer.err != nil && !unreachable && !refused(answer.err)
		gone := s.keepsFailing(addr, died && !answered, unreachable)
		if died && before == replica {
			continue // we cut it off; the new server is not known yet
		}
		switch {
		case answer.role == master:
			masters = append(masters, answer.node)
			usable++
		case died && !gone:
			usable++
		case answer.err != nil:
			silent++
		}
		nodes[addr] = answer.role
		if !known || before != answer.role {
			lost = true
			s.logAnswer(addr, answer)
		}
	}
	for addr := range nodes {
		if _, still := answers[addr]; !still {
			delete(nodes, addr)
			delete(s.failingSince, addr)
			lost = true
		}
	}
	s.outage.Store(s.outageOf(client, masters, usable, silent))
	s.storeIdentities(client, answers, lost)
	if lost {
		s.infoDenied.Store(false) // another server, or its user, may allow it
		s.feed.Send(storage.Change{Lost: true})
	}
	s.cutOff(client, answers)
}

// keepsFailing reports whether connections to a node have failed for some time while it
// answered no command, for example if a proxy accepts connections and closes them. A
// node that could not be reached, and has not answered since, is down already: failing
// connections do not change that.
func (s *Store) keepsFailing(addr string, died, unreachable bool) bool {
	since, before := s.failingSince[addr]
	switch {
	case unreachable:
		s.failingSince[addr] = time.Time{}
		return false
	case !died:
		delete(s.failingSince, addr)
		return false
	case !before:
		s.failingSince[addr] = time.Now()
		return false
	}
	return time.Since(since) > failingTurns*s.options.Watchdog
}

func (s *Store) logAnswer(addr string, a answer) {
	if a.err != nil {
		s.options.Logger.Warn("redis does not answer", zap.String("address", addr), zap.Error(a.err))
		return
	}
	if a.role == sentinel {
		s.options.Logger.Warn("redis: the address is that of a Sentinel, and not of a server; use redis+sentinel:// and add the name of the master after the hosts",
			zap.String("address", addr))
		return
	}
	s.options.Logger.Info("redis answers", zap.String("address", addr), zap.String("role", string(a.role)))
}

// cutOff closes connections to a server that did not answer in time. It also closes
// those to a single server that has become a replica: its address may lead to the new
// master by now, or the next host is dialled. In a cluster replicas are normal, and
// name the master. With Sentinel rueidis follows the Sentinel.
func (s *Store) cutOff(client rueidis.Client, answers map[string]answer) {
	alone := client.Mode() != rueidis.ClientModeCluster && client.Mode() != rueidis.ClientModeSentinel
	interval := replicaRedialInterval / time.Duration(len(s.selector.hosts)) // within the interval each host is tried once
	for addr, answer := range answers {
		switch {
		case ended(answer.err):
			s.conns.cut(addr)
		case alone && answer.role == replica && time.Since(s.redialled) >= interval:
			s.redialled = time.Now()
			s.selector.skip(s.selector.host())
			s.conns.cut(addr)
		}
	}
}

// cannotReach reports whether a node is down. If only a connection failed, the next
// command opens it again.
func cannotReach(err error) bool {
	var dial dialError
	return errors.As(err, &dial) || ended(err)
}

// An answer is the answer of a node, or the error.
type answer struct {
	node     rueidis.Client
	role     role
	err      error
	identity string // a master's replication ID, if the user may read it
}

func (s *Store) ask(nodes map[string]rueidis.Client) map[string]answer {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := make(map[string]answer, len(nodes))
	for addr, node := range nodes {
		wg.Go(func() {
			a := s.probeRole(ctx, node)
			for ctx.Err() == nil && ended(a.err) {
				a = s.probeRole(ctx, node)
			}
			mu.Lock()
			defer mu.Unlock()
			a.node = node
			answers[addr] = a
		})
	}
	wg.Wait()
	return answers
}
