#!/bin/sh
# The cost of calls of libgalloc from C, and from Rust if rustc is installed, compared with malloc:
# make capi-bench. The library is the shared one if KIND=shared, and otherwise the archive.

set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

case ${KIND:-archive} in
archive) lib=$dir/libgalloc.a rust=static ;;
shared) lib=$dir/libgalloc.so rust=dylib ;;
*)
	echo 'capi/bench/run.sh: KIND is archive or shared' >&2
	exit 2
	;;
esac
go build -buildmode="c-${KIND:-archive}" -o "$lib" ./capi/libgalloc
gcc -std=c11 -O2 -fno-builtin -Wall -o "$dir/pair" capi/bench/pair.c "$lib" -Wl,-rpath,"$dir" -lpthread
"$dir/pair"

if ! command -v rustc >/dev/null 2>&1; then
	echo 'Rust: there is no rustc here'
	exit
fi
rustc --edition=2021 -O --crate-type=rlib --crate-name=galloc -o "$dir/libgalloc.rlib" capi/rust/src/lib.rs
rustc --edition=2021 -O --extern galloc="$dir/libgalloc.rlib" -L native="$dir" -l "$rust=galloc" -C link-arg=-Wl,-rpath,"$dir" -o "$dir/pair-rs" capi/bench/pair.rs
"$dir/pair-rs"
