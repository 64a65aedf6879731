"""`icsight detect`: what it prints, and what its exit status says."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from detection.cli import detect
from detection.sigma.rule import rules_folder
from detection.site import SiteError
from detection.site import load as load_site

if TYPE_CHECKING:
    from pathlib import Path

RULES = rules_folder() / "modbus"
FIRES = RULES / "restart_communications.fires.pcap"

KEYS = {
    "id", "rule", "title", "summary", "severity", "confidence", "first_seen", "last_seen", "count", "client.ip", "server.ip",
    "techniques", "technique_aliases", "expected", "observed", "next_steps", "records", "related", "rank", "story", "exception",
}  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(detect, [str(argument) for argument in arguments], catch_exceptions=False)


def alerts(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def quiet_capture(tmp_path: Path) -> Path:
    """A request for two registers, unanswered: a client's packet and nothing else."""
    path = tmp_path / "quiet.pcap"
    request = bytes.fromhex("000100000006010300000002")
    packet = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=50_000, dport=502, flags="PA", seq=1) / Raw(request)
    wrpcap(str(path), [packet])
    return path


def test_a_capture_with_an_attack_gives_status_1_and_one_json_object_per_alert() -> None:
    result = run(FIRES, "--output", "json")
    assert result.exit_code == 1
    found = alerts(result)
    assert [alert["rule"] for alert in found].count("restart_communications") == 1
    for alert in found:
        assert alert.keys() >= KEYS
        assert alert["severity"] in {"informational", "low", "medium", "high", "critical"}
        assert alert["first_seen"].endswith("Z")
        assert all(record.startswith("local/") for record in alert["records"])
    assert result.stderr == ""


def test_a_capture_without_an_attack_gives_status_0(quiet_capture: Path) -> None:
    result = run(quiet_capture)
    assert result.exit_code == 0
    assert "nothing found by" in result.stdout
    assert run(quiet_capture, "--output", "json").stdout == ""


def test_the_same_capture_gives_the_same_alerts_to_the_byte() -> None:
    assert run(FIRES, "--output", "json").stdout == run(FIRES, "--output", "json").stdout


def test_texts_come_in_both_languages() -> None:
    english, chinese = (alerts(run(FIRES, "--output", "json", "--language", language)) for language in ("en", "zh-CN"))
    assert [alert["id"] for alert in english] == [alert["id"] for alert in chinese]
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in alert["title"]) for alert in chinese)


def test_a_truncated_capture_is_warned_of_and_what_could_be_read_counts(tmp_path: Path) -> None:
    content = FIRES.read_bytes()
    truncated = tmp_path / "cut.pcap"
    truncated.write_bytes(content[:-7])
    result = run(truncated, "--output", "json")
    assert result.exit_code in {0, 1}
    assert "warning" in result.stderr
    assert str(truncated) in result.stderr or "cut" in result.stderr


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", gzip.compress(b"no capture")], ids=["empty", "zip", "gzip"])
def test_what_is_no_capture_gives_status_2_and_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plant.pcap"
    path.write_bytes(content)
    result = run(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


def test_an_unreadable_capture_does_not_hide_the_alerts_of_another(tmp_path: Path) -> None:
    result = run(tmp_path / "missing.pcap", FIRES, "--output", "json")
    assert result.exit_code == 2
    assert "restart_communications" in {alert["rule"] for alert in alerts(result)}


def test_a_site_file_switches_rules_on(tmp_path: Path) -> None:
    capture = RULES / "write_by_unauthorised_client.fires.pcap"
    named = "write_by_unauthorised_client"
    site = tmp_path / "site.yml"
    site.write_text("lists: {authorised_writers: [192.0.2.1]}")

    def told(result: Result) -> set[str]:
        return {rule for alert in alerts(result) for rule in (alert["rule"], *(each["rule"] for each in alert["related"]))}

    assert named not in told(run(capture, "--output", "json"))
    assert named in told(run(capture, "--output", "json", "--site", site))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("lists: [a]", "lists"),
        ("lisst: {}", "lisst"),
        ("windows: {work: [{from: '08:00'}]}", "start and end, or from and to"),
        ("windows: {work: [{from: '08:00', to: '09:00', timezone: Mars/Base}]}", "time zone"),
        ("windows: {work: [{start: 2026-11-20T08:00:00, end: 2026-11-20T09:00:00}]}", "offset"),
        ("windows: {work: [{from: '08:00', to: '09:00', days: [someday]}]}", "days"),
        ("ranges: {limits: {'holding:1@1': [9, 1]}}", "least first"),
        ("critical: {10.0.0.1: 99}", "up to 10"),
        ("lists: {a: [x]}\nranges: {a: {}}", "defined twice"),
        ("- a", "the file"),
        ("a: [", "not YAML"),
    ],
)
def test_a_broken_site_file_is_told_in_one_line(tmp_path: Path, content: str, reason: str) -> None:
    site = tmp_path / "site.yml"
    site.write_text(content)
    with pytest.raises(SiteError, match=reason) as error:
        load_site(site)
    assert "\n" not in str(error.value)


def test_a_missing_site_file_is_told() -> None:
    with pytest.raises(SiteError, match="cannot be read"):
        load_site("/nowhere/site.yml")
