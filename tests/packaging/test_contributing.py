"""CONTRIBUTING.md shows how to add a protocol: its steps, followed in a copy, make the sensor name one that it did not know."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from sensor.tables import APPLICATIONS

ROOT: Final = Path(__file__).parents[2]
CORE: Final = Path("sensor/core")
SIGNATURES: Final = CORE / "wire/src/protocol/signature"

SIGNATURE: Final = r"""//! Data distribution service: what robots and test stands publish.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    udp_ports: &[7400],
    datagram,
    examples: &[Example {
        carrier: Carrier::Datagram,
        bytes: b"RTPS\x02\x04\x01\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    }],
    ..Signature::new(Application::Rtps, "OMG DDSI-RTPS 2.5, 8.3.3.2")
};

/// Name and version of the protocol.
fn datagram(data: &[u8]) -> Match {
    Match::certain_if(data.len() >= 20 && data.starts_with(b"RTPS\x02"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_about_it_is_not_it() {
        assert_eq!(datagram(b"RTPS is a protocol of the OMG"), Match::No);
    }
}
"""
"""Step 1: the file of a protocol that the sensor does not name."""

SEEN: Final = r"""//! What the sensor names a datagram of the protocol that was added, on a port that is not its own.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::protocol::signature::SIGNATURES;
use wire::record::Identity;

#[test]
fn it_is_named() {
    let payload = b"RTPS\x02\x04\x01\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let head = b"\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x30\x00\x01\x00\x00\x40\x11\x00\x00\
        \x0a\x00\x00\x01\x0a\x00\x00\x02\xc3\x50\x27\x10\x00\x1c\x00\x00";
    let data = [&head[..], payload].concat();
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    engine.packet(&Packet { ts: 1, link: LinkType::ETHERNET, original_length: data.len() as u32, data: &data });
    engine.finish();
    let flow = engine.take_batches().into_iter().find(|batch| batch.table == "flow").unwrap();
    let column = flow.records.column_by_name("network.application").unwrap().as_dictionary::<UInt8Type>().clone();
    let words = column.values().as_string::<i32>().clone();
    println!("named {}", words.value(usize::from(column.keys().value(0))));
    let all: Vec<&str> = SIGNATURES.iter().map(|signature| signature.application.word()).collect();
    println!("words {}", all.join(" "));
}
"""


def replaced(path: Path, pattern: str, replacement: str) -> None:
    """Replace the only place that fits in a file."""
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1, (path, pattern)
    path.write_text(text, encoding="utf-8")


@pytest.mark.cargo
@pytest.mark.timeout(1_500)  # another build of the packet core may have its folder
def test_a_protocol_that_is_added_as_the_guide_says_is_named(tmp_path: Path) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for step in (
        f"{SIGNATURES}/<word>.rs",
        '`signature/mod.rs`: `<word>: <Name> = "<word>",`',
        "`APPLICATIONS` in `sensor/tables.py`",
    ):
        assert step in guide
    shutil.copytree(ROOT / CORE, tmp_path / CORE, ignore=shutil.ignore_patterns("target", "fuzz"))
    tables = tmp_path / "sensor/tables.py"
    shutil.copy(ROOT / "sensor/tables.py", tables)

    (tmp_path / SIGNATURES / "rtps.rs").write_text(SIGNATURE, encoding="utf-8")
    replaced(tmp_path / SIGNATURES / "mod.rs", r'^    cdp: Cdp = "cdp",$', '    cdp: Cdp = "cdp",\n    rtps: Rtps = "rtps",')
    replaced(tables, r'^    "cdp",$', '    "cdp", "rtps",')

    (tmp_path / CORE / "wire/tests/added.rs").write_text(SEEN, encoding="utf-8")
    # Its dependencies are built already where the core's tests have run.
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / CORE / "target")}
    command = ["cargo", "test", "--quiet", "-p", "icsight-wire", "--locked", "--test", "added", "--test", "signature", "--lib"]
    done = subprocess.run(
        [*command, "--", "--nocapture", "signature", "it_is_named", "each_protocol"],
        cwd=tmp_path / CORE, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "named rtps" in done.stdout
    words = re.search(r"words (.*)", done.stdout)
    assert words is not None
    # The contract, read from the copy, names them in the same order, and it is one more than before.
    told = re.search(r"APPLICATIONS: Final = \((.*?)\)  # fmt: skip", tables.read_text(encoding="utf-8"), re.DOTALL)
    assert told is not None
    assert words[1].split() == re.findall(r'"(\w+)"', told[1]) == [*APPLICATIONS, "rtps"]
