package mapstore_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"

	mapstore "example.com/sso-storage"
	_ "github.com/caddy-sso/caddy-sso"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

func TestTheEngineKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		clock := &clock{now: time.Unix(1e9, 0)}
		return storagetest.Opened{Store: mapstore.New(clock.Now), Pass: clock.pass, Unit: time.Minute}
	})
}

func TestACaddyfileCanNameTheEngine(t *testing.T) {
	config := `{
		sso {
			issuer http://localhost:8081
			storage map
			signin local {
				user demo $2a$14$qZWfJTfLvZpZKCJ.0kLTDO6FoMiXpDJEwsQ0dEZSKBPuKUZtfBPlS
			}
		}
	}
	http://localhost:8081 {
		sso_portal
	}`
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		t.Fatal(err)
	}
	var c caddy.Config
	if err := json.Unmarshal(adapted, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&c); err != nil {
		t.Fatal(err)
	}
}

// A clock moves only when a test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
