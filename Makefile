# fanoutd: what a developer runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := bin
# The release that is built: the latest tag, with what came after it.
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null || echo dev))
# Its text has no comma: call would end it there.
say = @printf '\033[1m== %s\033[0m\n' $(1)

##@ Help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-zA-Z0-9_-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Daemon

.PHONY: run
run: build $(BIN)/chat ## Build and run the daemon with its demo page, and a chat backend
	@examples/chat/run.sh

.PHONY: cluster
cluster: build $(BIN)/chat ## Run three nodes, a balancer and the chat on this machine
	$(call say,"cluster: three nodes behind a balancer - open http://localhost:8080 in two tabs")
	go build -trimpath -o $(BIN)/cluster ./examples/cluster
	@$(BIN)/cluster -fanoutd $(BIN)/fanoutd -chat $(BIN)/chat

.PHONY: build
build: web ## Build bin/fanoutd with the client, the demo page and the console in it
	$(call say,"build: $(BIN)/fanoutd")
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN)/fanoutd ./cmd/fanoutd

.PHONY: dist
dist: web ## Build dist/, or DIST: an archive for each platform (PLATFORMS="linux/amd64 ..."), and SHA256SUMS
	$(call say,"dist: Linux and macOS - amd64 and arm64")
	@DIST=$(DIST) tools/dist.sh $(VERSION) $(PLATFORMS)

.PHONY: release
release: web sdk ## Build dist/, or DIST, with all of a release: archives - npm packages - Python package; says what would be published, publishes nothing
	$(call say,"release: $(VERSION)")
	@DIST=$(DIST) tools/release.sh $(VERSION) $(PLATFORMS)

.PHONY: $(BIN)/chat
$(BIN)/chat: # the Go build cache knows whether there is anything to do
	@mkdir -p $(BIN)
	go build -trimpath -o $@ ./examples/chat/go

.PHONY: web
web: web/dist/manifest.json ## Build what the daemon serves to browsers, web/dist

