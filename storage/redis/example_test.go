package redis_test

import (
	"fmt"

	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// An address is checked before anything connects. Its errors never have a part of the
// address, which may have a password.
func ExampleCheckAddress() {
	fmt.Println(redis.CheckAddress("rediss://cache.example:6379/2"))
	fmt.Println(redis.CheckAddress("redis+sentinel://s1,s2,s3/mymaster"))
	fmt.Println(redis.CheckAddress("redis://:secret@cache.example/-1") != nil)
	// Output:
	// <nil>
	// <nil>
	// true
}
