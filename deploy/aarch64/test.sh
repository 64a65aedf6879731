#!/usr/bin/env bash
# Tests on an emulated aarch64: the Rust tests, the wheel with nothing but its base dependencies against this machine's own records, the
# sensor's Python tests, and live capture under a real kernel. `test.sh records sensor live rust` runs all; name the ones to run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/aarch64/toolchain.sh
. deploy/aarch64/machine.sh
parts=("$@")
[ "$#" -gt 0 ] || parts=(records sensor live rust)
modules=$MACHINE/usr/local/lib/python3.11/dist-packages

# install GLIBC PACKAGE…: puts packages for aarch64 and this version of glibc into the machine, as locked. This machine unpacks them.
install() {
  mkdir -p "$modules"
  "$BIN"/uv pip install --quiet --target "$modules" --python-platform "aarch64-manylinux_$1" --python-version 3.11 --only-binary :all: \
    --constraint requirements.lock "${@:2}"
}

rust() {
  echo "== aarch64: cargo test"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $PROCESSOR -L $MACHINE"
  # Not the examples in documentation: rustdoc of the toolchain in use compiles them, which may not know the target.
  (cd sensor/core && cargo-zigbuild test --quiet --locked --package icsight-wire --lib --tests --target "$TARGET")
}

records() {
  echo "== aarch64: the same records as here"
  "$BIN"/python -m tests.aarch64.records rules ${ICSIGHT_CAPTURES:+"$ICSIGHT_CAPTURES"} >"$WORK/here"
  emulate sh -c 'cd /project && exec python3 -m tests.aarch64.records rules ${ICSIGHT_CAPTURES:+"$ICSIGHT_CAPTURES"}' >"$WORK/there"
  diff "$WORK/here" "$WORK/there" && echo "$(wc -l <"$WORK/here") captures, no byte of their records differs"
}

sensor() {
  echo "== aarch64: tests of the sensor"
  # Not there: those that compare with tshark or read the sources, and those that mount a disk, which a changed root cannot.
  emulate sh -c 'cd /project && exec python3 -m pytest -q -p no:cacheprovider --timeout 0 -m "not full" \
    tests/sensor/test_core.py tests/sensor/test_drops.py tests/sensor/test_packets.py tests/sensor/test_spool*.py \
    -k "not tshark and not counters_are_those and not full_disk"'
}

live() {
  echo "== aarch64: live capture, the whole machine emulated"
  # What depends on the processor or its kernel's numbers: rings, tags, capabilities, system calls. The rest would take an hour.
  boot 'cd /project && exec python3 -m pytest -v -p no:cacheprovider --timeout 0 tests/sensor/test_live.py \
    -k "same_as_the_file or tags or keeps_the_right or restricted or filter_lets"'
}

deploy/aarch64/wheel.sh "$WORK/dist"
rm -rf "$modules" "$MACHINE/project"
mkdir -p "$MACHINE/project"
cp -r tests rules pyproject.toml "$MACHINE/project"
wheel=$(echo "$WORK"/dist/icsight-*_aarch64.whl)
install 2_17 "$wheel"
printf '#!/usr/bin/python3\nfrom api.cli import main\nmain()\n' >"$MACHINE/usr/bin/icsight"
chmod +x "$MACHINE/usr/bin/icsight"
for part in "${parts[@]}"; do
  case $part in
    sensor | live) install 2_28 "$wheel[server]" pytest pytest-timeout hypothesis scapy pymodbus asyncua ;;
  esac
  "$part"
done
