package redis

import (
	"slices"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, address string
		addrs         []string
		user, pass    string
		db            int
		secure, unix  bool
		master        string
	}{
		{name: "a host has the default port", address: "redis://h", addrs: []string{"h:6379"}},
		{name: "valkey is a name of redis", address: "valkey://h:1", addrs: []string{"h:1"}},
		{name: "rediss is TLS", address: "rediss://h:1", addrs: []string{"h:1"}, secure: true},
		{name: "the path is the database", address: "redis://h:1/3", addrs: []string{"h:1"}, db: 3},
		{name: "a comma names more nodes", address: "redis://a:1,b,c:3", addrs: []string{"a:1", "b:6379", "c:3"}},
		{name: "a parameter names more nodes", address: "redis://a:1?addr=b:2&addr=c:3", addrs: []string{"a:1", "b:2", "c:3"}},
		{name: "an address may be IPv6", address: "redis://[::1]:1,[::2]", addrs: []string{"[::1]:1", "[::2]:6379"}},
		{
			name: "user and password are decoded", address: "redis://u%40x:p%2Fw%2C%40@a:1,b:2",
			addrs: []string{"a:1", "b:2"}, user: "u@x", pass: "p/w,@",
		},
		{name: "a slash at the end is no database", address: "redis://host:6379/", addrs: []string{"host:6379"}},
		{name: "nor is one after several hosts", address: "redis://m,replica/", addrs: []string{"m:6379", "replica:6379"}},
		{name: "this machine may be left out", address: "redis://:7000/1", addrs: []string{"localhost:7000"}, db: 1},
		{name: "the highest port is one", address: "redis://h:65535", addrs: []string{"h:65535"}},
		{name: "the database may be a parameter", address: "redis://h?db=2", addrs: []string{"h:6379"}, db: 2},
		{
			name: "Sentinels name a master", address: "redis+sentinel://h1,h2:5,h3/mymaster/4",
			addrs: []string{"h1:26379", "h2:5", "h3:26379"}, db: 4, master: "mymaster",
		},
		{
			name: "Sentinels may be spoken to over TLS", address: "valkeys+sentinel://u:p@h1/m/",
			addrs: []string{"h1:26379"}, user: "u", pass: "p", secure: true, master: "m",
		},
		{name: "a socket is a path", address: "unix://u:p@/run/r.sock?db=2", addrs: []string{"/run/r.sock"}, user: "u", pass: "p", db: 2, unix: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, err := parseAddress(test.address)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(o.InitAddress)
			if !slices.Equal(o.InitAddress, test.addrs) {
				t.Errorf("addresses %q, want %q", o.InitAddress, test.addrs)
			}
			if o.Username != test.user || o.Password != test.pass || o.SelectDB != test.db {
				t.Errorf("user %q, password %q, database %d", o.Username, o.Password, o.SelectDB)
			}
			if (o.TLSConfig != nil) != test.secure || (o.DialCtxFn != nil) != test.unix {
				t.Errorf("TLS %v, socket %v", o.TLSConfig != nil, o.DialCtxFn != nil)
			}
			if o.Sentinel.MasterSet != test.master {
				t.Errorf("master %q", o.Sentinel.MasterSet)
			}
		})
	}
}

// A password with unencoded special characters may be in any part of the parsed
// address, so no error may quote a part of it.
func TestAnAddressThatIsRefusedDoesNotLeakItsPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "h:6379", "secret://h", "http://u:secret@h", "redis://u:secret@h:port", "redis://u:%zzsecret@h",
		"redis://u:1/secret@h", "redis://u:secret/x@h", "redis://u:1?secret@h", "redis://u:1#secret@h",
		"redis://u:secret@h/x", "redis://u:secret@h/1/2", "redis://u:secret@a,,b", "redis://u:secret@a,b/1",
		"redis://u:secret@h?max_retries=1", "redis://u:secret@h?master_set=x", "redis://u:secret@h?db=x",
		"redis://u:secret@h/-1", "redis://u:secret@h/+1", "redis://u:secret@h?db=-1", "redis://u:secret@h/1?db=2",
		"redis://u:secret@h:0", "redis://u:secret@h:99999", "redis://u:secret@h:-1", "redis://u:secret@h,b:0", "redis://u:secret@h?addr=b:99999",
		"redis://u:secret@h?addr=b/secret", "redis://u:secret@h?addr=x:secret@b", "redis://u:secret@,b",
		"redis://u:secret@h?sentinel_password=secret", "redis+sentinel://u:secret@h", "redis+sentinel://u:secret@h/", "redis+sentinel://u:secret@h//1",
		"redis+sentinel://u:secret@h/m/x", "redis+sentinel://u:secret@h/m/1/2", "redis+sentinel://u:secret@h:0/m", "unix+sentinel:///secret",
		"redis+sentinel://u:secret@h/m?sentinel_password=secret&sentinel_password=b", "rediss://u:secret@h?skip_verify=secret",
		"unix://", "unix://u:secret@run/redis.sock", "unix://u:secret@a,b/run/x", "redis://u:secret@h?db=%zz",
	} {
		s, err := Open(address, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%q was accepted", address)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "zz") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
