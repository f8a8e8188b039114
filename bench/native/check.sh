#!/bin/sh
# Builds native three times: plain, with the sanitizers for memory and undefined behavior, and with
# the one for races. Checks that each does the same work as the Go side, by its golden values. Run
# it in any directory; it needs gcc and make.
set -eu
cd "$(dirname "$0")"
golden=../../internal/workload/testdata/golden.txt
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

die() {
	echo "check.sh: $*" >&2
	exit 1
}

build() { # NAME FLAGS
	make -s OUT="$dir/$1" CFLAGS="$2"
}

# counts prints the parts of an answer that must be the same everywhere.
counts() {
	sed -E 's/.*"ops":([0-9]+),.*"allocs":([0-9]+),"bytes":([0-9]+),.*"error":""\}/ops=\1 allocs=\2 bytes=\3/'
}

# run runs a command of one word. The output of sanitizers goes to the error.
run() {
	command=$1
	shift
	$command "$@" || die "$command $*: status $?"
}

# expect COMMAND EXPECTED ARGS...
expect() {
	command=$1 expected=$2
	shift 2
	answer=$(run "$command" "$@")
	got=$(echo "$answer" | counts)
	[ "$got" = "$expected" ] || die "$command $*: expected $expected, got $got"
}

# work does all small workloads, with and without timed calls.
work() { # COMMAND
	lines=0
	while IFS= read -r line; do
		# shellcheck disable=SC2086 # the settings of a line are words
		expect "$1" "${line##*: }" ${line%%: *}
		lines=$((lines + 1))
	done <"$golden"
	[ "$lines" -gt 30 ] || die "$golden has only $lines lines"
	calls "$1" 20 pair iterations=10
	calls "$1" 60 batch threads=3 iterations=10 count=5
	calls "$1" 600 larson blocks=10 generations=3 rounds=10
	calls "$1" 1800 mstress scale=1 iterations=2 threads=2
	calls "$1" 60 xmalloc-test threads=2 batches=3 batch=5
}

# calls COMMAND EXPECTED ARGS... checks the number of timed calls.
calls() {
	command=$1 expected=$2
	shift 2
	answer=$(run "$command" "$@" latency=1)
	got=$(echo "$answer" | sed -E 's/.*"calls":([0-9]+),.*/\1/')
	[ "$got" = "$expected" ] || die "$command $*: expected $expected calls, got $got"
}

# refused COMMAND PART ARGS... checks that the command fails, with an error that contains PART.
refused() {
	command=$1 part=$2
	shift 2
	if answer=$($command "$@"); then
		die "$command $*: was not refused: $answer"
	fi
	case $answer in
	*'"error":"'*"$part"*) ;;
	*) die "$command $*: expected an error with $part, got $answer" ;;
	esac
}

errors() { # COMMAND
	refused "$1" 'usage: native NAME'
	refused "$1" 'unknown workload \"nosuch\": the workloads are larson' nosuch
	refused "$1" 'no parameter \"nosuch\": the parameters are threads' pair nosuch=1
	refused "$1" 'write size=...' pair size
	refused "$1" 'from 1 to' pair size=0
	refused "$1" 'not \"-1\"' pair size=-1
	refused "$1" 'not \"1x\"' pair size=1x
	refused "$1" 'not \"99999999999999999999\"' pair seed=99999999999999999999
	refused "$1" 'min must be less' larson min=5 max=5
	refused "$1" 'divisible' rptest allocs=2126
	refused "$1" 'calls must not be less than threads' sh6bench calls=1 threads=2
	refused "$1" 'program=FILE' trace
	refused "$1" 'cannot be opened' trace program="$dir/nosuch"
	refused "$1" 'one of them' trace sink=1 latency=1
}

# le BYTES NUMBER prints a number in little-endian.
le() {
	n=$2 i=0
	while [ "$i" -lt "$1" ]; do
		# shellcheck disable=SC2059 # the octal escape is the format
		printf "\\$(printf %03o $((n % 256)))"
		n=$((n / 256)) i=$((i + 1))
	done
}

program_head() { # THREADS SHARED EVENTS LARGEST
	printf 'mallocprogram1\n\000'
	le 4 "$1" && le 4 "$2" && le 8 "$3" && le 8 "$4"
}

thread_head() { # SLOTS SURVIVORS INSTRUCTIONS
	le 4 "$1" && le 4 "$2" && le 8 "$3"
}

instr() { # SIZE ALIGN SLOT OP SHARED
	le 8 "$1" && le 8 "$2" && le 4 "$3" && le 1 "$4" && le 1 "$5" && le 2 0
}

