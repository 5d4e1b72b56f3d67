#!/bin/sh
# abi_check.sh opensips|kamailio SOURCE-TREE: are our declarations and the series' row those
# of this tree? Reads the tree, writes nothing into it. The flags are those with which the
# tree's own Makefile compiles its module tm.
set -eu

host=$1
tree=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $host in
    opensips) root=$tree define=-DOF_OPENSIPS ;;
    kamailio) root=$tree/src define=-DOF_KAMAILIO ;;
    *) echo "abi_check.sh opensips|kamailio SOURCE-TREE" >&2; exit 2 ;;
esac

line=$(make -C "$root/modules/tm" -n -B dlg.o 2>/dev/null | grep -e ' -c dlg\.c ' | head -n 1 || true)
if [ -z "$line" ]; then
    echo "abi-check: $tree: its Makefile does not say how it compiles modules/tm/dlg.c" >&2
    exit 1
fi
flags=$(printf '%s\n' "$line" | sed 's/ -c dlg\.c .*//' | grep -o -e " -D[A-Za-z_0-9]*\(='[^']*'\|=[^ ']*\)\{0,1\}" | tr '\n' ' ')
eval "set -- $flags"
${CC:-cc} -w "$@" "$define" -pthread -I"$root" -I"$here" -o "$work/abi_check" "$here/abi_check.c"
"$work/abi_check" > "$work/said"

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
grep -v '^release ' "$work/said" > "$work/measured"
if ! diff "$work/row" "$work/measured" >&2; then
    echo "abi-check: $host $release: < our row, > this tree" >&2
    exit 1
fi
echo "abi-check: $host $release: $(grep -c . "$work/row") figures of the row and all declarations agree"
