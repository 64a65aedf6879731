"""The chain of the audit trail by itself: whatever is done to it is found, and where."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from api.audit import checkpoints, keys
from api.audit.chain import FIRST_PREVIOUS, FORM, OLD_FORM, Chain, Fault, content, digest, plain
from api.audit.models import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from api.audit.checkpoints import Checkpoint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

COLUMNS = (
    "number", "form", "at", "actor", "address", "action", "subject", "detail", "previous_hash", "hash", "organisation",
)  # fmt: skip

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
DETAILS = st.dictionaries(
    st.text(max_size=8), SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3),
    max_size=4,
)  # fmt: skip


def entry(number: int, previous: str, detail: dict[str, Any], form: int = FORM, **changes: Any) -> AuditEntry:
    values: dict[str, Any] = {
        "organisation": "default", "number": number, "form": form, "at": 1_764_000_000_000_000_000 + number, "actor": "lin",
        "address": "192.0.2.7", "action": "alert.close", "subject": f"{number:032x}", "detail": plain(detail),
        "previous_hash": previous, **changes,
    }  # fmt: skip
    made = AuditEntry(**values)
    made.hash = digest(made)
    return made


def trail(details: Sequence[dict[str, Any]], old: int = 0) -> list[AuditEntry]:
    """A trail whose first entries are in the old form."""
    made: list[AuditEntry] = []
    for number, detail in enumerate(details, 1):
        previous = made[-1].hash if made else FIRST_PREVIOUS
        made.append(entry(number, previous, detail, OLD_FORM if number <= old else FORM))
    return made


def copied(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    return [AuditEntry(**{name: copy.deepcopy(getattr(each, name)) for name in COLUMNS}) for each in entries]


def checkpoint(of: AuditEntry) -> Checkpoint:
    return replace(checkpoints.sign(KEY, "default", of.number, of.hash, 7), place="told.json")


def looked_at(entries: Sequence[AuditEntry], written: int, *found: Checkpoint) -> Fault | None:
    chain = Chain(found)
    for each in entries:
        if (fault := chain.follow(each)) is not None:
            return fault
    return chain.end(written)


TRAILS = st.lists(DETAILS, min_size=2, max_size=8).flatmap(
    lambda details: st.integers(0, len(details)).map(lambda old: trail(details, old))
)


@given(entries=TRAILS)
def test_a_trail_holds_as_it_was_written_in_whichever_form(entries: list[AuditEntry]) -> None:
    assert looked_at(entries, len(entries), *map(checkpoint, entries)) is None


@given(entries=TRAILS, data=st.data())
def test_whatever_is_edited_is_found_where_it_is(entries: list[AuditEntry], data: st.DataObject) -> None:
    altered = copied(entries)
    place = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from(COLUMNS))
    # In the old form nothing was said of whose it was.
    if name == "organisation" and altered[place].form == OLD_FORM:
        name = "actor"
    before: Any = getattr(altered[place], name)
    match before:
        case dict():
            value: Any = {} if "x" in before else {"x": data.draw(st.text())}
        case int():
            value = before + data.draw(st.integers(-3, 3).filter(bool))
        case _:
            value = data.draw(st.text(max_size=64).filter(lambda text: text != before))
    setattr(altered[place], name, value)
    fault = looked_at(altered, len(entries))
    assert fault is not None
    assert fault.number == place + 1


@given(entries=TRAILS, data=st.data())
def test_whatever_is_taken_away_or_cut_is_found(entries: list[AuditEntry], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(entries) - 1))
    end = data.draw(st.integers(begin + 1, len(entries)))
    fault = looked_at(entries[:begin] + entries[end:], len(entries))
    assert fault is not None
    assert (fault.number, fault.kind) == (begin + 1, "cut_counter" if end == len(entries) else "missing")


@given(entries=TRAILS, data=st.data())
def test_two_entries_that_changed_places_are_found_with_their_numbers_or_without(
    entries: list[AuditEntry], data: st.DataObject
) -> None:
    one = data.draw(st.integers(0, len(entries) - 2))
    other = data.draw(st.integers(one + 1, len(entries) - 1))
    swapped = copied(entries)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert looked_at(swapped, len(entries)) == Fault("missing", one + 1, {"found": other + 1})
    # As if each had always been the other, each with the hash that it then has.
    swapped[one].number, swapped[other].number = one + 1, other + 1
    for each in (swapped[one], swapped[other]):
        each.hash = digest(each)
    fault = looked_at(swapped, len(entries))
    assert fault is not None
    assert fault.number <= one + 2


@given(entries=TRAILS, data=st.data())
def test_a_trail_that_is_written_anew_or_cut_is_found_by_what_was_told_of_it(
    entries: list[AuditEntry], data: st.DataObject
) -> None:
    told = data.draw(st.lists(st.sampled_from(entries), min_size=1, unique=True))
    told.sort(key=lambda each: each.number)
    begin = data.draw(st.integers(1, told[-1].number))
    anew = copied(entries[: begin - 1])
    for number in range(begin, len(entries) + 1):
        previous = anew[-1].hash if anew else FIRST_PREVIOUS
        anew.append(entry(number, previous, {}, actor="nobody"))
    assert looked_at(anew, len(anew)) is None
    fault = looked_at(anew, len(anew), *map(checkpoint, told))
    first = next(each.number for each in told if each.number >= begin)
    last_before = max((each.number for each in told if each.number < begin), default=0)
    assert fault == Fault("rewritten", first, {"file": "told.json", "after": last_before})
    cut = entries[: begin - 1]
    assert looked_at(cut, len(cut)) is None
    fault = looked_at(cut, len(cut), *map(checkpoint, told))
    assert fault == Fault("cut", begin, {"last": begin - 1, "written": told[-1].number, "told": "told.json"})


def test_a_new_entry_cannot_be_turned_into_an_old_one() -> None:
    entries = trail([{}, {}])
    old = entry(2, entries[0].hash, {}, OLD_FORM)
    assert looked_at([entries[0], old], 2) == Fault("changed", 2, {})


def test_the_hash_is_that_of_canonical_json() -> None:
    made = entry(1, FIRST_PREVIOUS, {"b": 1e21, "a": "\u20ac", "at": 2**63})
    said = rfc8785.dumps(content(made)).decode()
    assert said.startswith('{"action":"alert.close","actor":"lin","address":"192.0.2.7","at":"2025-11-24T16:00:00.000000001Z"')
    assert '"detail":{"a":"€","at":"9223372036854775808","b":1e+21},"form":2,"number":1,"organisation":"default"' in said


def test_a_checkpoint_that_was_altered_does_not_hold(tmp_path: Path) -> None:
    (made,) = trail([{}])
    signed = checkpoint(made)
    assert checkpoints.holds(signed, KEY.public_key())
    for changed in (
        replace(signed, number=2), replace(signed, hash="0" * 64), replace(signed, organisation="south"), replace(signed, at="x"),
        replace(signed, signature="AAAA"), replace(signed, signature="!"),
    ):  # fmt: skip
        assert not checkpoints.holds(changed, KEY.public_key())
    assert not checkpoints.holds(signed, Ed25519PrivateKey.generate().public_key())
    path = checkpoints.write(tmp_path / "far", signed)
    assert path.name == f"default-000000000001-{keys.identity(KEY.public_key())}.json"
    assert checkpoints.read(tmp_path / "far", "default") == [replace(signed, place=path.name)]
    assert checkpoints.read(tmp_path / "far", "south") == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"kind": 1}', '{"at": "x"' + " " * 5000 + "}", "\ud800"])
def test_what_is_no_checkpoint_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(checkpoints.CheckpointFileError, match=r"x\.json: not a checkpoint"):
        checkpoints.read(tmp_path, "default")