web/dist/manifest.json: web/node_modules/.package-lock.json web/build.mjs $(wildcard web/demo/* web/console/* web/console/pages/*)
	$(call say,"web: the Socket.IO client - the demo page - the console - into web/dist")
	node web/build.mjs

.PHONY: sdk
sdk: sdk/node/client/dist/index.js ## Build the npm packages in sdk/node

sdk/node/client/dist/index.js: sdk/node/node_modules/.package-lock.json sdk/node/client/generate.mjs $(wildcard proto/fanout/v1/*.proto sdk/node/*/src/*.ts)
	$(call say,"sdk: @fanoutd/client - socket.io - emitter")
	cd sdk/node && npm run build --silent
	@touch $@

# What npm writes when it has installed everything.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	$(call say,"npm ci in $*/")
	cd $* && npm ci --no-fund --no-audit
	@touch $@

##@ Tests

.PHONY: test
test: test-tools ## Run all tests: Go with the race detector, then real peers, with one node and two
	@node test/run.mjs go web peers nodes

.PHONY: test-tools
test-tools: build sdk $(BIN)/chat $(BIN)/grpcurl test/node_modules/.package-lock.json examples/chat/node/node_modules/.package-lock.json examples/socketio/node_modules/.package-lock.json

SOAK_TIME ?= 1h

.PHONY: docs-test
docs-test: test-tools ## Check the documentation: each command and snippet is run, or told why not; links and names (part of make test)
	@node test/run.mjs docs

.PHONY: soak
soak: build sdk test/node_modules/.package-lock.json ## Long runs: 200,000 connections that come and go, a storm of 5,000, 10 minutes of chaos, 1,000 browsers of a program that is killed again and again, everything at once for SOAK_TIME (default 1h)
	$(call say,"soak: the long form of the tests that have one")
	SOAK=1 go test -count=1 -timeout=1h -v -run 'Honest|ReturnsUnderFire|Random' ./internal/cluster
	SOAK=1 go test -count=1 -timeout=1h -v -run 'ExecuteKeepsOrder|WatchModel' ./internal/control
	SOAK=1 DAEMON=$(CURDIR)/$(BIN)/fanoutd go test -count=1 -timeout=2h -v -run 'ComeAndGo|Storm|Chaos|Cluster|Drain|Rebalance' ./test
	SOAK=1 DAEMON=$(CURDIR)/$(BIN)/fanoutd node --test test/sdk-kills.test.mjs
	PYTHON_SDK=kills node --test test/python-sdk.test.mjs
	SOAK_TIME=$(SOAK_TIME) DAEMON=$(CURDIR)/$(BIN)/fanoutd go test -count=1 -timeout=0 -v -run Mixed ./test

.PHONY: bench
bench: build sdk bench/node_modules/.package-lock.json ## Compare with Node.js, socketioxide and centrifuge, and with the floor of the system: one table, ten minutes (BENCH=-quick: that it runs)
	$(call say,"bench: fanoutd and its peers take turns")
	cd bench && go run ./compare -table -npm -peers node,rust,centrifuge -daemon ../$(BIN)/fanoutd $(BENCH)

.PHONY: bench-processors
bench-processors: build ## Show what GOMAXPROCS of 1 and 2 and 8 cost where all share the processors
	$(call say,"bench: GOMAXPROCS of 1 - 2 - 8")
	cd bench && go run ./compare -table -gomaxprocs 1,2,8 -daemon ../$(BIN)/fanoutd

PEERS ?= node

.PHONY: bench-peers
bench-peers: build bench/node_modules/.package-lock.json ## Compare with the npm Socket.IO server: ratios, and idle connections after load (PEERS=all: Python, Rust and Go too)
	$(call say,"bench: fanoutd and its peers take turns")
	cd bench && go run ./compare -daemon ../$(BIN)/fanoutd -peers $(PEERS)

.PHONY: bench-capacity
bench-capacity: ## What emits cost the bus of clusters that cannot be run here, computed; two minutes
	cd bench && go run ./capacity

CLIENTS ?= 900

.PHONY: bench-cluster
bench-cluster: build bench/node_modules/.package-lock.json ## Compare three nodes with one, and with the npm server and its Redis adapter (redis-server; CLIENTS=3: little but what nodes cost)
	$(call say,"bench: one node - three nodes - three npm processes with Redis")
	cd bench && go run ./compare -daemon ../$(BIN)/fanoutd -cluster -clients $(CLIENTS)

.PHONY: bench-npm
bench-npm: build sdk ## Compare a program by @fanoutd/socket.io with the same by plain socket.io (4,000 clients each)
	$(call say,"bench: @fanoutd/socket.io - socket.io")
	cd bench && go run ./compare -daemon ../$(BIN)/fanoutd -npm -clients 4000

.PHONY: bench-growth
bench-growth: build bench/node_modules/.package-lock.json ## Show how cost grows: 1,000, 5,000, 10,000 and 15,000 connections
	$(call say,"bench: 1k - 5k - 10k - 15k connections")
	cd bench && go run ./compare -daemon ../$(BIN)/fanoutd -peers $(PEERS) -growth

.PHONY: conformance-tools
conformance-tools: test/conformance/node_modules/.package-lock.json

.PHONY: conformance
conformance: conformance-tools ## Check the protocols byte by byte, with stock clients, and against the reference
	@node test/run.mjs conformance

.PHONY: interop
interop: build sdk test/node_modules/.package-lock.json sdk/node/upstream/node_modules/.package-lock.json ## Run Socket.IO clients of many languages through one scenario (CLUSTER=1: at one node, their backend at another)
	$(call say,"interop: real clients - npm 4 3 2 - MessagePack - Python - Java - Rust - Go")
	@node test/interop/run.mjs
	$(call say,"interop: the tests of the npm socket.io server - against @fanoutd/socket.io")
	@node sdk/node/upstream/run.mjs
	$(call say,"interop: the Python package - installed by each Python there is")
	@PYTHON_SDK=install node --test --test-reporter=spec test/python-sdk.test.mjs
	$(call say,"interop: the examples of the npm socket.io server - with @fanoutd/socket.io")
	@node sdk/node/upstream/examples.mjs

FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## Fuzz every decoder, each for FUZZTIME (default 1m)
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' internal | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
			printf '\033[1m== fuzz: %s in %s for %s\033[0m\n' $$target $$dir $(FUZZTIME); \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$dir; \
		done; \
	done

##@ Contract

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## Generate gen/, proto/openapi.json and docs/api.md from proto/; docs/configuration.md, docs/metrics.md, docs/errors.md and docs/command-line-reference.md, and the names that are kept
	$(call say,"generate: gen/ from proto/")
	$(BIN)/buf format --write proto
	$(BIN)/buf generate
	@$(call contract,openapi,proto/openapi.json)
	@$(call contract,markdown,docs/api.md)
	@$(MAKE) --no-print-directory generate-docs # which compiles what was generated

.PHONY: generate-docs
generate-docs: ## Generate docs/configuration.md, docs/metrics.md, docs/errors.md and docs/command-line-reference.md from what the code declares, and note its names
	$(call say,"generate: docs/configuration.md - docs/metrics.md - docs/errors.md - docs/command-line-reference.md")
	@mkdir -p $(BIN)
	go run ./cmd/fanoutd config docs > $(BIN)/configuration.md
	@mv $(BIN)/configuration.md docs/configuration.md
	go run ./cmd/fanoutd metrics > $(BIN)/metrics.md
	@mv $(BIN)/metrics.md docs/metrics.md
	go run ./cmd/fanoutd errors > $(BIN)/errors.md
	@mv $(BIN)/errors.md docs/errors.md
	go run ./cmd/fanoutd commands > $(BIN)/command-line-reference.md
	@mv $(BIN)/command-line-reference.md docs/command-line-reference.md
	go test -count=1 -run '^TestReleasedNames$$' ./cmd/fanoutd -update-names

.PHONY: generate-level
generate-level: $(BIN)/buf ## Keep proto/ as the contract of the current API level, which may change until a release has it
	@level=$$(sed -n 's/^const APILevel = //p' internal/control/level.go); file=test/testdata/api-level-$$level.binpb; \
	if tag=$$(git tag --list 'v[0-9]*' --contains "$$(git log -1 --format=%H -- $$file)" 2>/dev/null | head -1) && [ -n "$$tag" ]; then \
		echo "level $$level is released with $$tag: what it has stays; raise APILevel in internal/control/level.go" >&2; exit 1; \
	fi; \
	$(BIN)/buf build proto --as-file-descriptor-set --exclude-source-info -o $$file; \
	echo "$$file"

.PHONY: generate-deploy
generate-deploy: ## Generate deploy/kubernetes/ from the Helm chart
	$(call say,"generate: deploy/kubernetes/fanoutd.yaml from deploy/helm/fanoutd")
	go -C tools/deploy test -count=1 -run Manifests . -update

.PHONY: generate-check
generate-check: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## Check that gen/, proto/openapi.json and docs/api.md are what proto/ generates, and valid
	$(call say,"generate-check: gen/ against a fresh generation from proto/")
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BIN)/buf generate --output "$$fresh"; \
	diff --recursive --brief "$$fresh/gen" gen \
		|| { echo "gen/ is stale: run 'make generate' and commit the result" >&2; exit 1; }; \
	$(call contract,openapi,"$$fresh/openapi.json"); \
	diff --brief "$$fresh/openapi.json" proto/openapi.json \
		|| { echo "proto/openapi.json is stale: run 'make generate' and commit the result" >&2; exit 1; }; \
	$(call contract,markdown,"$$fresh/api.md"); \
	diff --brief "$$fresh/api.md" docs/api.md \
		|| { echo "docs/api.md is stale: run 'make generate' and commit the result" >&2; exit 1; }
	go -C tools/contract test -count=1 ./...

