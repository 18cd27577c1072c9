// Package faults holds two nodes on a Redis against what can befall it, under
// load: it counts every answer by kind, and says what users may see.
package faults

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A Line is what becomes of the connections to a server.
type Line int

const (
	Passes   Line = iota // what is sent arrives
	Closes               // connections are taken, and closed at once
	Swallows             // connections stay open, and nothing arrives
	Trembles             // what is sent arrives up to Tremor later
)

// Tremor is the longest that a line that trembles holds anything back.
const Tremor = 3 * time.Second

// A Proxy stands before a server.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	line  Line
	conns map[net.Conn]struct{}
}

// StartProxy starts a proxy. It ends with the test.
func StartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target, conns: make(map[net.Conn]struct{})}
	go p.serve()
	tb.Cleanup(func() {
		listener.Close()
		p.Become(Closes)
	})
	return p
}

// URL is the proxy's address as a redis URL.
func (p *Proxy) URL() string { return "redis://" + p.listener.Addr().String() }

// Become changes the line, for connections that are open as well.
func (p *Proxy) Become(l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = l
	if l != Closes {
		return
	}
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *Proxy) is() Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.is() == Closes {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		go p.pipe(client, server)
		go p.pipe(server, client)
	}
}

// pipe brings over what one side sends, as the line allows.
func (p *Proxy) pipe(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		for p.is() == Swallows {
			time.Sleep(10 * time.Millisecond)
		}
		if p.is() == Trembles {
			time.Sleep(rand.N(Tremor))
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
