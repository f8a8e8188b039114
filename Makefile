# The targets run on any machine with Go and make. What else they need they build, from the
# versions pinned in internal/tools, or go without, and say so: see .ci/lib.

.PHONY: help test test-all lint fmt cross link fuzz bench instructions replay versus versus-quick capi capi-bench newer ci

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

test: ## run the tests on this machine as it is, in about 4 minutes
	@sh .ci/test

test-all: ## run every test with cgo, without, with -race, on 32 bits, on WebAssembly, with a newer Go
	@sh .ci/test-all

lint: ## run gofmt, go vet, gallocvet, and golangci-lint for one system of each family
	@sh .ci/lint

fmt: ## format the Go files
	@go tool -modfile=internal/tools/go.mod golangci-lint fmt

cross: ## check the types for every system and architecture, and go vet for one of each family
	@sh .ci/cross

link: ## link a program that uses every package for each architecture, also without optimization
	@sh .ci/link

fuzz: ## run every fuzz target for FUZZTIME, by default 100000x: that many inputs
	@sh .ci/fuzz

bench: ## run the benchmarks COUNT times, with BASE=REVISION those of before too, and compare
	@sh .ci/bench

instructions: ## count the instructions of the fast path under valgrind, and compare with the figures; ARGS=-record records them
	@go -C bench run ./instructions $(ARGS)

replay: ## replay the allocations of real programs on the allocators; ARGS="-h" lists the flags
	@go -C cmd/galloc run . replay $(ARGS)

versus: ## measure the heap against other allocators, in C and in Go, and write BENCHMARKS.md; ARGS="-h" lists the flags
	@go -C bench run ./versus $(ARGS)

versus-quick: ## the same in under 3 minutes, of less, to the terminal
	@go -C bench run ./versus -quick $(ARGS)

capi: ## install the libraries for C and Rust, the header and galloc.pc under PREFIX, an absolute path
	@sh capi/install.sh "$$PREFIX"

capi-bench: ## measure calls of the library from C and from Rust, beside malloc
	@sh capi/bench/run.sh

newer: ## run the tests of the fast path with the newest version of Go that galloc knows
	@sh .ci/newer

ci: ## do what the gate does: install what is missing on Debian, check everything, test
	@bash .ci/run
