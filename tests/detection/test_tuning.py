"""Exceptions of a site: what they hide is kept and marked, shown before, and never more than was asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from detection.alerts import flat
from detection.pipeline import Pipeline
from detection.sigma.rule import load
from detection.site import Site
from detection.site import load as load_site
from detection.tune import tune
from detection.tuning import Exemption, preview, propose
from tests.detection.test_grouping import WITHOUT_SHRINKING, as_text, detect, mixed_rules
from tests.detection.traffic import SECOND, START, busy_day, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from detection.alerts import Alert

NOW = datetime(2025, 12, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * SECOND
BEGIN = datetime.fromtimestamp(START // SECOND, UTC)


def exemption(**fields: Any) -> Exemption:
    named = {"name": "x", "rules": ("write",), "end": NOW, "reason": "known", "by": "lin.wei", **fields}
    return Exemption.model_validate(named)


@pytest.fixture(scope="module")
def excepting(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pipeline]:
    """Detection with exceptions: a low and a high act."""
    folder = tmp_path_factory.mktemp("rules")
    write_rules(
        folder,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("stop", "high", {"selection": {"modbus.function_code": 8}}),
    )
    loaded = load([folder])
    return lambda *exceptions, **facts: Pipeline.of(loaded, Site(exceptions=exceptions, **facts))


def by_rule(found: Mapping[str, Alert]) -> dict[str, list[str | None]]:
    """Names of the exceptions that hide the alerts of each rule, in order of time."""
    said: dict[str, list[str | None]] = {}
    for alert in sorted(found.values(), key=lambda each: each.first_seen):
        said.setdefault(alert.rule, []).append(None if alert.exception is None else alert.exception["name"])
    return said


def test_a_hidden_alert_is_kept_and_says_which_exception_hides_it_and_why(excepting: Callable[..., Pipeline]) -> None:
    pipeline = excepting(exemption(name="known-writes", clients=("10.0.0.0/29",)))
    (alert,) = detect(pipeline, cuts([request(0, function=6)], [])).values()
    assert flat(alert, "en")["exception"] == {
        "name": "known-writes",
        "kind": "suppress",
        "reason": "known",
        "by": "lin.wei",
        "end": "2025-12-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("scope", "hides"),
    [
        ({}, True),
        ({"rules": ("wr*",)}, True),
        ({"rules": ("stop",)}, False),
        ({"clients": ("10.0.0.2",)}, False),
        ({"clients": ("2001:db8::/32",)}, False),
        ({"servers": ("10.0.0.9",)}, True),
        ({"servers": ("10.0.1.0/24",)}, False),
        ({"target": {"modbus.unit_id": "1"}}, True),
        ({"target": {"modbus.unit_id": "2"}}, False),
        ({"target": {"point.id": "1"}}, False),
        ({"start": BEGIN + timedelta(seconds=1)}, False),
        ({"end": BEGIN}, False),
        ({"kind": "maintenance", "rules": (), "servers": ("10.0.0.9",), "start": BEGIN}, True),
    ],
    ids=str,
)
def test_all_that_an_exception_names_must_hold(excepting: Callable[..., Pipeline], scope: dict[str, Any], *, hides: bool) -> None:
    found = detect(excepting(exemption(**scope)), cuts([request(0, function=6)], []))
    assert by_rule(found) == {"write": ["x" if hides else None]}


def test_what_goes_on_after_the_end_of_an_exception_is_an_alert(excepting: Callable[..., Pipeline]) -> None:
    pipeline = excepting(exemption(end=BEGIN + timedelta(seconds=10)))
    for borders in ([], [2], [1, 3]):
        found = detect(pipeline, cuts([request(moment, function=6) for moment in (0, 5, 10, 15)], borders), through_text=True)
        assert by_rule(found) == {"write": ["x", None]}
        assert [alert.count for alert in found.values()] == [2, 2]


def test_what_is_hidden_hides_nothing_else(excepting: Callable[..., Pipeline]) -> None:
    """A hidden strong alert takes no weaker one in, tells no story and spends nothing of the budget."""
    pipeline = excepting(exemption(rules=("stop",)), budget="2/10min")
    records = [request(0, function=8), request(1, function=6), request(4, server="10.0.1.9", function=6)]
    found = detect(pipeline, cuts(records, [1]))
    assert by_rule(found) == {"stop": ["x"], "write": [None, None]}
    assert all(alert.part_of is None and alert.body["story"] is None for alert in found.values())


@given(seed=st.integers(0, 10_000), borders=st.sets(st.integers(1, 149), max_size=10), end=st.integers(0, 40_000))
@settings(max_examples=8, deadline=None, phases=WITHOUT_SHRINKING)
def test_exceptions_hide_the_same_however_cuts_are_grouped(
    tmp_path_factory: pytest.TempPathFactory, seed: int, borders: set[int], end: int
) -> None:
    known = exemption(rules=("sweep", "write", "stranger"), clients=("10.0.0.1",), end=BEGIN + timedelta(seconds=end))
    pipeline = Pipeline.of(mixed_rules(tmp_path_factory.mktemp("rules")), Site(exceptions=(known,)))
    made = cuts(busy_day(seed), sorted(borders))
    assert as_text(detect(pipeline, [[batch for batches in made for batch in batches]])) == as_text(detect(pipeline, made))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"end": None}, "give an end"),
        ({"rules": ()}, "name rules, clients or servers"),
        ({"rules": (), "clients": ("10.0.0.1",)}, "name the rules"),
        ({"kind": "normal"}, "name clients or servers"),
        ({"kind": "maintenance"}, "needs a start"),
        ({"start": NOW, "end": NOW}, "ends before it starts"),
        ({"end": datetime(2026, 1, 1)}, "offset from UTC"),  # noqa: DTZ001  that is what is refused
        ({"clients": ("plc-1",)}, "neither an address nor a network"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_exception_without_scope_end_or_sense_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        exemption(**fields)


def test_what_is_normal_needs_no_end(excepting: Callable[..., Pipeline]) -> None:
    normal = exemption(kind="normal", end=None, clients=("10.0.0.1",))
    assert by_rule(detect(excepting(normal), cuts([request(0, function=6)], []))) == {"write": ["x"]}


@dataclass(frozen=True)
class Said:
    """An alert as exceptions see it."""

    rule: str = "write"
    client_ip: str | None = "10.0.0.1"
    server_ip: str | None = "10.0.0.9"
    first_seen: int = NOW_NS
    body: Mapping[str, Any] = field(default_factory=lambda: {"target": {"modbus.unit_id": 3}})


def test_a_preview_shows_what_it_would_have_hidden_in_thirty_days() -> None:
    days = [Said(first_seen=NOW_NS - age * 86_400 * SECOND) for age in (40, 30, 3, 1)]
    shown = preview(exemption(start=NOW, end=NOW + timedelta(days=1)), [*days, Said(rule="stop")], NOW_NS)
    assert shown == [days[3], days[2], days[1]]


hosts = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", None])
targets = st.sampled_from([{"target": {"modbus.unit_id": unit}} for unit in (1, 2)])
said = st.builds(Said, rule=st.sampled_from(["write", "stop"]), client_ip=hosts, server_ip=hosts, body=targets)


@given(alert=said, false=st.lists(said, max_size=8), true=st.lists(said, max_size=3))
def test_proposals_cover_the_false_alert_and_none_that_was_true_and_widen_only_for_more(
    alert: Said, false: list[Said], true: list[Said]
) -> None:
    found = propose(alert, false, true, NOW, "lin.wei")
    assert all(each.would_hide(alert) for each in found)
    assert not any(each.would_hide(other) for each in found for other in true)
    covered = [sum(each.would_hide(other) for other in false) for each in found]
    assert covered == sorted(set(covered))
    conditions = [len(each.clients) + len(each.servers) + len(each.target) for each in found]
    assert conditions == sorted(conditions, reverse=True)
    if alert.client_ip and alert.server_ip and not any(_like(alert, other) for other in true):
        assert conditions[0] == 3, "the narrowest names client, server and target"


def _like(one: Said, other: Said) -> bool:
    """Whether two have rule, client, server and target in common."""
    return replace(one, first_seen=0) == replace(other, first_seen=0)


def test_an_alert_that_cannot_be_told_from_a_true_one_gets_no_exception() -> None:
    assert propose(Said(), [], [Said()], NOW, "lin.wei") == []


def test_a_true_alert_at_another_client_keeps_the_client_in_the_exception() -> None:
    false = [Said(server_ip=f"10.0.1.{place}") for place in range(5)]
    (narrow, wide) = propose(Said(), false, [Said(client_ip="10.0.0.66")], NOW, "lin.wei")
    assert (narrow.clients, narrow.servers) == (("10.0.0.1",), ("10.0.0.9",))
    assert (wide.clients, wide.servers) == (("10.0.0.1",), ())


def run(*arguments: object) -> Any:
    return CliRunner().invoke(tune, [str(argument) for argument in arguments])


@pytest.fixture
def printed(tmp_path: Path, excepting: Callable[..., Pipeline]) -> Path:
    """What `detect --output json` prints of three writes."""
    records = [request(place, server=f"10.0.{place}.9", function=6) for place in range(3)]
    found = detect(excepting(), cuts(records, [])).values()
    file = tmp_path / "alerts.jsonl"
    file.write_text("".join(f"{json.dumps(flat(alert, 'en'))}\n" for alert in found))
    return file


SCOPE = (
    *("--name", "x", "--rule", "write", "--client", "10.0.0.1", "--end", "2026-01-01T00:00:00Z"),
    *("--reason", "known", "--by", "lin"),
)
"""Options of an exception; without the first two it has no name."""


def test_tune_shows_first_and_writes_only_when_told_to(tmp_path: Path, printed: Path) -> None:
    site = tmp_path / "site.yml"
    site.write_text("# ours\nsite: here\n")
    shown = run("except", printed, "--site", site, *SCOPE)
    assert "would have hidden 3 alerts: 3 low." in shown.stdout
    assert load_site(site).exceptions == ()
    assert run("except", printed, "--site", site, *SCOPE, "--yes").exit_code == 0
    assert run("except", printed, "--site", site, *SCOPE, "--yes").exit_code != 0, "the same name again"
    assert run("except", printed, "--site", site, *SCOPE[2:], "--name", "y", "--server", "10.0.0.9", "--yes").exit_code == 0
    assert site.read_text().startswith("# ours\n")
    (second, first) = load_site(site).exceptions
    assert (first.name, first.clients, second.name, second.servers) == ("x", ("10.0.0.1",), "y", ("10.0.0.9",))


def test_tune_proposes_for_a_false_alert(printed: Path) -> None:
    first, second, third = (json.loads(line)["id"] for line in printed.read_text().splitlines())
    assert "servers" in run("propose", printed, "--false", first, "--true", second).stdout
    assert run("propose", printed, "--false", first, "--false", second, "--false", third).stdout.count("would have hidden 3") == 1
    assert run("propose", printed, "--false", "0").exit_code == 2
