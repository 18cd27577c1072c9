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

	// dying is for how many turns of the watchdog connections to a node may die,
	// each of them, before it counts as away.
	dying = 3

	// recutInterval is how often a lone server that stays a replica is dialled
	// again.
	recutInterval = time.Second
)

// connected returns the client. Until there is one it waits for the first
// attempt to connect, and for no other.
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
	case <-s.life.Done():
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
			if s.life.Err() == nil {
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
	s.look(client, nodes) // tracking every node is part of being connected
	close(s.ready)
	s.watchdog.Go(func() { s.checkServers(client) })
	if s.options.Wait.Replicas > 0 {
		s.watchdog.Go(func() { s.connectWaiter(option) })
	}
	ticker := time.NewTicker(s.options.Watchdog)
	defer ticker.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
		s.look(client, nodes)
	}
}

// connect tries until it succeeds, or the store is closed: then it returns nil.
func (s *Store) connect(option rueidis.ClientOption, failed func(error)) rueidis.Client {
	for delay := firstConnectDelay; s.life.Err() == nil; delay = min(2*delay, lastConnectDelay) {
		client, err := s.newClient(option)
		if err == nil {
			return client
		}
		failed(err)
		wait(s.life, delay)
	}
	return nil
}

// invalidated is called by rueidis with the keys that changed, or with nil
// when a connection was lost or a database was flushed.
func (s *Store) invalidated(names []rueidis.RedisMessage) {
	if s.closed.Load() {
		return
	}
	if names == nil {
		s.gap.Store(true)
		s.feed.Send(storage.Change{Lost: true})
		s.lookNow()
		return
	}
	for _, name := range names {
		if text, err := name.ToString(); err == nil {
			s.feed.Send(storage.Change{Key: s.key(text)})
		}
	}
}

// lookNow makes the watchdog look without waiting for its turn.
func (s *Store) lookNow() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// look asks every node for its role. That opens lost connections again, which
// rueidis does for a command only, and connections to nodes that are new: a
// node that was never sent a command is not tracked.
//
// nodes holds what each said last time. Whenever one says something else, or a
// connection was lost since, changes may have been missed: the watchers are
// told after the answer, so that nothing can be missed after it.
func (s *Store) look(client rueidis.Client, nodes map[string]role) {
	lost := s.gap.Swap(false)
	// In a cluster another node may have answered, which says nothing of this one.
	answered := s.answered.Swap(false) && client.Mode() != rueidis.ClientModeCluster
	answers := s.ask(client.Nodes())
	if s.life.Err() != nil {
		return
	}
	var masters []rueidis.Client
	usable, silent := 0, 0 // nodes that may take a command, and that do not answer
	for addr, answer := range answers {
		before, known := nodes[addr]
		unreachable := cannotReach(answer.err)
		died := answer.err != nil && !unreachable && !refused(answer.err)
		gone := s.keepsDying(addr, died && !answered, unreachable)
		if died && before == replica {
			continue // cut off by ourselves; who is there now is yet to be seen
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
			delete(s.dying, addr)
			lost = true
		}
	}
	s.outage.Store(s.outageOf(client, masters, usable, silent))
	s.noteIdentities(client, answers, lost)
	if lost {
		s.untold.Store(false) // another server, or its user, may tell more
		s.feed.Send(storage.Change{Lost: true})
	}
	s.cutOff(client, answers)
}

// keepsDying says whether connections to a node have died for long while it
// answered no command, as where something before it takes connections and closes
// them. One that could not be reached, and has not answered since, has been away
// for long enough: connections that die do not bring it back.
func (s *Store) keepsDying(addr string, died, unreachable bool) bool {
	since, before := s.dying[addr]
	switch {
	case unreachable:
		s.dying[addr] = time.Time{}
		return false
	case !died:
		delete(s.dying, addr)
		return false
	case !before:
		s.dying[addr] = time.Now()
		return false
	}
	return time.Since(since) > dying*s.options.Watchdog
}

func (s *Store) logAnswer(addr string, a answer) {
	if a.err != nil {
		s.options.Logger.Warn("redis does not answer", zap.String("address", addr), zap.Error(a.err))
		return
	}
	if a.role == sentinel {
		s.options.Logger.Warn("redis: what answers is a Sentinel, and no server; its address begins with redis+sentinel:// and names the master after the hosts",
			zap.String("address", addr))
		return
	}
	s.options.Logger.Info("redis answers", zap.String("address", addr), zap.String("role", string(a.role)))
}

// cutOff ends connections that lead to the wrong place, or nowhere: those to a
// server that did not answer in time, and those to a lone server that is a
// replica now, since its address may belong to the new master already, or it is
// the turn of the next. In a cluster replicas are as they should be: they say
// where the master is. With Sentinel rueidis goes where that says.
func (s *Store) cutOff(client rueidis.Client, answers map[string]answer) {
	alone := client.Mode() != rueidis.ClientModeCluster && client.Mode() != rueidis.ClientModeSentinel
	interval := recutInterval / time.Duration(len(s.turn.hosts)) // all of them have their turn
	for addr, answer := range answers {
		switch {
		case ended(answer.err):
			s.lines.cut(addr)
		case alone && answer.role == replica && time.Since(s.recut) >= interval:
			s.recut = time.Now()
			s.turn.pass(s.turn.host())
			s.lines.cut(addr)
		}
	}
}

// cannotReach tells a node that is away from a connection that just died,
// which the next command opens again.
func cannotReach(err error) bool {
	var dial dialError
	return errors.As(err, &dial) || ended(err)
}

// An answer is what a node said of itself, or why it said nothing.
type answer struct {
	node     rueidis.Client
	role     role
	err      error
	identity string // a master's replication ID, if it tells
}

func (s *Store) ask(nodes map[string]rueidis.Client) map[string]answer {
	ctx, cancel := context.WithTimeout(s.life, s.options.Timeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := make(map[string]answer, len(nodes))
	for addr, node := range nodes {
		wg.Go(func() {
			a := s.tryRole(ctx, node)
			for ctx.Err() == nil && ended(a.err) {
				a = s.tryRole(ctx, node)
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
