//go:build unix

package redistest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy is one address in front of several servers, as managed services have it.
// After a failover new connections go to another server, and the old connections stay.
type Proxy struct {
	listener net.Listener
	mu       sync.Mutex
	target   string // guarded by mu

	swallowing atomic.Bool
}

// StartProxy starts a proxy in front of a server, and stops it at the end of the test.
func StartProxy(tb testing.TB, target *Server) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target.Addr()}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			pipes.Go(func() { p.pipe(conn) })
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		pipes.Wait() // the store and the servers, which are stopped later or by kill, close the connections
	})
	return p
}

func (p *Proxy) pipe(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		_, _ = io.Copy(&answerWriter{Writer: client, proxy: p}, server)
	})
	_, _ = io.Copy(server, client)
	server.Close()
	back.Wait()
}

// URL is the proxy's address as a redis URL.
func (p *Proxy) URL() string { return "redis://" + p.listener.Addr().String() }

// LeadTo sends new connections to another server.
func (p *Proxy) LeadTo(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = s.Addr()
}

// Swallow sets whether answers are lost from now on. Commands still arrive, and the
// server runs them. A connection that has lost an answer sends no more answers.
func (p *Proxy) Swallow(swallow bool) { p.swallowing.Store(swallow) }

// An answerWriter writes the answers of one connection to its client.
type answerWriter struct {
	io.Writer
	proxy *Proxy
	lost  bool
}

func (w *answerWriter) Write(answer []byte) (int, error) {
	if w.lost = w.lost || w.proxy.swallowing.Load(); w.lost {
		return len(answer), nil
	}
	return w.Writer.Write(answer)
}
