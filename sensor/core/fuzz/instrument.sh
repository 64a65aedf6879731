#!/bin/sh
# Cargo's rustc wrapper for the fuzz targets: the wire crate is compiled with the coverage counters that libFuzzer reads, as cargo-fuzz does it;
# the targets themselves and what everything stands on are not: watching Arrow too takes most of the time of a build and of a run. Nor are
# comparisons traced, which takes a third of a run: what is compared with are the words in dictionaries/, and what the seeds say.
# Cargo does not know this file: after a change, remove target/release/.fingerprint/icsight-wire-*.
compiler=$1
shift
case " $* " in
*" --crate-name wire "*)
    set -- "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    ;;
esac
exec "$compiler" "$@"
