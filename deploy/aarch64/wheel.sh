#!/usr/bin/env bash
# Builds the wheel for aarch64 into the folder named (dist/ by default), for every Linux with glibc 2.17 or later.
set -euo pipefail
out=$(realpath -m "${1:-dist}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/aarch64/toolchain.sh
"$BIN"/maturin build --quiet --release --locked --zig --target "$TARGET" --compatibility manylinux2014 --out "$out"
ls -l "$out"/icsight-*_aarch64.whl
