package logthrottle_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestWhatDoesNotWorkHasALineAMinuteOfItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		loud, few := observer.New(zapcore.ErrorLevel)
		log := new(logthrottle.ByKind).Logger(zap.New(zapcore.NewTee(core, loud))).Named("sso").With(zap.String("node", "a"))
		outage := zap.Error(fmt.Errorf("reading a session: %w", storage.ErrUnavailable))
		minute := func(want ...string) {
			t.Helper()
			for range 3 {
				log.Error("answering", outage)
				log.Error("answering", zap.Error(errors.New("a fault")))
				log.Error("counted", zap.Int("requests", 7))
				log.Warn("storing", outage)
				log.Warn("beware", zap.Error(errors.New("something else")))
				log.Info("info", outage)
			}
			var got []string
			for _, l := range logs.TakeAll() {
				if c := l.ContextMap(); c["node"] != "a" || l.LoggerName != "sso" {
					t.Errorf("a line is %+v", l)
				}
				got = append(got, fmt.Sprint(l.Message, " ", l.ContextMap()["error"], " ", l.ContextMap()["times"]))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			time.Sleep(time.Minute)
		}
		others := []string{"counted <nil> <nil>", "beware something else <nil>", "info reading a session: storage: unavailable <nil>"}
		for _, times := range []int{1, 3} {
			first := []string{
				fmt.Sprint("answering reading a session: storage: unavailable ", times), fmt.Sprint("answering a fault ", times), others[0],
				fmt.Sprint("storing reading a session: storage: unavailable ", times), others[1], others[2],
			}
			minute(append(append(first, others...), others...)...)
		}
		for _, l := range few.All() {
			if l.Level < zapcore.ErrorLevel {
				t.Errorf("a log at level error has %+v", l)
			}
		}
		if n := few.Len(); n != 2*(2+3) {
			t.Errorf("a log at level error has %d lines", n)
		}
	})
}

func TestOfOneKindNoFaultHidesAnother(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	log := new(logthrottle.ByKind).Logger(zap.New(core))
	for range 3 {
		for _, fault := range []string{"status 500", "status 502", "connection refused", "no JSON"} {
			log.Error("answering", zap.Error(errors.New(fault)))
		}
		log.Error("answering", zap.Error(storage.ErrTimedOut))
		log.Error("answering", zap.Error(storage.ErrAway))
	}
	if n := logs.Len(); n != 5 { // an outage is one, however it shows
		t.Errorf("%d lines: %v", n, logs.All())
	}
}
