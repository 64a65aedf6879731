"""A site that is split over workers by its sensors gives the alerts of one worker, whoever works on it, in whatever turns."""

# What is on its way and what is kept shows nowhere else.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import itertools
import json
import random
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store import RecordBatch
from collector.stream import Position
from detection.alerts import decode_alerts
from detection.changelog import ChangelogCheckpoints
from detection.control import RULES, Control, Effective, EffectiveRules
from detection.control import SITE as FACTS
from detection.followed import Followed
from detection.kept import KeptStream, pack, unpack
from detection.parcels import PIECE_BYTES, SHARE, TELLER, LostError, Ordered, Parcel, controls, packed, pieces
from detection.pipeline import State
from detection.ruleset import RuleFiles, Ruleset
from detection.share_loop import ShareLoop
from detection.site import Site
from detection.site_loop import SiteLoop
from detection.teller_loop import SHARES, TellerLoop
from sensor.control_records import rows_of
from tests.detection.test_grouping import WITHOUT_SHRINKING, mixed_rules, rule, write_rules
from tests.detection.test_merging import of_sensor, shuffled
from tests.detection.test_partition_clock import Memory
from tests.detection.test_sitewide import BUDGET, last
from tests.detection.test_worker import outgoing
from tests.detection.traffic import busy_day, cut, cuts, request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.stream import Outgoing
    from detection.alerts import Alert
    from detection.published import Published

NAME: Final = "works"
SITE: Final = Site(site=NAME, budget=BUDGET)
SENSORS: Final = 3
PARTITION: Final = 1
"""Of the topic of records, which the site is in."""


class Versions:
    """What was published."""

    def __init__(self, site: Site, rules: str) -> None:
        self.content = {FACTS: (1, site.model_dump_json(by_alias=True, exclude_none=True)), RULES: (1, rules)}

    def newest(self, site: str, kind: str) -> tuple[int, str] | None:
        return self.content[kind] if site == NAME else None

    def decisions(self, site: str) -> list[object]:
        del site
        return []

    def publish(self, kind: str, content: str) -> None:
        self.content[kind] = self.content[kind][0] + 1, content


class Workers:
    """Workers of one site, of which each thing that they have is killed at times: it goes on from what was committed."""

    def __init__(self, versions: Versions, shares: int, order: random.Random) -> None:
        self.told: list[Alert] = []
        self._versions, self._shares, self._order = versions, shares, order
        self._stores: dict[tuple[int, bytes], Memory] = {}
        self._topic: list[list[Parcel]] = [[] for _ in range(shares)]
        self._committed = [0] * shares
        self._records: list[Outgoing] = []
        self._looked_at = 0
        self._site: SiteLoop | None = None
        self._loops: list[dict[bytes, ShareLoop | TellerLoop]] = [{} for _ in range(shares)]
        self.killed = 0

    def put(self, batch: Outgoing) -> None:
        """A message comes to the topic of records."""
        self._records.append(batch)

    def put_before(self, batches: Sequence[Outgoing]) -> None:
        """Messages that were taken before anything is remembered."""
        self._records += batches
        self._looked_at += len(batches)

    def forget(self) -> None:
        """All that is remembered is thrown away while nobody works; what is in the topics stays."""
        self._stores.clear()
        self._site, self._loops = None, [{} for _ in range(self._shares)]

    def _kept(self, place: tuple[int, bytes]) -> ChangelogCheckpoints:
        return ChangelogCheckpoints(self._stores.setdefault(place, Memory()), str(place))

    def _begun(self) -> SiteLoop:
        published = cast("Published", self._versions)
        return SiteLoop(NAME, NAME, PARTITION, self._kept((-1, b"")), published, 60_000_000_000)

    def _is_killed(self) -> bool:
        self.killed += (dies := self._order.random() < 0.2)
        return dies

    def records(self, *, all_of_them: bool = False) -> None:
        """Who has the site's records takes some of them and commits, or is killed before."""
        site = self._site = self._site or self._begun()
        most = len(self._records) - self._looked_at
        number = most if all_of_them else self._order.randint(0, most)
        for offset in range(self._looked_at, self._looked_at + number):
            batch = self._records[offset]
            site.take(batch.header, bytes(batch.data), offset, 1_000 + offset)
        if site.is_to_be_split:
            site.split(self._shares)
        site.detect()
        if all_of_them:
            site.let_through()
        elif self._is_killed():
            self._site = None
            return
        self._looked_at += number
        self._tell(site.take_told())
        self._send(site.take_sent())
        site.write(self._kept((-1, b"")))

    def shares(self, partition: int, *, all_of_them: bool = False) -> None:
        """Who has a partition of shares takes some messages and commits, or is killed before."""
        most = len(self._topic[partition]) - self._committed[partition]
        number = most if all_of_them else self._order.randint(0, most)
        loops = self._loops[partition]
        for parcel in self._topic[partition][self._committed[partition] :][:number]:
            if parcel.key not in loops:
                kept = self._kept((partition, parcel.key))
                is_share = parcel.key.startswith(SHARE)
                loops[parcel.key] = ShareLoop(partition, kept) if is_share else TellerLoop(NAME, kept)
            # As a message, and back.
            (told,) = parcel.headers
            loops[parcel.key].take(Parcel.of(partition, parcel.key, parcel.value, [told]))
            if self._order.random() < 0.1:
                loops[parcel.key].detect()
        for loop in loops.values():
            loop.detect()
        if not all_of_them and self._is_killed():
            loops.clear()
            return
        self._committed[partition] += number
        for key, loop in loops.items():
            self._send(loop.take_sent())
            if isinstance(loop, TellerLoop):
                self._tell(loop.take_told())
            loop.write(self._kept((partition, key)))

    def end(self) -> None:
        """All that is there is worked off."""
        self.records(all_of_them=True)
        while any(len(sent) > done for sent, done in zip(self._topic, self._committed, strict=True)):
            for partition in range(self._shares):
                self.shares(partition, all_of_them=True)

    def _send(self, parcels: Sequence[Parcel]) -> None:
        for each in parcels:
            self._topic[each.partition].append(each)

    def _tell(self, batches: Sequence[Outgoing]) -> None:
        self.told += [alert for each in batches if each.header.table == "alert" for alert in decode_alerts(bytes(each.data))]

    @property
    def lengths(self) -> list[int]:
        """Messages of each partition of shares."""
        return [len(each) for each in self._topic]


