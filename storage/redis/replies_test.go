package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// A fakeServer acts as a server, a node of a cluster, or a Sentinel and its master.
type fakeServer struct {
	addr    string
	cluster bool
	greets  string                      // what it sends unasked to anyone who connects
	says    func(command string) string // "" for what a server would
	broken  atomic.Bool                 // it greets, and says that
	full    atomic.Bool                 // it greets at most
	conns   atomic.Int32

	mu   sync.Mutex
	open []net.Conn // guarded by mu
}

// hangUp closes all connections.
func (p *fakeServer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		conn.Close()
	}
	p.open = nil
}

func startPuppet(t *testing.T, cluster bool, greets string, says func(command string) string) *fakeServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &fakeServer{addr: listener.Addr().String(), cluster: cluster, greets: greets, says: says}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.conns.Add(1)
			p.mu.Lock()
			p.open = append(p.open, conn)
			p.mu.Unlock()
			go p.serve(conn)
		}
	}()
	return p
}

func (p *fakeServer) serve(conn net.Conn) {
	defer conn.Close()
	if p.broken.Load() {
		_, _ = io.WriteString(conn, p.greets)
	}
	if p.full.Load() {
		return
	}
	for in := bufio.NewReader(conn); ; {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		said := ""
		if p.broken.Load() {
			said = p.says(strings.Join(command, " "))
		}
		if said == "" {
			said = p.ordinary(command)
		}
		if _, err := io.WriteString(conn, said); err != nil {
			return
		}
	}
}

func readCommand(in *bufio.Reader) (command []string, err error) {
	number := func() int {
		line, e := in.ReadString('\n')
		n, e2 := strconv.Atoi(strings.Trim(line, "*$\r\n"))
		err = errors.Join(err, e, e2)
		return n
	}
	for range number() {
		word := make([]byte, number()+len("\r\n"))
		if _, e := io.ReadFull(in, word); e != nil || err != nil {
			return nil, errors.Join(err, e)
		}
		command = append(command, string(word[:len(word)-len("\r\n")]))
	}
	if len(command) == 0 {
		err = errors.Join(err, io.ErrUnexpectedEOF)
	}
	return command, err
}

const greeting = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n" +
	"$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"

// ordinary returns the answer of a real server.
func (p *fakeServer) ordinary(command []string) string {
	host, port, _ := net.SplitHostPort(p.addr)
	switch command[0] {
	case "HELLO":
		return greeting
	case "GET":
		return "$1\r\n1\r\n"
	case "DBSIZE":
		return ":1\r\n"
	case "INFO":
		return "=15\r\ntxt:role:master\r\n"
	case "PING":
		return "+PONG\r\n"
	case "ROLE":
		return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
	case "CLUSTER":
		if !p.cluster {
			return "-ERR This instance has cluster support disabled\r\n"
		}
		if command[1] == "MYID" {
			return "$2\r\nid\r\n"
		}
		return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$2\r\nid\r\n", len(host), host, port)
	case "SENTINEL":
		if command[1] == "SENTINELS" {
			return "*0\r\n"
		}
		return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
	case "SUBSCRIBE", "UNSUBSCRIBE":
		pushes := ""
		for i, channel := range command[1:] {
			pushes += push(strings.ToLower(command[0]), channel) + fmt.Sprintf(":%d\r\n", i)
		}
		return pushes
	}
	return "+OK\r\n"
}

// push returns a push of three words without the last one.
func push(words ...string) string {
	text := ">3\r\n"
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	return text
}

// to gives an answer to commands with a prefix, and the ordinary answer to others.
func to(command, said string) func(string) string {
	return func(got string) string {
		if strings.HasPrefix(got, command) {
			return said
		}
		return ""
	}
}

