//go:build unix

package redistest

import (
	"bufio"
	"net"
	"strings"
)

// RefuseClients ends every client's connection, and refuses new ones until end is
// called, as a server with the maximal number of clients does.
func (s *Server) RefuseClients() (end func()) {
	s.tb.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	command := func(line string) {
		if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
			s.tb.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || strings.HasPrefix(answer, "-") {
			s.tb.Fatalf("%s: %s %v", line, answer, err)
		}
	}
	command("CONFIG SET maxclients 1")
	command("CLIENT KILL TYPE normal SKIPME yes")
	return func() {
		command("CONFIG SET maxclients 10000")
		conn.Close()
	}
}
