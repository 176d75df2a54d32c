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

# The native library, and the DNS server of tests and demos, which is told on its standard input what to answer.
# shellcheck disable=SC2034
library="$CARGO_TARGET_DIR/release/libcaravan_nif.so" dns_server="$CARGO_TARGET_DIR/release/caravan_dns"
build_library() { cargo build --release --locked --manifest-path "$root/Cargo.toml" -p caravan_nif; }
build_dns_server() { cargo build --release --locked --manifest-path "$root/tools/caravan_dns/Cargo.toml"; }

# Runs a command when the script ends, by a signal, too. No other signal disturbs it. The exit status, which it finds
# in $status, stays.
at_end() {
  # shellcheck disable=SC2064,SC2154
  trap "status=\$?; trap '' INT TERM HUP; $1; exit \"\$status\"" EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# What is made or fetched once, for all checkouts.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/caravan"

# Caravan's version.
version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml"; }

# The source of this system's packages; other Debian systems are made from it, too.
debian_mirror() { apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1; }

# The Debian systems that bin/matrix, bin/docs and bin/without_rust work in, by their OTP.
matrix_cache="$cache/matrix"
declare -A debian=([27]=trixie [29]=forky)

# debootstrap's script for a suite. One that is older than the suite has none. All of Debian's are the same as sid's.
debootstrap_script() {
  local scripts=/usr/share/debootstrap/scripts
  if [ -e "$scripts/$1" ]; then echo "$scripts/$1"; else echo "$scripts/sid"; fi
}

# A folder without `.partial` is a complete system.
make_system() {
  local system="$matrix_cache/$1" suite=${debian[$1]}
  say "making $system, Debian $suite with OTP $1"
  mkdir -p "$matrix_cache"
  rm -rf --one-file-system "$system.partial"
  unshare --mount --propagation private debootstrap --variant=minbase --include=ca-certificates \
    "$suite" "$system.partial" "$(debian_mirror)" "$(debootstrap_script "$suite")" >"$system.log" 2>&1 </dev/null || {
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

# Installs a tool from PyPI, where it needs seconds and `cargo install` minutes, and prints its folder. Standard input
# has the requirements, pinned by SHA-256.
pypi_tool() {
  local tools="$cache/$1"
  if [ ! -d "$tools" ]; then
    rm -rf "$tools.partial"
    pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary :all: \
      --require-hashes --target "$tools.partial" --requirement /dev/stdin
    mv "$tools.partial" "$tools"
  fi
  printf '%s\n' "$tools"
}

# cargo-zigbuild and Zig, on Linux.
zig_tools() {
  pypi_tool cargo-zigbuild-0.24.1 <<'REQUIREMENTS'
cargo-zigbuild==0.24.1 \
  --hash=sha256:238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375 \
  --hash=sha256:07c5e3dcddf208500462ec927c556bb306cca2b533b0abe29446bffb63767b85
ziglang==0.17.1 \
  --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54 \
  --hash=sha256:b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e
REQUIREMENTS
}

# The files and folders that mix.exs lists under `package:`, one a line.
package_files() {
  mix run --no-compile --no-start --no-deps-check --eval \
    'Mix.Project.config()[:package][:files] |> Enum.filter(&File.exists?/1) |> Enum.each(&IO.puts/1)'
}

# The tags of ExUnit suites that not every machine can run; tools, which needs the most, is left to bin/test.
# shellcheck disable=SC2034
all_suites=(nodes releases builds dns netns chaos)