// No input of a server, a Sentinel or a proxy may end the process. The store returns
// errors meanwhile, and works again after the input is right.
func TestClass24NoInputOfAServerEndsCaddy(t *testing.T) {
	t.Parallel()
	const value, subscribes = "$1\r\n1\r\n", "SUBSCRIBE +sentinel"
	confirmed := ""
	for _, channel := range []string{"+sentinel", "+slave", "-sdown", "+sdown", "+switch-master", "+reboot"} {
		confirmed += push("subscribe", channel) + ":1\r\n"
	}
	for name, c := range map[string]struct {
		address string // with %s for the fake server's address
		greets  string
		says    func(command string) string
	}{
		"no room, said before it is asked": {"redis://%s", "-ERR max number of clients reached\r\n", to("HELLO", "")},
		"no access, said before":           {"redis://%s", "-DENIED Redis is running in protected mode\r\n", to("HELLO", "")},
		"a greeting of some other server":  {"redis://%s", "220 mail.example ESMTP\r\n", to("HELLO", "")},
		"replies before any command":       {"redis://%s", strings.Repeat("+OK\r\n", 100), to("HELLO", "")},
		"two replies to each command":      {"redis://%s", "", to("GET", value+value)},
		"many replies at the end":          {"redis://%s", "", to("INFO", strings.Repeat("+OK\r\n", 100))},
		"two greetings":                    {"redis://%s", "", to("HELLO", greeting+greeting)},

		"a string of negative length":           {"redis://%s", "", to("GET", "$-5\r\n")},
		"a string of 8 EiB":                     {"redis://%s", "", to("GET", "$9223372036854775807\r\n")},
		"a string of 900 MB":                    {"redis://%s", "", to("GET", "$900000000\r\n")},
		"a length that is none":                 {"redis://%s", "", to("GET", "$1x\r\n1\r\n")},
		"an array of negative length":           {"redis://%s", "", to("GET", "*-7\r\n")},
		"an array of 8 EiB":                     {"redis://%s", "", to("GET", "*9223372036854775807\r\n")},
		"an array of 900 million":               {"redis://%s", "", to("GET", "*900000000\r\n")},
		"arrays that are many together":         {"redis://%s", "", to("GET", strings.Repeat("*999999\r\n", 15))},
		"a map of no length":                    {"redis://%s", "", to("GET", "%-1\r\n")},
		"a push that is null":                   {"redis://%s", "", to("GET", ">-1\r\n"+value)},
		"arrays without end":                    {"redis://%s", "", to("GET", strings.Repeat("*1\r\n", 1<<18))},
		"a line without end":                    {"redis://%s", "", to("GET", "+"+strings.Repeat("a", 1<<17))},
		"a null that is too short":              {"redis://%s", "", to("GET", strings.Repeat("_a_", 100))},
		"a boolean that is too short":           {"redis://%s", "", to("GET", strings.Repeat("#t_#", 100))},
		"a string in parts, of negative length": {"redis://%s", "", to("GET", "$?\r\n;-9\r\n")},
		"a string in parts, of 8 EiB":           {"redis://%s", "", to("GET", "$?\r\n;9223372036854775807\r\n")},
		"an attribute":                          {"redis://%s", "", to("GET", "|-1\r\n")},
		"a push within an array":                {"redis://%s", "", to("GET", "*2\r\n"+value+push("invalidate", "x")+value+value)},

		"a subscription to nothing":         {"redis://%s", "", to("GET", push("subscribe", "x")+":1\r\n"+value)},
		"a subscription before any command": {"redis://%s", strings.Repeat(push("subscribe", "x")+":1\r\n", 9), to("HELLO", "")},
		"the end of subscriptions, again":   {"redis://%s", "", to("GET", strings.Repeat(push("unsubscribe", "x")+":0\r\n", 9)+value+value)},

		"a MOVED without an address":       {"redis://%s,%[1]s", "", to("GET sso:a", "-MOVED\r\n")},
		"a key that moved to half a place": {"redis://%s,%[1]s", "", to("GET sso:a", "-MOVED 1\r\n")},
		"an ASK without an address":        {"redis://%s,%[1]s", "", to("GET sso:a", "-ASK 1\r\n")},

		"a Sentinel without an address":     {"redis+sentinel://%s/m", "", to("SENTINEL GET", "*0\r\n")},
		"a Sentinel with half an address":   {"redis+sentinel://%s/m", "", to("SENTINEL GET", "*1\r\n$1\r\nh\r\n")},
		"a master without a role":           {"redis+sentinel://%s/m", "", to("ROLE", "*0\r\n")},
		"a Sentinel that goes on and on":    {"redis+sentinel://%s/m", "", to(subscribes, confirmed+confirmed)},
		"a Sentinel that confirms twice":    {"redis+sentinel://%s/m", "", to("UNSUBSCRIBE", "+x\r\n+y\r\n+PONG\r\n")},
		"a Sentinel that queues":            {"redis+sentinel://%s/m", "", to(subscribes, "+QUEUED\r\n")},
		"a Sentinel that fails to queue":    {"redis+sentinel://%s/m", "", to(subscribes, "-QUEUED\r\n")},
		"a new Sentinel without an address": {"redis+sentinel://%s/m", "", to(subscribes, confirmed+push("message", "+sentinel", "sentinel"))},
		"a new master without an address":   {"redis+sentinel://%s/m", "", to(subscribes, confirmed+push("message", "+switch-master", "m h 1"))},
		"a restart without an address":      {"redis+sentinel://%s/m", "", to(subscribes, confirmed+push("message", "+reboot", "master m"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, from := range []string{"the beginning", "later on"} {
				p := startPuppet(t, strings.Contains(c.address, ","), c.greets, c.says)
				p.broken.Store(from == "the beginning")
				s := open(t, fmt.Sprintf(c.address, p.addr), redis.Options{Timeout: 2 * time.Second, Watchdog: 10 * time.Millisecond})
				if from == "later on" {
					eventually(t, "it works", func() bool { _, ok, err := s.Get(t.Context(), "a"); return ok && err == nil })
					p.broken.Store(true)
					p.hangUp()
				}
				before := p.conns.Load()
				eventually(t, "connections are given up", func() bool {
					_, _, err := s.Get(t.Context(), "a")
					if err != nil && !errors.Is(err, storage.ErrUnavailable) {
						t.Fatalf("from %s: %v", from, err)
					}
					return p.conns.Load() > before+1
				})
				p.broken.Store(false)
				eventually(t, "it works in the end", func() bool { _, ok, err := s.Get(t.Context(), "a"); return ok && err == nil })
			}
		})
	}
}

// A server without room says so at once, and closes. Anyone who dialled may have
// left by then: rueidis reads that before it has written anything.
func TestClass24AServerWithoutRoomForSomeoneWhoLeavesEndsNothing(t *testing.T) {
	t.Parallel()
	p := startPuppet(t, false, "-ERR max number of clients reached\r\n", nil)
	s := open(t, "redis://"+p.addr, redis.Options{Watchdog: time.Hour})
	eventually(t, "it works", func() bool { _, ok, err := s.Get(t.Context(), "a"); return ok && err == nil })
	p.full.Store(true)
	p.broken.Store(true)
	p.hangUp()
	for i := range 5000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%500)*time.Microsecond)
		if _, _, err := s.Get(ctx, "a"); err == nil {
			t.Error("an answer without a server")
		}
		cancel()
	}
	p.full.Store(false)
	p.broken.Store(false)
	eventually(t, "it works again", func() bool { _, ok, err := s.Get(t.Context(), "a"); return ok && err == nil })
}
