package gate

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestClass24HostsThatAreMadeUpDoNotFillTheLog(t *testing.T) {
	f := newFixture(t)
	core, log := observer.New(zapcore.InfoLevel)
	f.gate.Log = zap.New(core)
	b := f.browser()
	flood := func(requests int) {
		for i := range requests {
			b.origin = fmt.Sprintf("http://%d.evil.example", i)
			b.want(b.open("/"), http.StatusMisdirectedRequest)
		}
	}
	for _, minute := range []struct{ requests, counted int }{
		{100, 1}, // the first of them, at once
		{50, 100},
		{1, 50},
	} {
		flood(minute.requests)
		lines := log.TakeAll()
		if len(lines) != 1 || lines[0].ContextMap()["requests"] != int64(minute.counted) || lines[0].ContextMap()["host"] != "0.evil.example" {
			t.Fatalf("the log has %d lines, the last %v, and should count %d", len(lines), lines[len(lines)-1:], minute.counted)
		}
		f.clock.Advance(time.Minute)
	}
	f.untouched()
}
