package codes_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/caddy-sso/caddy-sso/codes"
)

// sizes are the numbers of valid codes to measure with.
var sizes = []int{1_000, 1_000_000}

// roomy are limits that no benchmark reaches.
var roomy = codes.Limits{Capacity: 1 << 40, PerSession: 1 << 40}

// people are subjects, created before the measurement.
var people = func() (list [1 << 16]string) {
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return list
}()

// numbered returns a record with its own session, and with one of many users.
func numbered(i int) codes.Record {
	rec := record(0)
	rec.Session = [32]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}
	rec.Subject = people[i%len(people)]
	return rec
}

// filled returns Codes with n valid codes, and reports the memory per code.
func filled(b *testing.B, n int) *codes.Codes {
	b.Helper()
	before := heap()
	c := codes.NewMemory(codes.Options{Now: newClock().Now})
	for i := range n {
		mustIssue(b, c, numbered(i), roomy)
	}
	perCode := float64(heap()-before) / float64(n)
	b.Cleanup(func() { b.ReportMetric(perCode, "B/code") })
	return c
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkIssue(b *testing.B) {
	for _, n := range sizes {
		b.Run("live="+strconv.Itoa(n), func(b *testing.B) {
			c := filled(b, n)
			b.ReportAllocs()
			i := n
			for b.Loop() {
				mustIssue(b, c, numbered(i), roomy)
				i++
			}
		})
	}
}

func BenchmarkRedeem(b *testing.B) {
	for _, n := range sizes {
		b.Run("live="+strconv.Itoa(n), func(b *testing.B) {
			c := filled(b, n)
			b.ReportAllocs()
			var ready []string
			i := n
			for b.Loop() {
				if len(ready) == 0 {
					b.StopTimer()
					for range 1000 {
						ready = append(ready, mustIssue(b, c, numbered(i), roomy))
						i++
					}
					b.StartTimer()
				}
				mustRedeem(b, c, ready[len(ready)-1])
				ready = ready[:len(ready)-1]
			}
		})
	}
}

func BenchmarkIssueRedeem(b *testing.B) {
	for _, n := range sizes {
		b.Run("live="+strconv.Itoa(n), func(b *testing.B) {
			c := filled(b, n)
			b.ReportAllocs()
			i := n
			for b.Loop() {
				mustRedeem(b, c, mustIssue(b, c, numbered(i), roomy))
				i++
			}
		})
	}
}

// BenchmarkReplay is what someone costs who sends a spent code again and again.
func BenchmarkReplay(b *testing.B) {
	c := filled(b, 1_000)
	code := mustIssue(b, c, record(1), roomy)
	mustRedeem(b, c, code)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Redeem(b.Context(), code, pass); err == nil {
			b.Fatal("redeemed twice")
		}
	}
}
