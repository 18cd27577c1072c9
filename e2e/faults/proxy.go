// Package faults tests two nodes on a store while it fails, under
// load: it counts every answer by kind and by whom, and says what users may see.
// docs/operating.md tells operators the same.
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
	Mutes                // what is asked arrives, and no answer comes back
	Trembles             // what is sent arrives up to Tremor later
	Lags                 // what is sent arrives Lag later
	Drags                // what is sent arrives Drag later, when nobody waits any more
)

// How late what is sent arrives.
const (
	Tremor = 3 * time.Second
	Lag    = 300 * time.Millisecond
	Drag   = 1500 * time.Millisecond
)

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

// Addr is the proxy's host:port, and URL the same as a redis URL.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }
func (p *Proxy) URL() string  { return "redis://" + p.Addr() }

// Become changes the line, for connections that are open as well. Those that lost
// answers are closed, since what comes next there answers something else.
func (p *Proxy) Become(l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.line
	p.line = l
	if l != Closes && was != Mutes {
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
		go p.pipe(server, client, false)
		go p.pipe(client, server, true)
	}
}

// pipe brings over what one side sends, as the line allows.
func (p *Proxy) pipe(to, from net.Conn, answers bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	sent := make(chan packet, 1<<10)
	go func() {
		defer close(sent)
		for {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				sent <- packet{buffer[:n], time.Now().Add(p.is().late())}
			}
			if err != nil {
				return
			}
		}
	}()
	for next := range sent {
		time.Sleep(time.Until(next.due))
		for p.is() == Swallows {
			time.Sleep(10 * time.Millisecond)
		}
		if answers && p.is() == Mutes {
			continue
		}
		if _, err := to.Write(next.data); err != nil {
			from.Close()
			for range sent { // so that the reader ends
			}
			return
		}
	}
}

// A packet is what was sent at once, and when it is to arrive.
type packet struct {
	data []byte
	due  time.Time
}

func (l Line) late() time.Duration {
	switch l {
	case Trembles:
		return rand.N(Tremor)
	case Lags:
		return Lag
	case Drags:
		return Drag
	}
	return 0
}
