# Sourced by the scripts beside it, in the project's folder: makes `cargo`, `rustc` and the C compiler of the shell build for aarch64.
#
# The Rust toolchain in use is taken where it has the standard library for the target (`rustup target add aarch64-unknown-linux-gnu`).
# Where it has not, Debian's is unpacked into .aarch64/rust, beside it and not into the system: no right of root is needed. C code is
# compiled, and everything linked, by Zig, which knows the symbols of every glibc: what is built runs on glibc 2.17 and later.
# shellcheck shell=bash

export TARGET=aarch64-unknown-linux-gnu
WORK=$PWD/.aarch64
BIN=$PWD/.venv/bin

# Folder of a target's standard library, as a compiler says it.
has_standard_library() { [ -d "$("$1" --print target-libdir --target "$TARGET" 2>/dev/null || echo /nowhere)" ]; }

# apt-get with lists and a cache of its own, which knows of both processors and changes nothing in the system.
apt() {
  mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/archives/partial"
  "$1" -o Dir::State::Lists="$WORK/apt/lists" -o Dir::Cache="$WORK/apt" -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)" \
    -o APT::Architectures::="$(dpkg --print-architecture)" -o APT::Architectures::=arm64 "${@:2}"
}

# Name of the package of this beginning that a package needs.
needed() { apt apt-cache depends "$1" | sed -nE "s/^ +Depends: ($2[^ ]*)\$/\1/p" | head -1; }

unpack_debians_rust() {
  command -v apt-get >/dev/null || {
    echo "error: this Rust toolchain cannot build for aarch64. Run: rustup target add $TARGET" >&2
    exit 2
  }
  apt apt-get update -qq
  local driver debs=$WORK/apt/debs
  driver=$(needed libstd-rust-web-dev libstd-rust-web-)
  rm -rf "$debs" "$WORK/rust" && mkdir -p "$debs" "$WORK/rust/bin"
  (cd "$debs" && apt apt-get download -qq rustc-web libstd-rust-web-dev libstd-rust-web-dev:arm64 "$driver" "$(needed "$driver" libllvm)")
  for package in "$debs"/*.deb; do dpkg-deb -x "$package" "$WORK/rust"; done
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$(dirname "$WORK"/rust/usr/lib/*/librustc_driver-*.so)" \
    "$WORK/rust/usr/bin/rustc" >"$WORK/rust/bin/rustc"
  chmod +x "$WORK/rust/bin/rustc"
  rm -rf "$WORK/apt"
}

if ! has_standard_library rustc; then
  [ -x "$WORK/rust/bin/rustc" ] || unpack_debians_rust
  has_standard_library "$WORK/rust/bin/rustc" || {
    echo "error: $(lsb_release -ds 2>/dev/null || echo "this system")'s rustc-web has no standard library for aarch64. Run: rustup target add $TARGET" >&2
    exit 2
  }
  export RUSTC=$WORK/rust/bin/rustc PATH=$WORK/rust/bin:$PATH
fi
if [ ! "$WORK/zig" -nt deploy/aarch64/requirements.lock ]; then
  rm -rf "$WORK/zig"
  "$BIN"/uv pip install --quiet --python "$BIN"/python --target "$WORK/zig" --require-hashes -r deploy/aarch64/requirements.lock
fi
export PYTHONPATH=$WORK/zig PATH=$WORK/zig/bin:$PATH VIRTUAL_ENV=$PWD/.venv CARGO_TARGET_DIR=$WORK/target
