# The two commands of the README are `make run` and `make test`.

TAGS := nobadger,nomysql,nopgx
CADDY := $(CURDIR)/bin/caddy
NPM := e2e/node_modules/.package-lock.json
EXAMPLES := examples/signinmethod examples/storageengine
UNIT_NEEDS := gcc redis-server
E2E_NEEDS := redis-server chromium-headless-shell npm hypercorn

.DELETE_ON_ERROR:
.PHONY: run test unit e2e e2e-compile npm bench fuzz lint vulncheck faults soak build

# The example: sign in at http://localhost:8081 as demo, with the password demo.
run: build
	$(CADDY) run --config Caddyfile.example

# Without -trimpath, so that tests and the server share what is compiled.
build:
	go build -tags $(TAGS) -o $(CADDY) ./cmd/caddy

# All tests: unit tests with the race detector, then end to end in a browser. What the
# second half needs is compiled and installed while the unit tests wait for servers.
test:
	scripts/need.sh $(UNIT_NEEDS) $(E2E_NEEDS)
	+$(MAKE) --no-print-directory -j4 unit build npm e2e-compile
	+$(MAKE) --no-print-directory e2e

# Compiles the end-to-end tests, at a low priority, and runs none.
e2e-compile:
	cd e2e && nice go test -vet=all -run '^$$' ./... >/dev/null

# go test vets each package with all analyzers of go vet, those without tests, too.
# The packages that take longest begin first. Tests that run in parallel wait for
# servers, so more of them run than there are cores. The examples are modules of their
# own, which see only what is public.
unit:
	scripts/need.sh $(UNIT_NEEDS)
	go test -vet=all -race -timeout 20m -p 3 -parallel 6 -tags $(TAGS) ./caddymodule ./internal/oauth ./session ./storage/file ./storage/redis ./...
	set -e; for example in $(EXAMPLES); do \
		(cd $$example && go test -vet=all -race -tags $(TAGS) ./...); \
	done

# The faults run alone, since they measure what users see under load.
e2e: build $(NPM)
	scripts/need.sh $(E2E_NEEDS)
	cd e2e && CADDY_SSO_BINARY=$(CADDY) go test -vet=all -count=1 -timeout 25m ./browser $$(go list ./... | grep -v /faults)
	cd e2e && CADDY_SSO_BINARY=$(CADDY) go test -vet=all -count=1 -timeout 25m ./faults

# What the tests need of npm is installed again when the lock file has changed.
npm: $(NPM)

$(NPM): e2e/package.json e2e/package-lock.json
	scripts/need.sh npm
	cd e2e && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# What users see while the store fails, one fault after the other, in times of
# what they see without: two nodes under load. The tests run most of them, too,
# shorter and side by side. See docs/operating.md.
faults: build
	scripts/need.sh redis-server
	cd e2e && CADDY_SSO_BINARY=$(CADDY) SSO_FAULT=12s go test -count=1 -timeout 60m -v -run '^TestAFault|^TestTheTable' ./faults | grep --line-buffered -v '^ *{'

# Mixed traffic with faults, and what grows: make soak FOR=10m
soak: build
	scripts/need.sh redis-server
	cd e2e && CADDY_SSO_BINARY=$(CADDY) SSO_SOAK=$(FOR) go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./faults | grep --line-buffered -v '^ *{'

# One run, one table, in ratios against bare Caddy. See bench/README.md.
bench: build
	scripts/need.sh wrk taskset gcc
	cd bench && CADDY_SSO_BINARY=$(CADDY) go run .

# Every fuzz target for a while: make fuzz FOR=1m
FOR ?= 20s
fuzz:
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FOR) $$package || exit 1; \
		done; \
	done

# The linters are of the versions that the public CI uses.
lint:
	go run mvdan.cc/gofumpt@v0.12.0 -l . | tee /dev/stderr | (! grep .)
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
	cd e2e && go vet ./...
	cd bench && go vet ./...
	set -e; for example in $(EXAMPLES); do \
		(cd $$example && go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...); \
	done

# Vulnerabilities in what is compiled in, by the Go vulnerability database.
vulncheck:
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -tags $(TAGS) ./...
