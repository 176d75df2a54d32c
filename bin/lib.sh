# shellcheck shell=bash
# Shared by the scripts of bin/: sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "bin/${0##*/}" "$*"; }
die() { say "$*" >&2; exit 1; }

# Each script's first lines are its help.
case " $* " in
  *" -h "* | *" --help "*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit ;;
esac

# A fresh rustup is on PATH only after the next login, and servers are never on a user's PATH.
rustup_bin="${CARGO_HOME:-$HOME/.cargo}/bin"
case ":$PATH:" in
  *":$rustup_bin:"*) ;;
  *) PATH="$rustup_bin:$PATH" ;;
esac
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Elixir wants file names and output in UTF-8.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8

# One build for cargo, the compiler task of mix/, the tests and the demo: there is one for each platform that shares
# this folder. If cargo is missing, bin/setup says so.
CARGO_TARGET_DIR="$root/_build/cargo/$(cargo --version --verbose 2>/dev/null | sed -n 's/^host: //p' || true)"
export CARGO_TARGET_DIR

# The source of this system's packages; other Debian systems are made from it, too.
debian_mirror() { apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1; }

# The Debian systems that bin/matrix, bin/docs and bin/without_rust work in, by their OTP.
matrix_cache="${XDG_CACHE_HOME:-$HOME/.cache}/caravan/matrix"
declare -A debian=([27]=trixie [29]=forky)

# A folder without `.partial` is a complete system.
make_system() {
  local system="$matrix_cache/$1" suite=${debian[$1]} script=/usr/share/debootstrap/scripts
  # A debootstrap older than the suite has no script for it. All of Debian's are the same as sid's.
  if [ -e "$script/$suite" ]; then script=$script/$suite; else script=$script/sid; fi
  say "making $system, Debian $suite with OTP $1"
  mkdir -p "$matrix_cache"
  rm -rf --one-file-system "$system.partial"
  unshare --mount --propagation private debootstrap --variant=minbase --include=ca-certificates \
    "$suite" "$system.partial" "$(debian_mirror)" "$script" >"$system.log" 2>&1 </dev/null || {
    tail -n 20 "$system.log" >&2
    die "debootstrap could not make $system: see above for the reason."
  }
  mv "$system.partial" "$system"
}

# Erlang, Elixir and everything that the suites test against; silent if nothing is missing.
equip_system() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private sh -euc '
    mount --bind "$1/bin" "$2/mnt"
    mount -t proc proc "$2/proc"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$2" /mnt/setup suites
  ' sh "$root" "$matrix_cache/$1"
}

# The tags of ExUnit suites that not every machine can run; tools, which needs the most, is left to bin/test.
# shellcheck disable=SC2034
all_suites=(nodes releases builds dns netns chaos)
