"""Evidence from before custody was in the audit trail: told so by what the trail told then, and by nothing else."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.custody import chain, service
from api.custody.models import CustodyEntry, EvidenceItem
from api.custody.verify import Archive, Folder, Verification
from tests.api.alerts import upsert
from tests.api.test_custody import TO, opened, sm3, take
from tests.api.test_incidents import PHONE, act, declare, done
from tests.api.test_package import signed_anew, unpacked

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import httpx
    from sqlalchemy.orm import Session

    from tests.api.conftest import Running

HANDS = {"giver": "Lin Wei", "receiver": "Officer Zhao", "reason": "Sealed disk 4"}


@contextmanager
def earlier_version(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Custody as earlier versions wrote it: nothing of it in the audit trail but what the timeline tells."""

    def tell(*given: object) -> None:
        del given

    with monkeypatch.context() as patch:
        patch.setattr("api.custody.service._tell", tell)
        yield


@pytest.fixture
def client(system_running: Running) -> httpx.Client:
    system_running.alerts(upsert(900, rule="posture"))
    return system_running.signed_in("responder", name="lin")


@pytest.fixture
def old(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A piece that went through hands, a package and two merges before custody was in the trail: its incident now, and its id."""
    with earlier_version(monkeypatch):
        first, second, third = (declare(client, **PHONE)["number"] for _ in range(3))
        taken = done(take(client, first, b"before"), 201)["id"]
        done(take(client, first, b"beside"), 201)
        done(client.post(f"/api/incidents/{first}/evidence/{taken}/custody", json=HANDS), 201)
        done(act(client, second, "merge", {"other": first, "reason": "same call"}))
        opened(client.post(f"/api/incidents/{second}/evidence/package", json={**TO, "items": [taken]}))
        done(act(client, third, "merge", {"other": second, "reason": "same story"}))
    return third, taken


def verified(client: httpx.Client, number: int, identity: int) -> tuple[bool, str, int]:
    told = done(client.get(f"/api/incidents/{number}/evidence/{identity}/verification"))
    return told["intact"], told["trail"], told["entries"]


def trail_holds(served: Running) -> bool:
    return done(served.signed_in("auditor").get("/api/audit/verification"))["intact"]


def given(client: httpx.Client, number: int, place: Path, **some: Any) -> Verification:
    answer = client.post(f"/api/incidents/{number}/evidence/package", json={**TO, **some})
    assert answer.status_code == 200, answer.text
    place.write_bytes(answer.content)
    return Verification(Archive(place))


def test_a_piece_from_before_custody_was_in_the_trail_is_told_so_and_followed_since(
    system_running: Running, client: httpx.Client, old: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, identity = old
    assert verified(client, number, identity) == (True, "older", 5), "nothing of custody is in the trail yet"
    assert trail_holds(system_running)
    new = done(take(client, number, b"after"), 201)["id"]
    assert verified(client, number, new) == (True, "intact", 1)
    done(client.post(f"/api/incidents/{number}/evidence/{identity}/custody", json=HANDS), 201)
    assert verified(client, number, identity) == (True, "older", 6)
    found = given(client, number, tmp_path / "package.zip")
    assert (found.faults, found.signed) == ([], True)
    assert [(what, values["id"], values["number"]) for what, values in found.notes] == [
        ("older", identity, 5), ("older", identity + 1, 3),
    ]  # fmt: skip
    assert trail_holds(system_running)
    # What is taken without a word in the trail now is not from before, whatever it says of itself.
    with earlier_version(monkeypatch):
        forged = done(take(client, number, b"forged"), 201)["id"]
    assert verified(client, number, forged) == (False, "missing", 1)
    assert not trail_holds(system_running)
    assert given(client, number, tmp_path / "package.zip", items=[forged]).faults == [
        ("custody_trail", {"id": forged, "number": 1})
    ]


def test_the_first_custody_that_the_trail_has_may_be_that_of_a_merge_or_a_package(
    system_running: Running, client: httpx.Client, old: tuple[int, int], tmp_path: Path
) -> None:
    number, identity = old
    into = declare(client, **PHONE)["number"]
    done(act(client, into, "merge", {"other": number, "reason": "again"}))
    assert verified(client, into, identity) == (True, "older", 6)
    assert verified(client, into, identity + 1) == (True, "older", 4)
    found = given(client, into, tmp_path / "package.zip", items=[identity])
    assert (found.faults, [values["number"] for _, values in found.notes]) == ([], [5])
    assert trail_holds(system_running)


def writable(served: Running) -> None:
    with served.services.database.engine.begin() as connection:
        for table in ("evidence_item", "evidence_custody"):
            for statement in {
                "sqlite": [f"DROP TRIGGER {table}_update", f"DROP TRIGGER {table}_delete"],
                "postgresql": [f"DROP TRIGGER {table}_append_only ON {table}"],
            }[connection.dialect.name]:
                connection.execute(sa.text(statement))


def made_anew(session: Session, item: EvidenceItem) -> None:
    """All hashes as they would have to be."""
    session.flush()
    before = chain.digest(chain.of_item(item))
    for number, entry in enumerate(list(service.all_entries(session, item.id)), start=1):
        entry.number, entry.previous_hash = number, before
        entry.hash = before = chain.digest(chain.of_entry(entry))
        session.flush()


@pytest.mark.parametrize("harm", ["exchanged", "cut", "inserted", "another reason", "another receiver", "no taking"])
def test_no_piece_is_from_before_of_which_the_trail_told_anything_else_then(
    system_running: Running, client: httpx.Client, old: tuple[int, int], harm: str, tmp_path: Path
) -> None:
    number, identity = old
    writable(system_running)
    with system_running.services.database.write() as session:
        item = session.scalars(sa.select(EvidenceItem).where(EvidenceItem.id == identity)).one()
        custody = list(service.all_entries(session, identity))
        if harm == "exchanged":
            file = system_running.services.settings.evidence_place / item.file
            file.unlink()
            file.write_bytes(b"after!")
            item.sha256, item.sm3 = hashlib.sha256(b"after!").hexdigest(), sm3(b"after!")
        elif harm == "cut":
            session.delete(custody[-1])
        elif harm == "inserted":
            columns = {each.key: getattr(custody[1], each.key) for each in CustodyEntry.__table__.columns if each.key != "id"}
            session.add(CustodyEntry(**columns | {"number": 6}))
        elif harm == "no taking":
            columns = {each.key: getattr(item, each.key) for each in EvidenceItem.__table__.columns if each.key != "id"}
            item = EvidenceItem(**columns | {"file": "another"})
            session.add(item)
            session.flush()
            first = {each.key: getattr(custody[0], each.key) for each in CustodyEntry.__table__.columns if each.key != "id"}
            session.add(CustodyEntry(**first | {"evidence": item.id}))
            (system_running.services.settings.evidence_place / "another").write_bytes(b"before")
        else:
            custody[1].reason, custody[1].receiver = (
                ("x", "Officer Zhao") if harm == "another reason" else ("Sealed disk 4", "Qian")
            )
        made_anew(session, item)
        identity = item.id
    assert verified(client, number, identity)[:2] == (False, "missing")
    assert not trail_holds(system_running)
    assert given(client, number, tmp_path / "package.zip", items=[identity]).faults == [
        ("custody_trail", {"id": identity, "number": 1})
    ]


def test_a_package_says_where_custody_begins_in_the_trail_and_the_taking_before(
    client: httpx.Client, old: tuple[int, int]
) -> None:
    number, identity = old
    files = opened(client.post(f"/api/incidents/{number}/evidence/package", json={**TO, "items": [identity]}))
    manifest = json.loads(files["manifest.json"])
    assert manifest["items"][0]["custody"]["untold"] == 5
    told = [json.loads(line) for line in files["audit.jsonl"].splitlines()]
    (taken,) = [each for each in told if each["action"] == "incident.evidence_taken"]
    assert taken["number"] < manifest["custody_since"]
    assert min(each["number"] for each in told if each["action"] == "evidence.custody") == manifest["custody_since"]


def test_the_script_takes_no_piece_for_older_whose_taking_is_not_told_before(
    client: httpx.Client, old: tuple[int, int], tmp_path: Path
) -> None:
    number, identity = old
    files = opened(client.post(f"/api/incidents/{number}/evidence/package", json={**TO, "items": [identity]}))
    place = unpacked(tmp_path / "package", signed_anew(files))
    assert [what for what, _ in Verification(Folder(place)).notes] == ["older"]
    late = signed_anew(files, lambda manifest: manifest.update(custody_since=1))
    assert Verification(Folder(unpacked(place, late))).faults[0] == ("custody_trail", {"id": identity, "number": 1})
    lines = [line for line in files["audit.jsonl"].splitlines(keepends=True) if b'"incident.evidence_taken"' not in line]
    dropped = signed_anew({**files, "audit.jsonl": b"".join(lines)})
    assert Verification(Folder(unpacked(place, dropped))).faults[0] == ("custody_trail", {"id": identity, "number": 1})
