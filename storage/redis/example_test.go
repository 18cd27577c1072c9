package redis_test

import (
	"fmt"

	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// Check tests an address and options without a connection, for example when a
// configuration is loaded. An error does not quote the address, which may have a password.
func Example() {
	for _, address := range []string{
		"redis://sso:secret@redis.example:6379/1",
		"rediss+sentinel://one.example,two.example,three.example/mymaster",
		"redis+sentinel://one.example,two.example,three.example",
	} {
		fmt.Println(redis.Check(address, redis.Options{Prefix: "sso:"}))
	}
	// Output:
	// <nil>
	// <nil>
	// parsing the redis address: it does not name the master; write redis+sentinel://host1,host2,host3/mymaster (the form is redis://user:password@host:port/database, with special characters of user and password percent-encoded)
}
