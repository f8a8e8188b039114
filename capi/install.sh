#!/bin/sh
# Builds libgalloc and installs it: sh capi/install.sh PREFIX, or make capi PREFIX=...
#
# MAIN is the package to build, by default galloc's own heap, and NAME what the library is called, by default
# galloc: a main package with an allocator of one's own is installed by MAIN=./my NAME=my. DESTDIR is put in
# front of PREFIX where files are written, for those who make packages. CC is the C compiler that go build takes.

set -eu
[ $# = 1 ] && [ -n "$1" ] || {
	echo 'usage: sh capi/install.sh PREFIX (or make capi PREFIX=...): an absolute path, such as /usr/local' >&2
	exit 2
}
case $1 in
/*) ;;
*)
	echo "capi/install.sh: $1 is not an absolute path: galloc.pc has to name it" >&2
	exit 2
	;;
esac
prefix=$1
name=${NAME:-galloc}
main=${MAIN:-./capi/libgalloc}
here=$(cd "$(dirname "$0")" && pwd)
to=${DESTDIR:-}$prefix

shared=so
soname=-soname
if [ "$(go env GOOS)" = darwin ]; then
	shared=dylib
	soname=-install_name
fi
if [ "$(go env CGO_ENABLED)" != 1 ]; then
	echo 'capi/install.sh: cgo is off: set CGO_ENABLED=1, and have a C compiler' >&2
	exit 1
fi

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
[ -n "${MAIN:-}" ] || cd "$here/.."
go build -trimpath -buildmode=c-archive -o "$build/lib$name.a" "$main"
go build -trimpath -buildmode=c-shared -ldflags "-extldflags=-Wl,$soname,lib$name.$shared" -o "$build/lib$name.$shared" "$main"

mkdir -p "$to/include" "$to/lib/pkgconfig"
cp "$here/galloc.h" "$to/include/"
cp "$build/lib$name.a" "$build/lib$name.$shared" "$to/lib/"
sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|0.0.0|" -e "s|^Name: galloc|Name: $name|" -e "s|-lgalloc|-l$name|" "$here/galloc.pc.in" >"$to/lib/pkgconfig/$name.pc"

cat <<END
Installed in $to: include/galloc.h, lib/lib$name.a, lib/lib$name.$shared, lib/pkgconfig/$name.pc.
  shared:  cc main.c \$(PKG_CONFIG_PATH=$to/lib/pkgconfig pkg-config --cflags --libs $name) -Wl,-rpath,$prefix/lib
  static:  cc main.c -I$to/include $to/lib/lib$name.a -lpthread
  rust:    rustc --extern galloc=libgalloc.rlib -L native=$to/lib -l static=$name main.rs
           (cargo: GALLOC_LIB_DIR=$to/lib GALLOC_LIB=$name cargo build)
END
