package main

import (
	"context"
	"fmt"
	"os"
)

// startRedis runs a redis-server without persistence beside the load.
func (r *run) startRedis(ctx context.Context) (port string, stop func(), err error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(r.dir, "redis-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for redis-server: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := pinned(ctx, loadCore, "redis-server", "--bind", "127.0.0.1", "--port", ports[0], "--dir", dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		cancel()
		return "", nil, fmt.Errorf("starting redis-server: %w", err)
	}
	stop = func() {
		cancel()
		_ = cmd.Wait()
	}
	if err := listening(ctx, ports[0]); err != nil {
		stop()
		return "", nil, fmt.Errorf("starting redis-server: %w", err)
	}
	return ports[0], stop, nil
}
