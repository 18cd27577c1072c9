package storage

import "sync"

// atOnce is how many calls of [Each] run at the same time.
const atOnce = 16

// Each calls work for 0 to n-1, some at the same time, and returns when all are done.
// Many writes are faster this way, since a store shares one fsync or round trip
// between concurrent writes.
func Each(n int, work func(i int)) {
	var all sync.WaitGroup
	for worker := range min(n, atOnce) {
		all.Go(func() {
			for i := worker; i < n; i += atOnce {
				work(i)
			}
		})
	}
	all.Wait()
}