##@ Lint

.PHONY: lint
lint: lint-proto lint-breaking generate-check lint-go lint-web lint-deploy lint-licences lint-vulnerabilities ## Run every check below

.PHONY: lint-proto
lint-proto: $(BIN)/buf ## Check the style and format of proto/
	$(call say,"lint-proto: buf lint and buf format on proto/")
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code proto

.PHONY: lint-breaking
lint-breaking: $(BIN)/buf ## Check that proto/ breaks no released client
	$(call say,"lint-breaking: buf breaking on proto/")
	@tools/breaking.sh $(BIN)/buf

.PHONY: lint-go
lint-go: $(BIN)/golangci-lint ## Check the Go code: gofmt, go vet, linters, the floors
	$(call say,"lint-go: gofmt")
	@unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | while read -r f; do \
		if [ -e "$$f" ]; then echo "$$f"; fi; done | xargs -r gofmt -l -s); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run gofmt -s -w:\n%s\n' "$$unformatted" >&2; exit 1; fi
	$(call say,"lint-go: go vet")
	go vet ./...
	go -C bench vet ./...
	$(call say,"lint-go: golangci-lint - style and the floors of the design")
	$(BIN)/golangci-lint run --allow-parallel-runners
	cd bench && ../$(BIN)/golangci-lint run --allow-parallel-runners

