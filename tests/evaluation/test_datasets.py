"""Data sets and labels of others are read as they are meant, and what is wrong with them is said in a line."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detection.evaluation import labels
from detection.evaluation.datasets import DatasetError, load
from detection.evaluation.labels import LabelError
from detection.evaluation.subject import ALL, Subject, general, kinds, over_what_was_learned
from detection.sigma.rule import load as load_rules
from detection.sigma.rule import rules_folder
from tests.plant.frames import Host, Talk, Wire, pcap_header, pcap_record

if TYPE_CHECKING:
    from collections.abc import Sequence

DATASETS = Path(__file__).with_name("datasets")
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
CLIENT, SERVER = Host("10.0.0.1", "02:00:00:00:00:01"), Host("10.0.0.2", "02:00:00:00:00:02")


def capture(path: Path, seconds: Sequence[float]) -> Path:
    """A capture with a packet at each of these times after `START`."""
    wire = Wire()
    talk = Talk(wire, CLIENT, SERVER, 50_000)
    for moment in seconds:
        talk.send(START + int(moment * SECOND), b"\0\1\0\0\0\6\1\3\0\0\0\1")
    path.write_bytes(pcap_header() + b"".join(pcap_record(packet) for packet in wire.take(START + 10**6 * SECOND)))
    return path


def written(folder: Path, text: str) -> Path:
    file = folder / "set.yml"
    file.write_text(text, encoding="utf-8")
    return file


def test_labelled_packets_are_one_attack_until_a_pause_is_long(tmp_path: Path) -> None:
    seen = capture(tmp_path / "a.pcap", [0, 1, 2, 10, 11, 12])
    marks = tmp_path / "a.csv"
    marks.write_text("1;0\r\n2;1\r\n3;1\r\n4;0\r\n5;1\r\n6;0\r\n")
    first, second = labels.read("packets", seen, marks)
    assert (first.start, first.end) == (START + SECOND, START + 2 * SECOND)
    assert (second.start, second.end) == (START + 11 * SECOND, START + 11 * SECOND)
    assert first.hosts == {CLIENT.ip, SERVER.ip}


def test_windows_take_their_hosts_from_the_packets_in_them(tmp_path: Path) -> None:
    seen = capture(tmp_path / "a.pcap", [0, 1, 20])
    windows = tmp_path / "a.json"
    windows.write_text('[{"start": 1700000000.500000000, "end": 1700000001.5}, {"start": 1700000005, "end": 1700000006}]')
    first, second = labels.read("windows", seen, windows)
    assert (first.start, first.end, first.hosts) == (START + SECOND // 2, START + 3 * SECOND // 2, {CLIENT.ip, SERVER.ip})
    assert second.hosts == frozenset()


def test_windows_that_name_no_attack_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(LabelError, match="names no attack"):
        labels.read("windows", capture(tmp_path / "a.pcap", [0]), tmp_path / "a.json")


@pytest.mark.parametrize(("last", "attacks"), [("0", 0), ("1", 1)])
def test_a_malicious_flow_makes_the_whole_capture_an_attack(tmp_path: Path, last: str, attacks: int) -> None:
    (tmp_path / "f.csv").write_text(f"a,b,label\n1,2,0\n1,2,{last}\n")
    spans = labels.read("flows", tmp_path / "a.pcap", tmp_path / "f.csv")
    assert [(span.start, span.end) for span in spans] == [(None, None)] * attacks


def test_an_attack_on_s7_is_named_by_its_lines_or_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "20161215.ReactorOn"
    folder.mkdir()
    (folder / "a.csv").write_text("1,Ether / IP / TCP 10.10.10.66:49610 > 10.10.10.10:iso_tsap PA / Raw,ReactorOff\n")
    (named,) = labels.read("qut", folder / "a.pcap", folder / "a.csv")
    assert (named.kind, named.hosts) == ("ReactorOff", {"10.10.10.66", "10.10.10.10"})
    (unnamed,) = labels.read("qut", folder / "b.pcap", folder / "b.csv")
    assert (unnamed.kind, unnamed.hosts) == ("ReactorOn", frozenset())


def test_changed_packets_make_the_whole_capture_an_event(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("====\n!!! NOTE !!!\nFirst packet index is 1.\n====\nSwapped packets: 3, 9\n")
    assert [span.kind for span in labels.read("backtrack", tmp_path / "a.pcap", tmp_path / "b.txt")] == ["packets_swapped"]


def test_attacks_of_one_name_in_the_plants_truth_are_told_apart(tmp_path: Path) -> None:
    line = json.dumps({"name": "flood", "technique": "T0814", "start": 5, "end": 9, "hosts": ["10.0.0.1"], "packets": [1]})
    (tmp_path / "t.jsonl").write_text(f"{line}\n{line}\n")
    spans = labels.read("plant", tmp_path / "a.pcap", tmp_path / "t.jsonl")
    assert [(span.name, span.kind, span.technique) for span in spans] == [
        ("flood", "flood", "T0814"),
        ("flood-2", "flood", "T0814"),
    ]


@pytest.mark.parametrize("reader", ["windows", "plant", "packets"])
def test_labels_of_another_format_are_refused_in_a_line(tmp_path: Path, reader: str) -> None:
    (tmp_path / "x").write_text("what; 1\n")
    with pytest.raises(LabelError, match=f"not labels of the format '{reader}'"):
        labels.read(reader, capture(tmp_path / "a.pcap", [0]), tmp_path / "x")


def test_labels_of_packets_need_a_pcap_file(tmp_path: Path) -> None:
    (tmp_path / "a.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(60))
    (tmp_path / "a.csv").write_text("1;1\n")
    with pytest.raises(LabelError, match="need a pcap file"):
        labels.read("packets", tmp_path / "a.pcapng", tmp_path / "a.csv")


def test_a_data_set_joins_labels_with_what_was_judged_of_them(tmp_path: Path) -> None:
    capture(tmp_path / "a.pcap", [0, 1])
    (tmp_path / "a.csv").write_text("1;0\n2;1\n")
    file = written(
        tmp_path,
        """