def halved(step: Sequence[RecordBatch]) -> list[RecordBatch]:
    """A cut of one batch as one of two."""
    (batch,) = step
    half, first = batch.rows.height // 2, batch.header.sequence * 2
    parts = (batch.rows.head(half), False), (batch.rows.slice(half), True)
    return [
        RecordBatch(replace(batch.header, sequence=first + number, rows=rows.height, cut_last=ends), rows)
        for number, (rows, ends) in enumerate(parts)
    ]


def days(seed: int) -> list[Outgoing]:
    """The batches of some sensors over the same hours in an interleaving; the first cut of each comes first."""
    whole = [of_sensor(f"sensor-{number}", cuts(busy_day(number, 60), list(range(6, 60, 6)))) for number in range(SENSORS)]
    runs = [[halved(step) for step in run] for run in whole]
    firsts, rest = [run[0] for run in runs], [run[1:] for run in runs]
    order = [*firsts, *shuffled(rest, random.Random(seed))]
    return [outgoing(replace(batch, header=replace(batch.header, site=NAME))) for batch in itertools.chain(*order)]


def look(
    rules: str, sent: Sequence[Outgoing], shares: int, order: random.Random, *,
    split_at: int = 0, later: str | None = None, facts: Site = SITE,
) -> Workers:  # fmt: skip
    """Workers that have looked at all: the site is split from a place on, unless there are no shares; rules change half-way."""
    split = facts.model_copy(update={"split": True})
    versions = Versions(split if shares and not split_at else facts, rules)
    workers = Workers(versions, shares, order)
    for number, batch in enumerate(sent):
        if shares and number == split_at and split_at:
            workers.records(all_of_them=False)
            versions.publish(FACTS, split.model_dump_json(by_alias=True, exclude_none=True))
        if later is not None and number == len(sent) // 2:
            # Whoever looks is at this place: there they take effect.
            while workers._looked_at < number:
                workers.records()
            versions.publish(RULES, later)
        workers.put(batch)
        if order.random() < 0.3:
            workers.records()
        if shares and order.random() < 0.5:
            workers.shares(order.randrange(shares))
    workers.end()
    return workers


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Rules of all kinds."""
    folder: Path = tmp_path_factory.mktemp("rules")
    mixed_rules(folder)
    return RuleFiles([folder]).read().to_text()


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> str:
    """These and one more."""
    folder: Path = tmp_path_factory.mktemp("others")
    mixed_rules(folder)
    write_rules(folder, rule("late", "high", {"selection": {"modbus.function_code": 6}}))
    return RuleFiles([folder]).read().to_text()


@settings(deadline=None, max_examples=4, phases=WITHOUT_SHRINKING)
@given(seed=st.integers(0, 99), shares=st.integers(1, 5), turns=st.integers(0, 2**32))
def test_any_split_of_sensors_in_any_turns_gives_the_alerts_of_one_worker(rules: str, seed: int, shares: int, turns: int) -> None:
    sent, order = days(seed), random.Random(turns)
    one = look(rules, sent, 0, random.Random(0))
    # What is sent goes in pieces, also between a commit and the next.
    with patch("detection.parcels.PIECE_BYTES", order.choice([300, 4_000_000])):
        workers = look(rules, sent, shares, order)
    assert last(workers.told) == last(one.told)
    assert one.told


@settings(deadline=None, max_examples=3, phases=WITHOUT_SHRINKING)
@given(seed=st.integers(0, 99), at=st.integers(1, 53), turns=st.integers(0, 2**32))
def test_a_site_that_is_split_while_it_is_looked_at_and_has_other_rules_later_gives_the_alerts_of_one_worker(
    rules: str, others: str, seed: int, at: int, turns: int
) -> None:
    sent = days(seed)
    one = look(rules, sent, 0, random.Random(0), later=others)
    workers = look(rules, sent, 3, random.Random(turns), split_at=at, later=others)
    assert last(workers.told) == last(one.told)
    assert {alert.rule for alert in workers.told} >= {"late"}


@pytest.mark.parametrize("each_by_itself", [True, False])
def test_runs_of_one_sensor_in_turns_give_the_alerts_of_one_worker_however_many_cuts_gather(
    tmp_path: Path, *, each_by_itself: bool
) -> None:
    text = RuleFiles([write_rules(tmp_path, rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}))]).read()
    # Two gateways of one name: the second run ends the first, which goes on all the same.
    told = [("e0", 0, 0), ("e1", 20, 0), ("e2", 30, 0), ("e1", 20.02, 1), ("e2", 30.02, 1)]
    sent = [
        outgoing(replace(batch, header=replace(batch.header, site=NAME, sensor="s")))
        for epoch, hours, number in told
        for batch in cut([request(hours * 3_600, function=8)], number, epoch=epoch)
    ]

    def alerts(shares: int) -> list[str]:
        versions = Versions(SITE.model_copy(update={"split": shares > 0}), text.to_text())
        workers = Workers(versions, shares, Always())
        for number, batch in enumerate(sent):
            workers.put(batch)
            workers.records()
            if not number or each_by_itself:
                for partition in range(shares):
                    workers.shares(partition)
        workers.end()
        return last(workers.told)

    assert alerts(2) == alerts(0) != []


class Always(random.Random):
    """Turns in which all that there is is taken, and nobody is killed."""

    def random(self) -> float:
        return 1.0

    def randint(self, a: int, b: int) -> int:
        del a
        return b


def test_facts_that_do_not_split_a_site_are_of_the_version_that_they_were() -> None:
    assert Site(site=NAME, split=False).version == Site.model_validate_json(json.dumps({"site": NAME})).version
    assert SITE.model_copy(update={"split": True}).version != SITE.version


def test_what_is_sent_to_shares_and_teller_says_whose_it_is(rules: str) -> None:
    workers = look(rules, days(1), 3, random.Random(1))
    assert all(workers.lengths)
    assert workers.killed
    keys = {parcel.key for sent in workers._topic for parcel in sent}
    assert keys == {SHARE + NAME.encode(), TELLER + NAME.encode()}


def test_a_site_that_is_forgotten_is_split_anew_and_gives_the_alerts_of_one_that_begins_there(rules: str) -> None:
    sent, half = days(1), SENSORS * 8
    versions = Versions(SITE.model_copy(update={"split": True}), rules)
    workers = Workers(versions, 2, random.Random(1))
    for batch in sent[:half]:
        workers.put(batch)
    while workers._looked_at < half:
        workers.records()
    workers.shares(0)
    # What is on its way is none of what begins now.
    assert any(length > done for length, done in zip(workers.lengths, workers._committed, strict=True))
    before = len(workers.told)
    workers.forget()
    anew = Workers(Versions(SITE, rules), 0, random.Random(0))
    anew.put_before(sent[:half])
    for batch in sent[half:]:
        workers.put(batch)
        anew.put(batch)
    workers.end()
    anew.end()
    assert last(workers.told[before:]) == last(anew.told)
    assert anew.told


def test_shares_keep_no_content_of_versions_that_hold_for_nothing_any_more(rules: str, others: str) -> None:
    stream = KeptStream()
    control = Control(stream)
    control.publish(Effective(SITE, Position({"1": 0})))
    for number, content in enumerate([rules, others, rules, others]):
        control.publish_rules(EffectiveRules(Ruleset.from_text(content), Position({"1": 10 * number})), NAME)
    whole, pruned = Followed(()), Followed(())
    for number, batch in enumerate(stream.batches):
        whole.take(batch, [], "1", 0)
        # A cut of before may come after a version that does not hold for it.
        pruned.take(batch, [], "1", max(0, 10 * number - 15))
        for offset in range(max(0, 10 * number - 15), 50, 5):
            if number:
                assert rule_names(pruned, offset) == rule_names(whole, offset)
    kinds = [row["kind"] for batch in pruned.batches for row in rows_of(bytes(batch.data))]
    assert kinds == [FACTS, f"{RULES}-gone", f"{RULES}-gone", RULES, RULES]
    # Who goes on from them has the same.
    again = Followed(unpack(pack(batch)) for batch in pruned.batches)
    assert rule_names(again, 29) == rule_names(whole, 29)
    assert rule_names(again, 30) == rule_names(whole, 30) != rule_names(again, 29)


def rule_names(followed: Followed, offset: int) -> set[str]:
    """The rules that hold at a place."""
    return {*followed.at("1", offset)[0].detector.rules}


def test_an_order_and_findings_that_do_not_agree_are_refused_and_nothing_is_told(rules: str) -> None:
    stream, (batch, *_) = KeptStream(), days(1)
    control = Control(stream)
    control.publish(Effective(SITE, Position()))
    control.publish_rules(EffectiveRules(Ruleset.from_text(rules), Position()), NAME)
    place = 0, TELLER + NAME.encode()
    teller = TellerLoop(NAME, ChangelogCheckpoints(Memory(), "a teller"))
    order = [Ordered(0, ("1", 0), batch.header).to_json()]
    another = [[*batch.header.run, batch.header.sequence + 1, None]]
    found = [[*batch.header.run, batch.header.sequence, None]]
    controlled = controls([(batch, []) for batch in stream.batches], [place], ("1", 0), 9)
    sent = [*pieces("state", packed(State()), place, 9), *controlled]
    sent += pieces("order", zlib.compress(json.dumps(order).encode()), place, 9)
    for each in sent:
        teller.take(each.of_split("now"))
    (wrong,) = pieces("found", zlib.compress(json.dumps(another).encode()), place, 0)
    with pytest.raises(LostError, match="do not agree"):
        teller.take(wrong.of_split("now"))
    (right,) = pieces("found", zlib.compress(json.dumps(found).encode()), place, 0)
    teller.take(right.of_split("now"))
    teller.detect()
    assert not teller._order
    assert not teller._found


def test_a_teller_of_a_version_that_did_not_say_how_many_shares_there_are_goes_on() -> None:
    place, memory = (0, TELLER + NAME.encode()), Memory()
    of_versions: tuple[tuple[dict[str, Any], int], ...] = (({}, SHARES), ({"shares": 7}, 7))
    for said, wanted in of_versions:
        teller = TellerLoop(NAME, ChangelogCheckpoints(memory, "a teller"))
        for each in pieces("state", packed(State()), place, 9, **said):
            teller.take(each.of_split(str(wanted)))
        assert teller._loop.state.shares == wanted
        teller.write(ChangelogCheckpoints(memory, "a teller"))
        assert TellerLoop(NAME, ChangelogCheckpoints(memory, "a teller"))._loop.state.shares == wanted


def test_names_of_rules_beside_a_version_are_said_once_and_fit_into_a_message(rules: str) -> None:
    stream = KeptStream()
    control = Control(stream)
    control.publish(Effective(SITE, Position()))
    control.publish_rules(EffectiveRules(Ruleset.from_text(rules), Position()), NAME)
    names, place = [f"{number:050}" for number in range(12_000)], (0, SHARE + NAME.encode())
    for batch in stream.batches:
        for size in (200, PIECE_BYTES):
            with patch("detection.parcels.PIECE_BYTES", size):
                sent = controls([(batch, names)], [place], ("1", 0), 9)
            assert [each.said.get("rules") for each in sent] == [*[None] * (len(sent) - 1), names]
            assert max(len(each.value) + len(each.headers[0][1]) for each in sent) < 1_000_000
            assert b"".join(each.value for each in sent) == bytes(batch.data)
            assert not sent[-1].value
