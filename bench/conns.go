package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// directConnections are how many requests are sent at the same time where wrk
// cannot send them, since each is another one.
const directConnections = 16

// conns are connections that write requests made beforehand: net/http's client
// would take longer than Caddy.
type conns struct {
	host string
	all  []*conn
}

type conn struct {
	net.Conn
	in *bufio.Reader
}

// dial connects to a host of this machine, such as localhost:8080.
func dial(host string) (*conns, error) {
	_, port, _ := strings.Cut(host, ":")
	l := &conns{host: host}
	for range directConnections {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("connecting to %s: %w", host, err)
		}
		l.all = append(l.all, &conn{c, bufio.NewReader(c)})
	}
	return l, nil
}

func (l *conns) close() {
	for _, c := range l.all {
		c.Close()
	}
}

// do sends a request and reads all of the answer.
func (c *conn) do(request []byte) (*http.Response, []byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// each lets every connection work on its share of n.
func (l *conns) each(n int, work func(c *conn, i int) error) error {
	failures := make([]error, len(l.all))
	var all sync.WaitGroup
	for k, c := range l.all {
		all.Go(func() {
			for i := k; i < n && failures[k] == nil; i += len(l.all) {
				failures[k] = work(c, i)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// fire sends all requests as fast as it can. An answer that is not right counts
// as an error.
func (l *conns) fire(requests [][]byte, right func(*http.Response, []byte) bool) (slice, error) {
	took, wrong := make([]time.Duration, len(requests)), make([]int, len(requests)) // the statuses
	runtime.GC()
	begun := time.Now()
	err := l.each(len(requests), func(c *conn, i int) error {
		sent := time.Now()
		resp, body, err := c.do(requests[i])
		if err != nil {
			return fmt.Errorf("asking %s: %w", l.host, err)
		}
		took[i] = time.Since(sent)
		if !right(resp, body) {
			wrong[i] = resp.StatusCode
		}
		return nil
	})
	s := slice{requests: len(requests), seconds: time.Since(begun).Seconds()}
	slices.Sort(took)
	s.p50, s.p99 = took[len(took)/2], took[len(took)*99/100]
	for _, status := range wrong {
		if status != 0 {
			s.wrong++
			s.status = status
		}
	}
	return s, err
}

// costing is a slice with what it cost Caddy.
func (c *caddy) costing(load func() (slice, error)) (slice, error) {
	before, err := cpu(c.pid())
	if err != nil {
		return slice{}, err
	}
	s, err := load()
	if err != nil {
		return slice{}, err
	}
	after, err := cpu(c.pid())
	if err != nil {
		return slice{}, err
	}
	s.cpu = after - before
	s.rss, err = rss(c.pid())
	return s, err
}
