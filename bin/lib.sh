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

# One build for cargo, the compiler task of mix.exs, the tests and the demo: there is one for each platform that shares
# this folder. If cargo is missing, bin/setup says so.
CARGO_TARGET_DIR="$root/_build/cargo/$(cargo --version --verbose 2>/dev/null | sed -n 's/^host: //p' || true)"
export CARGO_TARGET_DIR

# The source of this system's packages; other Debian systems are made from it, too.
debian_mirror() { apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1; }

# The tags of ExUnit suites that not every machine can run; tools, which needs the most, is left to bin/test.
# shellcheck disable=SC2034
all_suites=(nodes releases builds dns netns chaos)
