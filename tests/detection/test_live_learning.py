"""Live learning: it ends when it is mature, a person decides, and a replay comes to the same alerts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from click.testing import CliRunner

from api.cli import icsight
from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.baseline.decisions import Decision
from detection.baseline.detector import BaselineState, step
from detection.checkpoint import CHECKPOINT_FILE
from detection.control import Control
from detection.inbox import Inbox
from detection.pipeline import Pipeline
from detection.sigma.rule import rules_folder
from detection.site import Learning, Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_worker import outgoing
from tests.detection.traffic import START, cuts, request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR: Final = 3_600
LIMITS: Final = Learning(least_hours=3, most_hours=8)
RUN: Final = ("test", "0123456789abcdef0123456789abcdef")


def polls(first: float, last: float, client: str = "10.0.0.1", every: float = 120) -> list[dict[str, Any]]:
    """A client polls one block between two times, in hours, and writes one point each hour."""
    count = round((last - first) * HOUR / every)
    made = [request(first * HOUR + number * every, client=client, address=10, quantity=4) for number in range(count)]
    writes = [
        request(first * HOUR + hour * HOUR + 30, client=client, function=6, address=10, values=[1])
        for hour in range(int(last - first))
    ]
    return sorted([*made, *writes], key=lambda record: record["ts"])


def live(
    records: Sequence[dict[str, Any]], decisions: Sequence[tuple[float, Decision]] = (), limits: Learning = LIMITS
) -> tuple[BaselineState, list[dict[str, Any]]]:
    """A state that learned live, and its deviations; each decision is taken up before the first cut at or after its hour."""
    state = BaselineState.live()
    found: list[dict[str, Any]] = []
    ordered = sorted(records, key=lambda record: record["ts"])
    moments = [(START + round(hour * HOUR) * 1_000_000_000, decision) for hour, decision in decisions]
    borders = [sum(record["ts"] < moment for record in ordered) for moment, _ in moments]
    for cut in cuts(ordered, [*borders, *range(90, len(ordered), 90)]):
        first = min(int(ts) for ts in cut[0].rows.get_column("ts").dt.epoch("ns"))
        held = [decision for moment, decision in moments if first >= moment]
        state, rows = step(state, cut, held, limits)
        found += rows.to_dicts()
    return state, found


def told(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(str(row["deviation.kind"]), str(row["client.ip"]), str(row["deviation.phase"])) for row in rows]


def test_learning_ends_at_a_full_hour_when_nothing_new_comes_and_is_a_proposal() -> None:
    state, rows = live(polls(0, 6))
    assert state.learns == ""
    assert (state.normal.phase, state.heard_hours) == ("proposed", 3)
    assert state.normal.until % (HOUR * 1_000_000_000) == 0
    assert rows == []


def test_learning_goes_on_while_much_is_new_but_not_for_ever() -> None:
    strangers = [
        request(hour * HOUR + 100 * n, client=f"10.1.{hour}.{n}", address=10) for hour in range(1, 20) for n in range(10)
    ]
    state, _ = live([*polls(0, 6), *strangers[:50]])
    assert state.learns == "live"
    state, _ = live([*polls(0, 20), *strangers])
    assert (state.learns, state.heard_hours) == ("", 8)


def test_while_learning_grave_things_are_told_as_provisional_and_small_ones_are_learned_in_silence() -> None:
    stranger = [request(1.5 * HOUR, client="10.0.0.66", function=6, address=10, values=[1])]
    other_block = [request(1.6 * HOUR, address=90)]
    _, rows = live([*polls(0, 2), *stranger, *other_block])
    assert told(rows) == [("writer", "10.0.0.66", "provisional")]


LATER: Final = "10.0.1.2"
"""A server that is not there from the beginning."""

KNOWN: Final = Decision("accept", "Li Na", client="10.0.0.66", kind="conversation")


@pytest.mark.parametrize(
    ("meets", "writes", "server", "accepted", "acquainted"),
    [
        (1.9, 2.2, "10.0.0.9", [], False),
        (1.2, 25, "10.0.0.9", [], False),
        (1.2, 25.3, "10.0.0.9", [], True),
        # Nothing was learned of such a server either that its clients could differ from.
        (1.9, 2.2, LATER, [], True),
        # A person knows him.
        (1.2, 4, "10.0.0.9", [(3, KNOWN)], True),
    ],
)
def test_where_learning_is_live_a_stranger_stays_one_for_a_day(
    meets: float, writes: float, server: str, accepted: list[tuple[float, Decision]], acquainted: bool
) -> None:
    stranger, early = "10.0.0.66", "10.0.0.67"
    reads = [record for record in polls(0, 30, client=early, every=600) if record["modbus.function_code"] != 6]
    seen = [
        request(1.1 * HOUR, client=early, server=LATER, address=10),
        request(meets * HOUR, client=stranger, server=server, address=10),
        request(writes * HOUR, client=stranger, server=server, function=6, address=10, values=[1]),
        request(writes * HOUR, client=early, function=6, address=10, values=[1]),
    ]
    _, rows = live([*polls(0, 30), *reads, *seen], accepted, Learning(least_hours=720, most_hours=720))
    assert [(row["deviation.kind"], row["client.ip"], row["deviation.acquainted"]) for row in rows] == [
        ("conversation", early, False),
        ("conversation", stranger, False),
        ("writer", stranger, acquainted),
        ("writer", early, True),
    ]


@pytest.mark.parametrize("start", [0.55, 0.75, 0.8])
def test_what_comes_in_the_hour_after_the_first_is_told_however_late_in_that_learning_began(start: float) -> None:
    stranger = [request(1.2 * HOUR, client="10.0.0.66", function=6, address=10, values=[1])]
    _, rows = live([*polls(start, 3), *stranger])
    assert told(rows) == [("writer", "10.0.0.66", "provisional")]


def test_a_stranger_stays_one_when_learning_ends_until_a_person_approves() -> None:
    seen = [
        request(2.5 * HOUR, client="10.0.0.66", address=10),
        request(4.5 * HOUR, client="10.0.0.66", function=6, address=10, values=[1]),
    ]
    most = Learning(least_hours=3, most_hours=3)
    for decisions, phase, acquainted in (([], "proposed", False), ([(4, Decision("approve", "Li Na"))], "enforced", True)):
        _, rows = live([*polls(0, 6), *seen], decisions, most)
        writer = rows[-1]
        assert (writer["deviation.kind"], writer["deviation.phase"], writer["deviation.acquainted"]) == (
            "writer", phase, acquainted,
        )  # fmt: skip


def test_a_burst_of_writes_in_learning_is_told_when_it_ends_and_is_not_normal() -> None:
    burst = [request(1.5 * HOUR + second, client="10.0.0.66", function=6, address=10, values=[1]) for second in range(2)]
    more = polls(0, 6, every=240)
    reads = polls(0, 6, client="10.0.0.2")
    writers = [request(n * 60 + 7, client="10.0.0.3", function=6, address=10, values=[1]) for n in range(300)]
    state, rows = live([*more, *reads, *writers, *burst], limits=Learning(least_hours=3, most_hours=3))
    rare = [row for row in rows if row["deviation.kind"] == "rare_in_learning"]
    (row,) = rare
    assert (row["client.ip"], row["deviation.count"], row["deviation.access"]) == ("10.0.0.66", 2, "write")
    assert row["deviation.confidence"] == 0.6
    assert row["ts"].timestamp() == (START // 1_000_000_000) + 1.5 * HOUR
    assert told(rows)[0] == ("writer", "10.0.0.66", "provisional")
    assert state.whole.facts.filter(pl.col("apart")).get_column("client").unique().to_list() == ["10.0.0.66"]


APPROVED: Final = Decision("approve", "Li Na")


def test_a_person_enforces_what_is_proposed_and_only_what_was_looked_at() -> None:
    stranger = [request(5.5 * HOUR, client="10.0.0.66", address=10)]
    records = [*polls(0, 6), *stranger]
    assert told(live(records)[1])[-1] == ("conversation", "10.0.0.66", "proposed")
    state, rows = live(records, [(5, APPROVED)])
    assert told(rows)[-1] == ("conversation", "10.0.0.66", "enforced")
    assert state.normal.approved_by == "Li Na"
    for useless in (Decision("approve", "Li Na", until=7), Decision("approve", "Li Na", run=("other", "run"))):
        assert told(live(records, [(5, useless)])[1])[-1][2] == "proposed"
    # Taken before learning had ended: there was nothing to approve.
    assert told(live(records, [(1, APPROVED)])[1])[-1][2] == "proposed"


def test_one_server_can_be_enforced_before_the_others() -> None:
    strangers = [request(5.5 * HOUR, client="10.0.0.66", server=server, address=10) for server in ("10.0.0.9", "10.0.0.8")]
    _, rows = live([*polls(0, 6), *strangers], [(5, Decision("approve", "Li Na", server="10.0.0.9"))])
    assert [row["deviation.phase"] for row in rows] == ["enforced", "proposed"]


def test_a_proposal_can_be_asked_for() -> None:
    state, _ = live(polls(0, 3), [(1.2, Decision("propose", "Li Na", run=RUN))])
    assert (state.normal.phase, state.heard_hours) == ("proposed", 2)


def test_after_a_planned_change_a_part_is_learned_anew() -> None:
    change = [request(5.2 * HOUR, client="10.0.0.66", function=6, address=10, values=[1])]
    after = [request(7.0 * HOUR, client="10.0.0.66", function=6, address=10, values=[1])]
    after += [request(7.1 * HOUR, client="10.0.0.66", address=70)]
    elsewhere = [request(7.2 * HOUR, client="10.0.0.66", server="10.0.0.8", address=70)]
    since = START + 5 * HOUR * 1_000_000_000
    records = [*polls(0, 8), *change, *after, *elsewhere]
    plain = [row["deviation.kind"] for row in live(records)[1]]
    assert plain == ["writer", "operation", "conversation"]
    decisions = [(4.5, APPROVED), (6, Decision("relearn", "Li Na", server="10.0.0.9", since=since, hours=4))]
    state, rows = live(records, decisions)
    assert [(row["deviation.kind"], str(row["server.ip"])) for row in rows] == [
        ("writer", "10.0.0.9"),
        ("conversation", "10.0.0.8"),
    ]
    assert state.normal.assets == {"10.0.0.9": "proposed"}
    assert len(state.scopes) == 1


def test_what_is_gone_after_a_planned_change_is_not_normal_any_more() -> None:
    old = polls(0, 5, client="10.0.0.2")
    again = [request(7.5 * HOUR, client="10.0.0.2", address=10)]
    since = START + 6 * HOUR * 1_000_000_000
    records = [*polls(0, 8), *old, *again]
    assert live(records)[1] == []
    relearned = Decision("relearn", "Li Na", client="10.0.0.2", since=since, hours=1)
    _, rows = live(records, [(5.5, APPROVED), (6.2, relearned)])
    assert told(rows)[0][:2] == ("conversation", "10.0.0.2")


def test_two_addresses_of_a_redundant_pair_are_one_party() -> None:
    other = [request(5.5 * HOUR, client="10.0.0.2", function=6, address=10, values=[1])]
    records = [*polls(0, 6), *other]
    assert told(live(records)[1])[-1][:2] == ("writer", "10.0.0.2")
    merged = Decision("merge", "Li Na", parties=("10.0.0.1", "10.0.0.2"))
    assert live(records, [(5, merged)])[1] == []
    # What only one of the two does is still told, under the address that did it.
    _, rows = live([*records, request(5.6 * HOUR, client="10.0.0.2", function=6, address=77, values=[1])], [(5, merged)])
    assert told(rows) == [("written_point", "10.0.0.2", "proposed")]


def test_what_a_person_accepts_is_normal_and_nothing_else() -> None:
    stranger = [
        request(hour * HOUR, client="10.0.0.66", function=function, address=10, values=[1])
        for hour, function in ((5.1, 3), (29.2, 3), (29.3, 6))
    ]
    accepted = Decision("accept", "Li Na", client="10.0.0.66")
    _, rows = live([*polls(0, 30), *stranger], [(6, accepted)])
    assert [row["deviation.kind"] for row in rows] == ["conversation", "writer"]


def rare(rows: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """What is told as rare while learning: by whom, with how many records, at how many things."""
    named = [row for row in rows if row["deviation.kind"] == "rare_in_learning"]
    return [(str(row["client.ip"]), row["deviation.count"], row["deviation.things"]) for row in named]


def sweep(hour: float, client: str = "10.0.0.66", every: float = 2, size: int = 30) -> list[dict[str, Any]]:
    """A client looks once at many addresses of the server within a minute."""
    return [request(hour * HOUR + number * every, client=client, address=1_000 + 8 * number) for number in range(size)]


def steady(last: float) -> list[dict[str, Any]]:
    """Three clients that read the same blocks again and again, besides the one that polls and writes."""
    others = [
        request(number * 180 + 7 * peer, client=f"10.0.0.{peer}", address=10 * block, quantity=4)
        for peer in (2, 3, 4)
        for number in range(int(last * HOUR / 180))
        for block in (1, 2)
    ]
    return [*polls(0, last), *others]


def test_a_sweep_in_learning_is_told_once_when_it_ends_and_is_not_normal() -> None:
    state, rows = live([*steady(5), *sweep(1.5)], limits=Learning(least_hours=3, most_hours=3))
    assert rare(rows) == [("10.0.0.66", 30, 30)]
    apart = state.whole.facts.filter("apart")
    assert (apart.get_column("client").unique().to_list(), apart.get_column("kind").unique().to_list()) == (
        ["10.0.0.66"],
        ["block"],
    )
    # Slower than a sweep, it is what an operator pages through.
    _, rows = live([*steady(5), *sweep(1.1, every=60)], limits=Learning(least_hours=3, most_hours=3))
    assert rare(rows) == []


def test_what_was_rare_in_learning_stays_so_when_it_comes_again() -> None:
    again = [*sweep(10.5), *sweep(34.5)]
    state, rows = live([*steady(36), *sweep(1.5), *again], limits=Learning(least_hours=3, most_hours=3))
    assert state.whole.facts.filter("apart", pl.col("client") == "10.0.0.66").height == 30
    blocks = [row for row in rows if row["deviation.kind"] == "block"]
    assert len(blocks) >= 2 * 29, "each day it is told again"


RELEARNED: Final = Decision("relearn", "Li Na", server="10.0.0.9", since=START + 5 * HOUR * 1_000_000_000, hours=4)


def test_what_was_rare_while_a_part_was_learned_anew_is_told_when_that_ends_and_is_not_normal() -> None:
    changed = polls(6, 14, client="10.0.0.7", every=180)
    programs = [request(7.2 * HOUR, client="10.0.0.66", function=8, sub_function=1)]
    records = [*steady(14), *changed, *sweep(7.5), *programs]
    state, rows = live(records, [(4.5, APPROVED), (6, RELEARNED)])
    told_rare = rare(rows)
    assert ("10.0.0.66", 30, 30) in told_rare
    assert {client for client, *_ in told_rare} == {"10.0.0.66"}
    assert state.scopes == ()
    normal = state.whole.normal.filter(pl.col("kind").is_in(["block", "program"]))
    assert "10.0.0.7" in normal.get_column("client").unique().to_list()
    assert "10.0.0.66" not in normal.get_column("client").unique().to_list()


def test_what_was_told_before_the_change_is_judged_with_what_is_learned_anew() -> None:
    """An intruder who was told the day before is not made normal by what he does while a part is learned anew."""
    records = [*steady(14), *sweep(4.6), *sweep(7.5)]
    state, rows = live(records, [(4.5, APPROVED), (6, RELEARNED)])
    assert ("10.0.0.66", 30, 30) in rare(rows)
    assert state.whole.facts.filter("apart", pl.col("kind") == "block").height == 30


def test_what_a_person_accepts_while_it_is_learned_is_not_told_as_rare() -> None:
    records = [*steady(14), *sweep(7.5), *sweep(1.5, client="10.0.0.77")]
    early = Decision("accept", "Li Na", client="10.0.0.77", kind="block")
    late = Decision("accept", "Li Na", client="10.0.0.66", server="10.0.0.9")
    _, rows = live(records, [(2, early), (4.5, APPROVED), (6, RELEARNED), (8, late)])
    assert rare(rows) == []


def test_what_comes_with_an_accepted_kind_is_accepted_and_nothing_weightier() -> None:
    stranger = [
        request(hour * HOUR, client="10.0.0.66", function=function, address=10, values=[1])
        for hour, function in ((5.1, 3), (5.2, 6), (34.2, 3), (34.3, 6))
    ]
    talks = Decision("accept", "Li Na", client="10.0.0.66", server="10.0.0.9", kind="conversation")
    _, rows = live([*polls(0, 36), *stranger], [(6, talks)])
    assert [row["deviation.kind"] for row in rows] == ["conversation", "writer", "writer"]
    writes = Decision("accept", "Li Na", client="10.0.0.66", server="10.0.0.9", kind="writer")
    _, rows = live([*polls(0, 36), *stranger], [(6, writes)])
    assert [row["deviation.kind"] for row in rows] == ["conversation", "writer"]


def spooled(folder: Path, records: Sequence[dict[str, Any]], borders: Sequence[int]) -> None:
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish([outgoing(batch) for step_ in cuts(records, borders) for batch in step_])


def detected(data: Path, name: str = "alerts", checkpoint: Path = CHECKPOINT_FILE) -> list[tuple[str, int, str]]:
    """Run detection over what is there; all alerts that it ever published there."""
    (data / checkpoint).parent.mkdir(exist_ok=True)
    site = Site(learning=LIMITS)
    with Spool(data / name, sensor="detection") as held, Spool(data / "control", sensor="control") as decisions:
        alerts = LocalStream(data / name, held)
        control = Control(LocalStream(data / "control", decisions), Inbox(data))
        Worker(
            LocalStream(data / "spool"),
            alerts,
            Pipeline(site, [rules_folder() / name for name in ("baseline", "anomaly")]),
            data / checkpoint,
            control,
        ).drain()
        with alerts.subscribe("test") as consumer:
            found = [alert for delivery in consumer.poll(0) for alert in decode_alerts(delivery.data)]
    return sorted((alert.id, alert.revision, json.dumps(alert.body, sort_keys=True, default=str)) for alert in found)


def said(*arguments: object, status: int = 0) -> str:
    outcome = CliRunner().invoke(icsight, [str(argument) for argument in arguments])
    assert outcome.exit_code == status, outcome.output
    return outcome.stdout


def test_a_decision_holds_from_its_own_place_on_also_in_a_replay(tmp_path: Path) -> None:
    first = polls(0, 5, every=300)
    strangers = [request(5.1 * HOUR + n, client="10.0.0.66", function=6, address=10, values=[1]) for n in range(3)]
    records = [*first, *strangers]
    assert "not the data folder" in CliRunner().invoke(icsight, ["baseline", "show", str(tmp_path)]).stderr
    spooled(tmp_path, records[: len(first)], list(range(5, len(first), 5)))
    assert detected(tmp_path) == []
    shown = said("baseline", "show", tmp_path)
    assert ": proposed" in shown
    assert len(shown.splitlines()) < 60
    said("baseline", "approve", tmp_path, "--by", "Li Na")
    # Nothing has come since: it is taken up, and holds for what comes.
    assert detected(tmp_path) == []
    assert Inbox(tmp_path).waiting() == []
    spooled(tmp_path, records, [*range(5, len(first), 5), len(first)])
    alerts = detected(tmp_path)
    assert any("new_writer" in body or "10.0.0.66" in body for _, _, body in alerts)
    meant = {"kind": "writer", "client": "10.0.0.66", "server": "10.0.0.9", "point": "", "rare": False}
    assert any(meant.items() <= (json.loads(body)["accept"] or {}).items() for _, _, body in alerts)
    assert "enforced, approved by Li Na" in said("baseline", "show", tmp_path)
    assert detected(tmp_path, "again", CHECKPOINT_FILE.with_name("again.json")) == alerts


def meant(told: dict[str, Any]) -> Decision:
    """The decision that accepts what an alert tells."""
    return replace(Decision("accept", "Li Na"), **{name: value for name, value in told.items() if name != "operation"})


def test_what_was_rare_while_learning_is_accepted_as_what_it_was_and_nothing_else_is(tmp_path: Path) -> None:
    """The alert sums facts: those that were set apart become normal, and nothing else between the same hosts."""
    pages = [request(hour * HOUR, client="10.0.0.66", address=1_000 + 8 * number) for hour, number in ((30.1, 3), (30.2, 99))]
    more = [request(30.3 * HOUR, client="10.0.0.66", function=function, address=1_000, values=[1]) for function in (1, 6)]
    early = sorted([*steady(6), *sweep(1.5)], key=lambda record: record["ts"])
    spooled(tmp_path, early, [*range(90, len(early), 90)])
    detected(tmp_path)
    with LocalStream(tmp_path / "alerts").subscribe("test") as consumer:
        told_alerts = [alert for delivery in consumer.poll(0) for alert in decode_alerts(delivery.data)]
    found = {alert.id: alert for alert in told_alerts if alert.rule == "rare_act_while_learning"}
    (alert,) = found.values()
    assert alert.body["accept"] == {
        "kind": "block", "client": "10.0.0.66", "server": "10.0.0.9", "point": "read_holding_registers",
        "operation": "read_holding_registers", "unit": "", "rare": True,
    }  # fmt: skip
    short, records = Learning(least_hours=3, most_hours=3), [*steady(31), *sweep(1.5), *pages, *more]
    plain = [row["deviation.point"] for row in live(records, limits=short)[1] if row["deviation.kind"] == "block"]
    assert {"1024", "1792"} <= set(plain)
    state, rows = live(records, [(6, meant(alert.body["accept"]))], short)
    later = [(row["deviation.kind"], row["deviation.point"]) for row in rows if row["deviation.kind"] != "rare_in_learning"]
    assert ("block", "1024") not in later, "it was part of the sweep"
    assert ("block", "1792") in later, "it was not"
    assert {kind for kind, _ in later} >= {"operation", "writer"}
    assert state.accepted == ()
    assert not state.whole.facts.filter("apart").height


def test_a_rare_operation_on_a_program_is_accepted_for_its_unit_alone() -> None:
    programs = [request(1.5 * HOUR + unit, client="10.0.0.66", function=8, sub_function=1, unit_id=unit) for unit in (1, 2)]
    accepted = Decision("accept", "Li Na", server="10.0.0.9", client="10.0.0.66", kind="program", unit="2", rare=True)
    state, _ = live([*steady(5), *programs], [(4, accepted)], Learning(least_hours=3, most_hours=3))
    assert state.whole.facts.filter("apart").select("kind", "unit").rows() == [("program", "1")]


def test_a_decision_that_was_taken_before_units_were_named_is_read() -> None:
    taken = json.loads(Decision("accept", "Li Na", client="10.0.0.66").to_json())
    before = {name: value for name, value in taken.items() if name not in {"unit", "rare"}}
    assert Decision.from_json(json.dumps(before)) == Decision.from_json(json.dumps(taken))


def test_a_file_that_is_no_decision_is_removed_and_changes_nothing(tmp_path: Path) -> None:
    spooled(tmp_path, polls(0, 1, every=300), [5])
    inbox = Inbox(tmp_path)
    inbox.put(Decision("approve", "Li Na"))
    for name, content in (("0.json", "{"), ("1.json", '{"choice": "approve"}'), ("2.json", "x" * 100_000)):
        (tmp_path / "decisions" / name).write_text(content)
    detected(tmp_path)
    assert inbox.waiting() == []
    with Spool(tmp_path / "control", sensor="control") as held:
        assert [each.decision.choice for each in Control(LocalStream(tmp_path / "control", held)).decisions()] == ["approve"]


@pytest.mark.parametrize(
    "broken", [{"choice": "drop"}, {"hours": -1}, {"by": ""}, {"server": "x" * 1_100}, {"since": "now"}, {"parties": [1]}]
)
def test_a_decision_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    whole = json.loads(Decision("merge", "Li Na", parties=("10.0.0.1", "10.0.0.2")).to_json())
    assert Decision.from_json(json.dumps(whole)).parties == ("10.0.0.1", "10.0.0.2")
    with pytest.raises(ValueError, match="not a decision"):
        Decision.from_json(json.dumps({**whole, **broken}))


def test_each_rare_operation_on_a_program_at_one_unit_is_an_alert_and_accepted_by_itself(tmp_path: Path) -> None:
    programs = [request(1.5 * HOUR + sub, client="10.0.0.66", function=8, sub_function=sub) for sub in (1, 4)]
    records = sorted([*steady(6), *programs], key=lambda record: record["ts"])
    spooled(tmp_path, records, [*range(90, len(records), 90)])
    detected(tmp_path)
    with LocalStream(tmp_path / "alerts").subscribe("test") as consumer:
        told_alerts = [alert for delivery in consumer.poll(0) for alert in decode_alerts(delivery.data)]
    last = {alert.id: alert for alert in told_alerts if alert.rule == "rare_program_operation_while_learning"}
    accepts = [alert.body["accept"] for alert in last.values()]
    assert [(each["kind"], each["unit"], each["rare"]) for each in accepts] == [("program", "1", True)] * 2
    short = Learning(least_hours=3, most_hours=3)
    plain, _ = live(records, limits=short)
    rare_ = plain.whole.facts.filter("apart").get_column("operation").to_list()
    assert sorted(each["point"] for each in accepts) == sorted(rare_)
    for accepted in accepts:
        state, _ = live(records, [(5, meant(accepted))], short)
        assert state.whole.facts.filter("apart").get_column("operation").to_list() == [
            name for name in rare_ if name != accepted["point"]
        ]
