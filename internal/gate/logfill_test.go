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

func TestClass24WhatIsMadeUpDoesNotFillTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		request func(b *browser, i int)
		field   string
		says    string
	}{
		"hosts": {func(b *browser, i int) {
			b.origin = fmt.Sprintf("http://%d.evil.example", i)
			b.want(b.open("/"), http.StatusMisdirectedRequest)
		}, "host", "0.evil.example"},
		"answers of the portal, as they are where nodes have other keys": {func(b *browser, i int) {
			b.want(b.open(fmt.Sprintf("/oauth2/callback?code=x&state=%d", i)), http.StatusBadRequest)
		}, "setting", "storage"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			core, log := observer.New(zapcore.InfoLevel)
			f.gate.Log = zap.New(core)
			b := f.browser()
			for _, minute := range []struct{ requests, counted int }{
				{100, 1}, // the first of them, at once
				{50, 100},
				{1, 50},
			} {
				for i := range minute.requests {
					test.request(b, i)
				}
				lines := log.TakeAll()
				if len(lines) != 1 || lines[0].ContextMap()["requests"] != int64(minute.counted) || lines[0].ContextMap()[test.field] != test.says {
					t.Fatalf("the log has %d lines, the last %v, and should count %d", len(lines), lines[max(len(lines)-1, 0):], minute.counted)
				}
				f.clock.Advance(time.Minute)
			}
			f.untouched()
		})
	}
}
