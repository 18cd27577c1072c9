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
		return nil, fmt.Errorf("%w: not connected yet: %s", storage.ErrUnavailable, *s.lastFail.Load())
	case <-s.life.Done():
		return nil, storage.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: not connected yet", storage.ErrUnavailable)
	}
}

// connectAndWatch runs from Open to Close.
func (s *Store) connectAndWatch(option rueidis.ClientOption) {
	client := s.connect(option)
	if client == nil {
		return
	}
	defer client.Close()
	s.redis = client
	nodes := make(map[string]bool)
	s.look(client, nodes) // tracking every node is part of being connected
	close(s.ready)
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
func (s *Store) connect(option rueidis.ClientOption) rueidis.Client {
	for delay, first := firstConnectDelay, true; s.life.Err() == nil; delay, first = min(2*delay, lastConnectDelay), false {
		client, err := rueidis.NewClient(option)
		if err == nil {
			return client
		}
		text := err.Error()
		s.lastFail.Store(&text)
		if first {
			close(s.tried)
			if s.life.Err() == nil {
				s.options.Logger.Warn("redis cannot be reached; trying again until it can", zap.Strings("addresses", option.InitAddress), zap.Error(err))
			}
		}
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
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	for _, name := range names {
		if text, err := name.ToString(); err == nil {
			s.feed.Send(storage.Change{Key: s.key(text)})
		}
	}
}

// look pings every node. That opens lost connections again, which rueidis
// does for a command only, and connections to nodes that are new: a node that
// was never sent a command is not tracked.
//
// nodes holds who answered last time. Whenever somebody begins to answer, or
// a connection was lost since, the changes in between were missed: the
// watchers are told after the answer, so that nothing can be missed after it.
func (s *Store) look(client rueidis.Client, nodes map[string]bool) {
	lost := s.gap.Swap(false)
	answers := s.ping(client.Nodes())
	if s.life.Err() != nil {
		return
	}
	unreachable := 0
	for addr, err := range answers {
		if cannotReach(err) {
			unreachable++
		}
		before, known := nodes[addr]
		nodes[addr] = err == nil
		switch {
		case err == nil && !before:
			lost = true
			s.options.Logger.Info("redis answers", zap.String("address", addr))
		case err != nil && (before || !known):
			lost = true
			s.options.Logger.Warn("redis does not answer", zap.String("address", addr), zap.Error(err))
		}
	}
	for addr := range nodes {
		if _, still := answers[addr]; !still {
			delete(nodes, addr)
			lost = true
		}
	}
	s.down.Store(unreachable == len(answers))
	if lost {
		s.feed.Send(storage.Change{Lost: true})
	}
}

// cannotReach tells a node that is away from a connection that just died,
// which the next command opens again.
func cannotReach(err error) bool {
	var dial dialError
	return errors.As(err, &dial) || ended(err)
}

func (s *Store) ping(nodes map[string]rueidis.Client) map[string]error {
	ctx, cancel := context.WithTimeout(s.life, s.options.Timeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := make(map[string]error, len(nodes))
	for addr, node := range nodes {
		wg.Go(func() {
			err := node.Do(ctx, node.B().Ping().Build()).Error()
			for ctx.Err() == nil && ended(err) {
				err = node.Do(ctx, node.B().Ping().Build()).Error()
			}
			mu.Lock()
			defer mu.Unlock()
			answers[addr] = err
		})
	}
	wg.Wait()
	return answers
}