.PHONY: lint-web
lint-web: web ## Check the types of the console's pages
	$(call say,"lint-web: tsc")
	npm --prefix web run --silent check

.PHONY: lint-deploy
lint-deploy: web ## Check the examples of deploy/ that no test can start
	$(call say,"lint-deploy: Dockerfile - compose file - Helm chart and manifests - alerts and dashboard")
	go -C tools/deploy vet ./...
	go -C tools/deploy test -count=1 ./...
	go -C tools/monitoring vet ./...
	go -C tools/monitoring test -count=1 ./...

.PHONY: lint-licences
lint-licences: ## Check that what the daemon is built of may be shipped with it
	$(call say,"lint-licences: the modules of the daemon")
	go -C tools/dependencies test -count=1 ./...

.PHONY: lint-vulnerabilities
lint-vulnerabilities: $(BIN)/govulncheck ## Look for known vulnerabilities in what the daemon calls
	$(call say,"lint-vulnerabilities: govulncheck")
	@tools/vulnerabilities.sh $(BIN)/govulncheck

##@ Tools

.PHONY: tools
tools: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/grpcurl $(BIN)/golangci-lint $(BIN)/govulncheck ## Build all pinned tools into bin/

# Each tool is built from source, at the version that its module under tools/
# pins, so that nothing but the Go module proxy is needed. The modules are
# several, so that no tool raises the requirements of another or of the daemon.

$(BIN)/protoc-gen-go: tools/go.mod tools/go.sum
	$(call build-tool,tools,google.golang.org/protobuf/cmd/protoc-gen-go)

$(BIN)/protoc-gen-go-grpc: tools/go.mod tools/go.sum
	$(call build-tool,tools,google.golang.org/grpc/cmd/protoc-gen-go-grpc)

$(BIN)/grpcurl: tools/go.mod tools/go.sum
	$(call build-tool,tools,github.com/fullstorydev/grpcurl/cmd/grpcurl)

$(BIN)/buf: tools/buf/go.mod tools/buf/go.sum
	$(call build-tool,tools/buf,github.com/bufbuild/buf/cmd/buf)

$(BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	$(call build-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(BIN)/govulncheck: tools/dependencies/go.mod tools/dependencies/go.sum
	$(call build-tool,tools/dependencies,golang.org/x/vuln/cmd/govulncheck)

# contract: what to write of it, and where to. The file is replaced when all of it is written,
# since the daemon embeds one.
contract = $(BIN)/buf build proto --as-file-descriptor-set -o - | go -C tools/contract run . $(1) > $(2).new && mv $(2).new $(2)

# build-tool: module directory, package. golangci-lint and buf take two minutes
# each on two cores with empty caches.
define build-tool
	@printf '\033[1m== tools: building %s from %s; minutes the first time, then kept in $(BIN)/ and the Go build cache\033[0m\n' $(notdir $(2)) $(1)/go.mod
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) GOFLAGS=-trimpath go -C $(1) install $(2)
	@touch $@
endef
