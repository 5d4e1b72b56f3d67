#!/bin/sh
# abi_check.sh opensips|kamailio SOURCE-TREE: are our declarations, function types and numbers, and
# the series' row, those of this tree? Reads the tree, writes nothing into it. The flags are those
# with which the tree's own Makefile compiles its module tm.
#
# abi_check.sh flags opensips|kamailio SOURCE-TREE: the same with each of the tree's compile
# options turned over; says which change something (FLAGS in series.rs).
set -eu

[ "$1" = flags ] && { each=yes; shift; } || each=
host=$1
tree=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $host in
    opensips)
        root=$tree define=-DOF_OPENSIPS options=$tree/version.h
        source=modules/tm/tm.c undeclared=pv_set_tm_fr_timeout ;;
    kamailio)
        root=$tree/src define=-DOF_KAMAILIO options=$tree/src/core/ver_defs.h
        source=core/tcp_main.c undeclared=tcpconn_exists ;;
    *) echo "abi_check.sh [flags] opensips|kamailio SOURCE-TREE" >&2; exit 2 ;;
esac

line=$(make -C "$root/modules/tm" -n -B dlg.o 2>/dev/null | grep -e ' -c dlg\.c ' | head -n 1 || true)
if [ -z "$line" ]; then
    echo "abi-check: $tree: its Makefile does not say how it compiles modules/tm/dlg.c" >&2
    exit 1
fi
flags=$(printf '%s\n' "$line" | sed 's/ -c dlg\.c .*//' | grep -o -e " -D[A-Za-z_0-9]*\(='[^']*'\|=[^ ']*\)\{0,1\}" | tr '\n' ' ')
eval "set -- $flags"

# What no header declares is taken from its definition.
sed -n "/^int $undeclared(/{:more; /[;{]/!{N; b more}; s/[;{].*/;/p; q}" "$root/$source" \
    > "$work/undeclared.h"

# What the tree says, compiled with these options more.
measure() {
    ${CC:-cc} -w "$@" $turned "$define" -pthread -I"$root" -I"$here" -I"$work" \
        -o "$work/abi_check" "$here/abi_check.c" && "$work/abi_check" > "$work/said"
}
turned=
measure "$@"

release=$(sed -n 's/^release //p' "$work/said")
series=$(printf '%s\n' "$release" | sed 's/^\([0-9]*\)\.\([0-9]*\).*/\1, \2,/')
rows=$here/../src/host/$host/series.rs
awk -v start="oldest: Release::new($series" '
    index($0, start) { inside = 1; next }
    inside && /^    },/ { exit }
    inside && /: [0-9]+,$/ { gsub(/[:,]/, ""); print $1, $2 }
' "$rows" > "$work/row"
if [ ! -s "$work/row" ]; then
    echo "abi-check: $host $release: $rows has no row for this series" >&2
    exit 1
fi
agrees() {
    grep -v '^release ' "$work/said" | diff "$work/row" -
}
if ! agrees >&2; then
    echo "abi-check: $host $release: < our row, > this tree" >&2
    exit 1
fi
echo "abi-check: $host $release: the row of its series, all declarations, functions and numbers agree"
[ -n "$each" ] || exit 0

for option in $(sed -n 's/^ *#ifdef  *\([A-Z_0-9]*\).*/\1/p' "$options" | sort -u); do
    case "$flags " in
        *" -D$option "* | *" -D$option="*) turned=-U$option ;;
        *) turned=-D$option ;;
    esac
    if ! measure "$@" 2> "$work/errors"; then
        why=$(grep -m 1 -o -e 'static assertion failed.*' -e 'error: .*' "$work/errors" || true)
        echo "$host $release $turned: $why"
    elif ! agrees > "$work/errors"; then
        echo "$host $release $turned: $(grep '^>' "$work/errors" | tr '\n' ' ')"
    else
        echo "$host $release $turned: nothing moves"
    fi
done
