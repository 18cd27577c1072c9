package redis

import (
	"crypto/tls"
	"net"
	"sync"
)

// openConns are the open connections. rueidis keeps a connection as long as it works,
// even if it leads to the wrong server, so this package can close them.
type openConns struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{} // guarded by mu
}

// A trackedConn is a connection, with the address that was dialled.
type trackedConn struct {
	net.Conn
	addr    string
	all     *openConns
	replies *replies
}

func (l *openConns) add(conn net.Conn, addr string) net.Conn {
	added := &trackedConn{Conn: conn, addr: addr, all: l, replies: newReplies()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[*trackedConn]struct{})
	}
	l.open[added] = struct{}{}
	return added
}

// Read implements net.Conn. If the server sends a reply that rueidis must not see, it
// closes the connection.
func (l *trackedConn) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if broken := l.replies.receiving(p[:n]); broken != nil {
		l.cut()
		return 0, broken
	}
	return n, err
}

// Write implements net.Conn.
func (l *trackedConn) Write(p []byte) (int, error) {
	if err := l.replies.sending(p); err != nil { // before the server can answer
		return 0, err
	}
	return l.Conn.Write(p)
}

// Close implements net.Conn.
func (l *trackedConn) Close() error {
	l.all.mu.Lock()
	delete(l.all.open, l)
	l.all.mu.Unlock()
	return l.Conn.Close()
}

// cut closes the connections to addr. At the next command rueidis dials again and
// resolves the name again. A proxy may then lead to another server.
func (l *openConns) cut(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for open := range l.open {
		if open.addr != addr {
			continue
		}
		open.cut()
	}
}

// cut closes the connection. rueidis notices it and closes its side.
func (l *trackedConn) cut() {
	conn := l.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // TLS would first send an alert, which the other side may not read
	}
	_ = conn.Close()
}