name: mine
captures:
  - capture: "*.pcap"
    labels: {reader: packets, file: "{stem}.csv"}
    judgements: {"*": {kind: write, techniques: [T0836], shown: records, why: seen}}
    events:
      - {name: later, start: 2023-11-14T22:13:25.000001Z, hosts: [10.0.0.9], kind: scan, shown: wire, why: guessed}
""",
    )
    (case,) = load(file)
    labelled, own = case.events(1, 2 * START)
    assert (labelled.id, labelled.kind, labelled.techniques, labelled.start) == ("a#1", "write", ("T0836",), START + SECOND)
    assert (own.id, own.kind, own.shown, own.hosts) == ("a#later", "scan", "wire", {"10.0.0.9"})
    assert (own.start, own.end) == (START + 5 * SECOND + 1_000, 2 * START)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ncaptures: [{capture: none.pcap}]", "none.pcap is not a file"),
        ("name: x\ncaptures: [{capture: '*.none'}]", "no capture is named like"),
        ("name: x\nroot: NO_SUCH_VARIABLE\ncaptures: []", "set that variable"),
        ("name: [", "not YAML"),
        ("name: x\ncaptures: [{capture: a.pcap, colour: red}]", "colour"),
        ("name: x\ncaptures: [{capture: a.pcap, labels: {reader: whole}}]", "nothing is judged of event '1'"),
        (
            "name: x\ncaptures: [{capture: a.pcap, events: [{name: a, shown: records, why: b, techniques: [T9999]}]}]",
            "T9999 is no technique",
        ),
        (
            "name: x\ncaptures: [{capture: a.pcap, events: [{name: a, shown: records, why: b, start: 2024-01-01T00:00:00}]}]",
            "offset from UTC",
        ),
    ],
)
def test_what_is_wrong_with_a_data_set_is_said_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    capture(tmp_path / "a.pcap", [0])
    with pytest.raises(DatasetError) as told:
        load(written(tmp_path, text))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_every_event_of_every_labelled_capture_is_judged_and_of_a_kind_whose_rules_are_known(captures: Path) -> None:
    del captures  # it says where they are
    events = [event for file in sorted(DATASETS.glob("*.yml")) for case in load(file) for event in case.events(0, 0)]
    assert len(events) > 100
    assert {event.kind for event in events} <= kinds().keys()
    assert all(len(event.why) > 20 for event in events)
    assert all(event.techniques for event in events if event.shown != "nothing")


def test_every_pattern_of_rules_written_for_a_kind_names_a_rule() -> None:
    names = [rule.name for rule in load_rules([rules_folder()]) if rule.alerts]
    for kind, rules in kinds().items():
        assert all(fnmatch.filter(names, pattern) for pattern in rules.rules), kind


def test_every_rule_is_written_for_a_kind_or_for_none_and_it_is_said_why() -> None:
    rules = [rule for rule in load_rules([rules_folder()]) if rule.alerts]
    learned = over_what_was_learned(rules)
    patterns = [pattern for patterns in general().values() for pattern in patterns]
    for pattern in patterns:
        assert fnmatch.filter([rule.name for rule in rules], pattern), f"{pattern} names no rule"
    for rule in rules:
        of = [kind for kind, written in kinds().items() if kind != ALL and written.holds(rule, learned=rule.name in learned)]
        for_none = any(fnmatch.fnmatchcase(rule.name, pattern) for pattern in patterns)
        assert bool(of) != for_none, (
            f"{rule.name}: {of or 'of no kind'}, and {'among' if for_none else 'not among'} those for none"
        )


def test_a_model_that_was_thought_of_for_a_kind_is_switched_off_with_its_rules_and_not_by_a_technique_alone() -> None:
    off = Subject(without=["covert_channel"]).silent
    assert "lowest_bit_carries_something" in off
    assert "controller_begins_conversation" not in off
    assert "lowest_bit_carries_something" not in Subject(without=[ALL]).silent
    assert "point_value_out_of_range" not in Subject(without=["set_point_write"]).silent


def test_rules_of_a_kind_are_switched_off_and_others_stay() -> None:
    off = Subject(without=["address_sweep"]).silent
    assert {"address_sweep", "illegal_address_exceptions", "read_by_unauthorised_client"} <= set(off)
    assert "umas_controller_stop" not in off
    everything = Subject(without=[ALL])
    learned = {"baseline", "anomaly"}
    written_for_kinds = [rule for rule in everything.rules if rule.alerts and rule.path.parent.name not in learned]
    assert len(everything.silent) == len(written_for_kinds)
