#!/bin/sh
# Builds libgalloc and installs it: sh capi/install.sh PREFIX, or make capi PREFIX=...
#
# MAIN is the package to build, by default galloc's own heap, and NAME the name of the library, by
# default galloc: MAIN=./my NAME=my installs a main package with a custom allocator. DESTDIR, for
# those who make packages, is put in front of PREFIX where files are written. CC is the C compiler
# of go build.

set -eu
[ $# = 1 ] && [ -n "$1" ] || {
	echo 'usage: sh capi/install.sh PREFIX (or make capi PREFIX=...): an absolute path, such as /usr/local' >&2
	exit 2
}
case $1 in
*'$'*)
	echo "capi/install.sh: $1 contains a \$, which pkg-config does not allow" >&2
	exit 2
	;;
/*) ;;
*)
	echo "capi/install.sh: $1 is not an absolute path, which galloc.pc must contain" >&2
	exit 2
	;;
esac
command -v go >/dev/null || {
	echo 'capi/install.sh: there is no go command in PATH: install Go, or add its folder bin to PATH' >&2
	exit 1
}
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
	echo 'capi/install.sh: cgo is off: set CGO_ENABLED=1, and install a C compiler' >&2
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

# In a .pc file # begins a comment; for sed, \ and & and the separator are special.
escaped() { printf '%s\n' "$1" | sed -e 's/[\\&|]/\\&/g'; }
sed -e "s|@PREFIX@|$(escaped "$(printf '%s\n' "$prefix" | sed 's/#/\\#/g')")|" -e "s|@VERSION@|0.0.0|" \
	-e "s|^Name: galloc|Name: $(escaped "$name")|" -e "s|-lgalloc|-l$(escaped "$name")|" \
	"$here/galloc.pc.in" >"$to/lib/pkgconfig/$name.pc"

# quoted TEXT: as a word of the shell.
quoted() {
	case $1 in
	*[!A-Za-z0-9_/.,:=@%+-]*) printf "'%s'\n" "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf '%s\n' "$1" ;;
	esac
}
flags="\$(PKG_CONFIG_PATH=$(quoted "$to/lib/pkgconfig") pkg-config --cflags --libs $name)"
rpath=$(quoted "-Wl,-rpath,$prefix/lib")
shared_command="cc main.c $flags $rpath"
if [ "$(quoted "$to$prefix")" != "$to$prefix" ]; then # what pkg-config prints is quoted
	shared_command="eval \"set -- $flags\"; cc main.c \"\$@\" $rpath"
fi
cat <<END
Installed in $to: include/galloc.h, lib/lib$name.a, lib/lib$name.$shared, lib/pkgconfig/$name.pc.
  shared:  $shared_command
  static:  cc main.c $(quoted "-I$to/include") $(quoted "$to/lib/lib$name.a") -lpthread
  rust:    rustc --extern galloc=libgalloc.rlib -L $(quoted "native=$to/lib") -l static=$name main.rs
           (cargo: GALLOC_LIB_DIR=$(quoted "$to/lib") GALLOC_LIB=$name cargo build)
END
