#!/bin/sh
# Installs a package for real, in a throw-away copy of this system: an overlay over its root in
# namespaces of its own, so that nothing of it stays and its ports are free. Runs the proxy with
# the given configuration, checks it from outside, once with the switch in the proxy and once with
# msrp-switchd as the unit starts it, and purges the package.
#
#   install.sh PACKAGE CONFIGURATION      77: this system does not let us (no root, no overlay)
set -eu

if [ "${3-}" != inside ]; then
  unshare --mount --net true 2>/dev/null || exit 77
  exec unshare --mount --net --pid --fork --kill-child "$0" "$1" "$2" inside
fi

stage=$(mktemp -d)
mount -t tmpfs tmpfs "$stage"
mkdir "$stage/changes" "$stage/work" "$stage/root"
root=$stage/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/changes,workdir=$stage/work" "$root" || exit 77
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
ip link set lo up || exit 77
cp "$1" "$root/run/package.deb"
cp "$2" "$root/run/chat.cfg"

exec chroot "$root" sh -eu <<'INSIDE'
check() { # as soon as it answers, and once more if that was too early
  for try in 1 2 3 4 5 6 7 8 9 10; do
    if msrp-chat check --proxy 127.0.0.1 sip:lobby@example.com >/run/checked; then
      cat /run/checked
      return
    fi
    sleep 1
  done
  cat /run/checked /run/log
  exit 1
}
proxy() { # CONFIGURATION
  kamailio -f "$1" -DD -E -m 64 -u kamailio -g kamailio -Y /run/kamailio >/run/log 2>&1 &
  proxy=$!
  check
  kill $proxy
  wait $proxy || true
}

echo "== install"
dpkg -i /run/package.deb
getent passwd msrp-switchd
dpkg -L msrp-conference | while read -r file; do [ -d "$file" ] || echo "$file"; done >/run/files

echo "== the switch in the proxy, which runs as its own user"
install -d -o kamailio -g kamailio /run/kamailio
proxy /run/chat.cfg
test -s /var/lib/msrp_conference/state.sqlite || { cat /run/log; exit 1; }

echo "== msrp-switchd, as the unit starts it"
install -d -m 750 -o msrp-switchd -g msrp-switchd /run/msrp-switchd
usermod --append --groups msrp-switchd kamailio
. /etc/default/msrp-switchd
# shellcheck disable=SC2086 # several options
msrp-switchd --socket /run/msrp-switchd/control.sock --user msrp-switchd $OPTIONS >/run/switch.log 2>&1 &
switch=$!
sed '/"room"/i modparam("msrp_conference", "switch", "unix:/run/msrp-switchd/control.sock")' \
  /run/chat.cfg >/run/outside.cfg
proxy /run/outside.cfg
kill $switch
wait $switch || { cat /run/switch.log; exit 1; }

echo "== purge"
dpkg --purge msrp-conference
while read -r file; do
  if [ -e "$file" ]; then
    echo "$file is still there"
    exit 1
  fi
done </run/files
test ! -e /var/lib/msrp_conference
echo "== gone"
INSIDE