# programs writes a program of one thread, and one of two threads that pass blocks to each other.
programs() {
	{
		program_head 1 0 6 10000
		thread_head 3 1 7
		instr 100 4 0 0 0   # malloc
		instr 10000 4 1 1 0 # calloc
		instr 64 6 2 0 0    # with an alignment of 64
		instr 100 4 0 3 0   # realloc to nothing
		instr 0 4 0 4 0
		instr 10000 4 1 2 0 # free
		instr 0 4 0 2 0
		instr 64 6 2 0 0 # survivor
	} >"$dir/one"
	{
		program_head 2 2 6 5000
		thread_head 1 1 3
		thread_head 1 0 4
		instr 5000 4 0 0 1 # handed over
		instr 9 4 1 2 1    # waits for the other thread
		instr 77 3 0 0 0
		instr 77 3 0 0 0 # survivor
		instr 9 4 1 0 1
		instr 5000 4 0 3 1 # waits, and takes it over
		instr 10 4 0 4 0
		instr 10 4 0 2 0
	} >"$dir/two"
	{
		printf X
		tail -c +2 "$dir/one"
	} >"$dir/otherwise"
	dd if="$dir/one" of="$dir/short" bs=1 count=200 2>/dev/null
	{
		cat "$dir/one"
		le 1 0
	} >"$dir/long"
	{
		program_head 1 0 1 10
		thread_head 1 0 1
		instr 10 4 1 0 0
	} >"$dir/slot"
	{
		program_head 1 0 1 10
		thread_head 1 0 1
		instr 10 4 0 3 0
	} >"$dir/half"
}

traces() { # COMMAND
	expect "$1" 'ops=6 allocs=12 bytes=30492' trace program="$dir/one" rounds=3
	expect "$1" 'ops=6 allocs=8 bytes=20328' trace program="$dir/one" rounds=2 sink=1
	expect "$1" 'ops=6 allocs=400 bytes=509600' trace program="$dir/two" rounds=100
	calls "$1" 12 trace program="$dir/one" rounds=2
	calls "$1" 12 trace program="$dir/two" rounds=2
	refused "$1" 'one thread' trace program="$dir/two" sink=1
	refused "$1" 'begins otherwise' trace program="$dir/otherwise"
	refused "$1" 'too early' trace program="$dir/short"
	refused "$1" 'after its end' trace program="$dir/long"
	refused "$1" 'slot' trace program="$dir/slot"
	refused "$1" 'without an end' trace program="$dir/half"
}

all() { # COMMAND
	work "$1"
	errors "$1"
	traces "$1"
}

# sized checks that larson calls a sized free if it must, with the right sizes. A counting one is
# preloaded under each name.
sized() {
	cat >"$dir/sized.c" <<-'END'
		#include <malloc.h>
		#include <stdio.h>
		#include <stdlib.h>
		static int count;
		#ifdef FLAGS
		void NAME(void *p, size_t size, int flags) {
			if (flags != 0)
				abort();
		#else
		void NAME(void *p, size_t size) {
		#endif
			size_t usable = malloc_usable_size(p);
			if (size > usable || size + 32 < usable)
				abort();
			count++;
			free(p);
		}
		__attribute__((destructor)) static void tell(void) { fprintf(stderr, "%d\n", count); }
	END
	for name in sdallocx mi_free_size tc_free_sized free_sized; do
		flags=
		[ $name != sdallocx ] || flags=-DFLAGS
		gcc -shared -fPIC -fno-builtin -DNAME=$name $flags -o "$dir/$name.so" "$dir/sized.c"
		for sized in 0 1; do
			got=$(LD_PRELOAD=$dir/$name.so "$dir/plain/native" larson sized=$sized blocks=5 rounds=10 generations=2 2>&1 >/dev/null) || got='(and was aborted)'
			# 20 times a block is freed in the setup, and 100 times afterwards.
			[ "$got" = $((sized * 120)) ] || die "larson sized=$sized called $name $got times, not $((sized * 120))"
		done
	done
}

programs

build plain '-O2 -g'
all "$dir/plain/native"
sized
(
	ulimit -v 1000000
	refused "$dir/plain/native" '1073741824 bytes failed' pair size=1073741824
)

build address '-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all'
all "$dir/address/native"

build thread '-O1 -g -fsanitize=thread'
racy=$dir/thread/native
# The sanitizer needs less random addresses than some systems have.
"$racy" pair iterations=1 >/dev/null 2>&1 || racy="setarch -R $racy"
all "$racy"

# Every installed allocator must do the same work.
for so in $(ldconfig -p 2>/dev/null | sed -nE 's/.* => (.*lib(jemalloc|mimalloc|tcmalloc_minimal)\.so\.[0-9]+)$/\1/p' | sort -u); do
	work "env LD_PRELOAD=$so $dir/plain/native"
	traces "env LD_PRELOAD=$so $dir/plain/native"
done
echo "bench/native: ok"
