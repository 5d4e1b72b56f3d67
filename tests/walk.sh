#!/bin/sh
# Follows the guides as an operator would, by paste, in a throw-away copy of this system: an
# overlay over its root in namespaces of its own. Nothing is changed in the pasted lines.
#
#   walk.sh PACKAGE WALKS [OPENSIPS]    77: this system does not let us (no root, no overlay)
#
# WALKS has a folder a walk, and in it a file a step, in order: NN-ends.sh is run to its end,
# NN-stays.sh runs until the walk is over, NN-file.NAME is saved as NAME, NN-with.cfg is put into
# chat.cfg in front of the routes. OPENSIPS is where one is installed that is to be where
# packages have it.
set -eu

if [ "${4-}" != inside ]; then
  unshare --mount --net true 2>/dev/null || exit 77
  exec unshare --mount --net --pid --fork --kill-child "$0" "$1" "$2" "${3-}" inside
fi

stage=$(mktemp -d)
mount -t tmpfs tmpfs "$stage"
mkdir "$stage/changes" "$stage/work" "$stage/root"
root=$stage/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/changes,workdir=$stage/work" "$root" || exit 77
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
ip link set lo up || exit 77
# The addresses and names of the guides are this machine's.
ip address add 192.0.2.5/32 dev lo
mkdir -p "$root/run/walk/build" "$root/run/kamailio"
cp "$1" "$root/run/walk/build/msrp-conference_0.1.0-1_amd64.deb"
cp -r "$2" "$root/run/walks"
echo "127.0.0.1 localhost example.com conf.example.com
192.0.2.5 chat.example.com" >"$root/etc/hosts"
mkdir -p "$root/usr/local/sbin" "$root/etc/apt/apt.conf.d"
# What a person answers.
echo 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/99yes"
printf '#!/bin/sh\nexec "$@"\n' >"$root/usr/local/sbin/sudo"
# No service manager is here: what a unit would run is run.
cat >"$root/usr/local/sbin/systemctl" <<'SYSTEMCTL'
#!/bin/sh -e
case $* in
  "stop kamailio" | "stop opensips" | "--system daemon-reload") ;;
  "enable --now msrp-switchd")
    install -d -m 750 -o msrp-switchd -g msrp-switchd /run/msrp-switchd
    . /etc/default/msrp-switchd
    # shellcheck disable=SC2086 # several options
    setsid msrp-switchd --socket /run/msrp-switchd/control.sock --user msrp-switchd $OPTIONS >/run/switch.log 2>&1 &
    echo $! >>/run/stays
    ;;
  *) echo "systemctl $*: not here" >&2; exit 1 ;;
esac
SYSTEMCTL
# The same question over the fifo.
cat >"$root/usr/local/sbin/opensips-cli" <<'CLI'
#!/bin/sh -e
[ "$1 $2" = "-x mi" ]
name=$3
shift 3
parameters=
for value; do parameters="$parameters,\"$value\""; done
# As opensips-cli does with the parameters that are lists.
[ "$name" != get_statistics ] || parameters=",[${parameters#,}]"
rm -f /tmp/answer
mkfifo -m 666 /tmp/answer
echo ":answer:{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"$name\",\"params\":[${parameters#,}]}" >/tmp/opensips_fifo
answer=$(cat /tmp/answer)
echo "$answer"
case $answer in *'"error"'*) exit 1 ;; esac
CLI
chmod 755 "$root"/usr/local/sbin/*
if [ -n "$3" ]; then
  mkdir -p "$root/usr/lib/x86_64-linux-gnu/opensips/modules"
  ln -s "$3"/lib64/opensips/modules/*.so "$root/usr/lib/x86_64-linux-gnu/opensips/modules"
  ln -s "$3/sbin/opensips" "$root/usr/local/sbin/opensips"
fi

exec chroot "$root" sh -eu <<'INSIDE'
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cd /run/walk

end() { # what stays ends now
  [ ! -e /run/stays ] || while read -r group; do
    kill -TERM "-$group" 2>/dev/null || true
    for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
      kill -0 "-$group" 2>/dev/null || break
      sleep 1
    done
    kill -KILL "-$group" 2>/dev/null || true
  done </run/stays
  rm -f /run/stays
}

fail() {
  echo "FAILED: $1"
  cat "$1" /run/told
  echo "== the log"
  tail -n 60 /run/log /run/switch.log 2>/dev/null || true
  exit 1
}

for walk in /run/walks/*; do
  echo "== $(basename "$walk")"
  rm -f /tmp/opensips_fifo /run/log
  tries=1
  for step in "$walk"/*; do
    case $step in
      *-stays.sh)
        setsid sh -e "$step" >>/run/log 2>&1 </dev/null &
        echo $! >>/run/stays
        # It takes a moment until what was started answers.
        tries=15
        ;;
      *-ends.sh)
        try=0
        until sh -e "$step" >/run/told 2>&1 </dev/null && ! grep -q '^error: ' /run/told; do
          try=$((try + 1))
          [ $try -lt $tries ] || fail "$step"
          sleep 1
        done
        tries=1
        ;;
      *-with.cfg)
        { sed '/^\(request_\)\{0,1\}route/,$d' chat.cfg; cat "$step"; sed -n '/^\(request_\)\{0,1\}route/,$p' chat.cfg; } >with.cfg
        mv with.cfg chat.cfg
        ;;
      *-file.*) cp "$step" "${step##*-file.}" ;;
    esac
  done
  end
done
echo "== walked"
INSIDE
