# Needs Go, git and make. What more the tests need is installed by `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  = $(shell git rev-parse HEAD 2>/dev/null)
DATE    = $(shell git log -1 --format=%cI 2>/dev/null)

TESTFLAGS ?=            # more flags of go test: make test TESTFLAGS='-run TestX -v'
FUZZTIME  ?= 2m
SOAKTIME  ?= 15m
SOAKSEED  ?= 0
BENCH     ?= .
BASE      ?= origin/main

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/slowburn.
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)' -o bin/ ./cmd/slowburn

.PHONY: reproducible
reproducible: ## Build the last commit in two directories, and compare.
	@two=$$(mktemp -d); trap 'rm -rf "$$two"' EXIT; \
	for at in a some/where/else/b; do git clone -q . "$$two/$$at" && $(MAKE) -s -C "$$two/$$at" build VERSION='$(VERSION)'; done; \
	sha256sum "$$two/a/bin/slowburn" "$$two/some/where/else/b/bin/slowburn" | sed "s|$$two/||"; \
	cmp "$$two/a/bin/slowburn" "$$two/some/where/else/b/bin/slowburn" && echo "the same"

.PHONY: demo
demo: build ## Run slowburn on an embedded Prometheus with a simulated shop.
	@bin/slowburn demo

# The packages whose tests take longest begin first: those of cmd wait for minutes of the
# clock to pass, the two others compute.
packages = -p 3 $(TESTFLAGS) ./cmd/... ./evaluator/loop ./alerting/rules ./...

.PHONY: test
test: test-needs test-build ## Run the tests, after installing what they need (8 min; more the first time).
	bin/gotestsum --format pkgname -- -short -timeout 20m $(packages)

.PHONY: test-all
test-all: test-needs test-build ## Run the tests with every case (15 min).
	bin/gotestsum --format pkgname -- -timeout 30m $(packages)

.PHONY: race
race: test-needs bin/gotestsum ## Run the tests with the race detector (slow; needs a C compiler).
	CGO_ENABLED=1 bin/gotestsum --format pkgname -- -short -race -timeout 60m $(TESTFLAGS) ./...

.PHONY: scenarios
scenarios: ## Play every alert scenario by the generated rules too (about 15 min).
	go test -timeout 60m ./alerting/rules -run TestScenarios -scenarios -v

.PHONY: rule-tests
rule-tests: test-needs ## Run every test that is generated for the rules of the demo and of the examples (10 min).
	go test -timeout 60m ./cmd/slowburn -run TestRuleTests -rule-tests -v

.PHONY: faults
faults: ## Show that audits find rules that are taken out of the code (2 min).
	go test -timeout 20m ./evaluator/loop -run TestAuditsFindFaults -faults -v

.PHONY: soak
soak: test-needs ## Run two replicas beside all that may go wrong for SOAKTIME (15m), and hold them against the truth.
	go test -timeout 0 ./cmd/slowburn -run TestSoak -soak $(SOAKTIME) -soak-seed $(SOAKSEED) -v

.PHONY: cover
cover: test-needs ## Run the tests and write coverage.out and coverage.html.
	go test -short -timeout 30m -coverpkg=./... -coverprofile=coverage.out $(TESTFLAGS) ./...
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -n 1

.PHONY: lint
lint: bin/golangci-lint ## Run the linters, and hold the words of docs and comments.
	bin/golangci-lint run ./... ./.tools/words
	go test ./.tools/words
	go run ./.tools/words

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (2m).
	@grep -rHo --include='*_test.go' --exclude-dir='.?*' '^func Fuzz[A-Za-z0-9_]*' . | \
	while IFS=: read -r file func; do \
		target=$${func#func }; \
		echo "fuzzing $$target for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
	done

# Six runs are what benchstat needs for a confidence interval. Benchmarks beside
# real servers are no such runs.
bench_run = go test -run '^$$' -bench '$(BENCH)' -benchmem -count 6 -timeout 40m $$(go list ./... | grep -v '/evaluator/peers$$')

.PHONY: bench
bench: ## Run the benchmarks (BENCH=regexp) six times, into .cache/bench/new.txt.
	@mkdir -p .cache/bench
	$(bench_run) | tee .cache/bench/new.txt

.PHONY: bench-diff
bench-diff: bench bin/benchstat ## Compare the benchmarks with those of BASE (origin/main).
	rm -rf .cache/bench/base && mkdir .cache/bench/base
	git archive '$(BASE)' | tar -x -C .cache/bench/base
	cd .cache/bench/base && $(bench_run) > ../old.txt
	bin/benchstat .cache/bench/old.txt .cache/bench/new.txt

.PHONY: bench-peers
bench-peers: build bin/prometheus bin/sloth bin/peers ## Compare with Sloth and Pyrra in real Prometheis (20 min).
	go test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 40m ./evaluator/peers

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin .cache coverage.out coverage.html

# Programs of other projects, at the versions of the modules in .tools. Go's
# caches keep their downloads and their packages.

.PHONY: test-needs
test-needs: debian-packages bin/prometheus bin/promtool bin/victoria-metrics bin/vmalert

# All that tests import is compiled before they run: that takes minutes the first time, of
# which gotestsum would print nothing.
.PHONY: test-build
test-build: bin/gotestsum
	@.ci/progress "the tests" go build -v $$(go list -deps -test -f '{{if not (or .Standard .ForTest)}}{{.ImportPath}}{{end}}' ./... | grep -v '\.test$$')

.PHONY: debian-packages
debian-packages:
	@.ci/install

bin/prometheus bin/promtool: .tools/servers/go.mod .tools/servers/go.sum
	@echo "building $@, the newest Prometheus for the tests (minutes the first time, then seconds)"
	@.ci/progress $@ go build -C .tools/servers -v -tags remove_all_sd -o ../../bin/ \
		-ldflags "-X github.com/prometheus/common/version.Version=$(PROMETHEUS)" \
		github.com/prometheus/prometheus/cmd/$(@F)

# Module v0.315.0 is Prometheus 3.15.0.
bin/prometheus bin/promtool: PROMETHEUS = $(shell sed -n 's|^.*github.com/prometheus/prometheus v0\.\(.\)\(..\)\..*$$|\1.\2.0|p' .tools/servers/go.mod)

bin/victoria-metrics bin/vmalert: .tools/servers/go.mod .tools/servers/go.sum
	@echo "building $@, the newest VictoriaMetrics for the tests"
	@CGO_ENABLED=0 .ci/progress $@ go build -C .tools/servers -v -o ../../bin/ github.com/VictoriaMetrics/VictoriaMetrics/app/$(@F)

bin/golangci-lint: PACKAGE = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/gotestsum:     PACKAGE = gotest.tools/gotestsum
bin/benchstat:     PACKAGE = golang.org/x/perf/cmd/benchstat
bin/golangci-lint bin/gotestsum bin/benchstat: .tools/lint/go.mod .tools/lint/go.sum
	@echo "building $@"
	@.ci/progress $@ go build -C .tools/lint -v -o ../../bin/ $(PACKAGE)

bin/sloth: PACKAGE = github.com/slok/sloth/cmd/sloth
bin/peers: PACKAGE = .
bin/sloth bin/peers: .tools/peers/go.mod .tools/peers/go.sum .tools/peers/main.go
	@echo "building $@"
	@go build -C .tools/peers -o ../../bin/ $(PACKAGE)
