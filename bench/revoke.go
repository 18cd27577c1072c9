package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	revokeRounds = 200 // sign-outs, each of a session with one socket
	crowdRounds  = 10  // sign-outs, each of a session with many
	crowdSockets = 500

	// revokePatience bounds how long it is waited for what has to come.
	revokePatience = 5 * time.Second
)

// delays are how long something took, each time; late ones did not come at all.
type delays struct {
	what string
	aim  time.Duration // of the 99th percentile
	took []time.Duration
	late int
}

func (d *delays) add(took time.Duration, came bool) {
	if !came {
		d.late++
		return
	}
	d.took = append(d.took, took)
}

// at is a percentile.
func (d *delays) at(percent int) time.Duration {
	if len(d.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d.took))
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

// A node is one of two Caddys on one Redis, at ports of its own.
type node struct {
	*caddy
	ports map[string]string
}

// revoke measures how soon a sign-out at one node is one at the other.
func (r *run) revoke(ctx context.Context, rep *report) error {
	redis, stopRedis, err := r.startRedis(ctx)
	if err != nil {
		return err
	}
	defer stopRedis()
	upstream, err := freePorts(1)
	if err != nil {
		return err
	}
	stopUpstream, err := startUpstream(ctx, upstream[0])
	if err != nil {
		return err
	}
	defer stopUpstream()
	hash, err := r.hash(ctx)
	if err != nil {
		return err
	}
	users := userNames(revokeRounds + crowdRounds)
	var nodes [2]node
	for i := range nodes {
		if nodes[i].ports, err = named("admin", "portal", "gate"); err != nil {
			return err
		}
		nodes[i].caddy, err = r.startCaddy(ctx, "nodes.Caddyfile", map[string]any{
			"Listen": nodes[i].ports, "Public": nodes[0].ports, "Redis": redis, "Upstream": upstream[0], "Users": users, "Hash": hash,
		}, nodes[i].ports)
		if err != nil {
			return err
		}
		defer nodes[i].close()
	}
	progress("signing in %d users", len(users))
	cookies, err := signInAll("localhost:"+nodes[0].ports["gate"], users)
	if err != nil {
		return fmt.Errorf("%w; Caddy's log ends: %s", err, tail(nodes[0].log))
	}
	refused := &delays{what: "a sign-out at one node → a request is refused at the other", aim: 5 * time.Millisecond}
	alone := &delays{what: "→ the session's WebSocket at the other is closed", aim: 5 * time.Millisecond}
	crowd := &delays{what: fmt.Sprintf("→ each of %d WebSockets of the session at the other is closed", crowdSockets), aim: 50 * time.Millisecond}
	progress("%d sign-outs with a socket, %d with %d", revokeRounds, crowdRounds, crowdSockets)
	for i, cookie := range cookies {
		sockets, closed := 1, alone
		if i >= revokeRounds {
			sockets, closed = crowdSockets, crowd
		}
		if err := signOutAcross(ctx, nodes, cookie, sockets, refused, closed); err != nil {
			return fmt.Errorf("sign-out %d: %w", i+1, err)
		}
	}
	rep.revoked = []*delays{refused, alone, crowd}
	return nil
}

// signOutAcross opens sockets of a session at the second node, signs out at the
// first, and adds when each socket was closed and, if there is but one, when a
// request was refused first. The time begins before the sign-out is sent.
func signOutAcross(ctx context.Context, nodes [2]node, cookie string, sockets int, refused, closed *delays) error {
	here, there := nodes[0].ports["gate"], nodes[1].ports["gate"]
	host := "localhost:" + here // the public address, whichever node is asked
	all := make([]*conn, sockets)
	for i := range all {
		socket, err := openSocket(there, host, cookie)
		if err != nil {
			return err
		}
		defer socket.Close()
		all[i] = socket
	}
	asking, err := dialOne(there)
	if err != nil {
		return err
	}
	defer asking.Close()
	page := []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\nSec-Fetch-Mode: cors\r\nCookie: " + cookie + "\r\n\r\n")
	if resp, _, err := asking.do(page); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("before it, the other node does not answer 200: %v, %w", resp, err)
	}
	ending, err := dialOne(here)
	if err != nil {
		return err
	}
	defer ending.Close()
	if ctx.Err() != nil {
		return ctx.Err()
	}

	var measuring sync.WaitGroup
	ended := make([]time.Time, sockets)
	deadline := time.Now().Add(revokePatience)
	for i, socket := range all {
		measuring.Go(func() { ended[i] = closedAt(socket, deadline) })
	}
	begun := time.Now()
	if sockets == 1 {
		measuring.Go(func() { askUntilRefused(asking, page, begun, deadline, refused) })
	}
	resp, _, err := ending.do([]byte("POST /oauth2/sign_out HTTP/1.1\r\nHost: " + host + "\r\nSec-Fetch-Site: same-origin\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nCookie: " + cookie + "\r\n\r\n"))
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("signing out is answered %s", resp.Status)
	}
	measuring.Wait()
	for _, at := range ended {
		closed.add(at.Sub(begun), !at.IsZero())
	}
	return err
}

// closedAt waits until a socket is closed. It returns the zero time if that does not
// happen before the deadline.
func closedAt(socket *conn, deadline time.Time) time.Time {
	if err := socket.SetDeadline(deadline); err != nil {
		return time.Time{}
	}
	if _, err := socket.in.ReadByte(); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return time.Time{}
	}
	return time.Now()
}

// askUntilRefused asks for a page again and again, and adds when it was first refused.
func askUntilRefused(asking *conn, page []byte, begun, deadline time.Time, refused *delays) {
	for time.Now().Before(deadline) {
		resp, _, err := asking.do(page)
		if err != nil || resp.StatusCode != http.StatusOK {
			refused.add(time.Since(begun), err == nil && resp.StatusCode == http.StatusUnauthorized)
			return
		}
	}
	refused.add(0, false)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func dialOne(port string) (*conn, error) {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, fmt.Errorf("connecting to port %s: %w", port, err)
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// openSocket opens a WebSocket, as far as Caddy can tell.
func openSocket(port, host, cookie string) (*conn, error) {
	c, err := dialOne(port)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nCookie: %s\r\n\r\n", socketPath, host, cookie)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("opening a WebSocket: %w", err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, fmt.Errorf("opening a WebSocket: %v, %w", resp, err)
	}
	return c, nil
}

func writeRevoked(b *strings.Builder, rows []*delays) {
	b.WriteString("## A sign-out, at the other node\n\n| what | times | p50 ms | p99 ms | most ms | not within 5 s |\n|---|---|---|---|---|---|\n")
	for _, d := range rows {
		fmt.Fprintf(b, "| %s | %d | %.2f | %.2f | %.2f | %d |\n", d.what, len(d.took)+d.late, millis(d.at(50)), millis(d.at(99)), millis(d.at(100)), d.late)
	}
	b.WriteString("\nTwo nodes on one redis-server, all on this machine, both nodes on one core. The time begins before the sign-out is sent " +
		"to the gate of the one, and ends when the other's answer, or the end of the connection, is read.\n\n")
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
