"""Evidence of incidents through the API: taken, handed on, read, moved, and refused where it is not as it was taken."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from api.custody import chain, giving, service, snapshot
from api.custody.files import Draft, Hashing, NoRoomError, TooLargeError
from api.custody.models import CustodyEntry, EvidenceItem
from api.custody.verify import Archive, Verification
from api.database import Database
from api.database.backup import BackupError, back_up, restore
from api.settings import Settings
from sensor.names import NAME_BYTES
from sensor.packets import PACKETS
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY, running
from tests.api.test_backup import rewritten
from tests.api.test_evidence import ALERT, FRAMES
from tests.api.test_incidents import PHONE, act, alert_id, declare, done, kinds, lines, refused
from tests.api.test_records import identity, store
from tests.batches import sample
from tests.faults.disk import disk
from tests.sensor.test_packets import content, kept, wrote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx
    from sqlalchemy.orm import Session

    from api.settings import DatabaseSettings
    from tests.api.conftest import Running

SAID = {"name": "../../etc/工程师站.log", "reason": "Log of the engineering station", "giver": "Wang Fang"}
TO = {"receiver": "Officer Zhao", "reason": "Investigation 2026-114"}


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    for name in {"system_running"} & set(request.fixturenames):
        request.getfixturevalue(name).alerts(upsert(900, rule="posture"))


def sm3(given: bytes) -> str:
    hashed = hashes.Hash(hashes.SM3())
    hashed.update(given)
    return hashed.finalize().hex()


def take(client: httpx.Client, number: int, given: bytes | Iterator[bytes], **said: str) -> httpx.Response:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return client.post(f"/api/incidents/{number}/evidence", params={**SAID, **said}, content=given, headers=headers)


def folder(served: Running) -> list[Path]:
    """What is in the folder of evidence, drafts too."""
    place = served.services.settings.evidence_place
    return sorted(place.iterdir()) if place.exists() else []


def audited(served: Running, action: str) -> list[dict[str, Any]]:
    client = served.signed_in("administrator")
    return client.get("/api/audit", params={"action": action, "limit": 500}).json()["items"]


def opened(answer: httpx.Response) -> dict[str, bytes]:
    """The files of a package, as any program reads it."""
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_file_is_kept_to_the_byte_with_its_hashes_and_the_first_custody_entry(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    given = b"line\n" * 300_000
    pieces = (given[begin : begin + 70_001] for begin in range(0, len(given), 70_001))
    taken = done(take(client, number, pieces), 201)
    assert (taken["size"], taken["sha256"], taken["sm3"]) == (len(given), hashlib.sha256(given).hexdigest(), sm3(given))
    assert (taken["name"], taken["media_type"], taken["taken_by"]) == (SAID["name"], "text/plain", "lin")
    path = f"/api/incidents/{number}/evidence/{taken['id']}"
    assert done(client.get(path)) == taken
    assert done(client.get(f"/api/incidents/{number}/evidence"))["items"] == [taken]
    # The name is no path: the one file is called otherwise, and lies where all do.
    (file,) = folder(system_running)
    assert (file.read_bytes() == given, file.stat().st_mode & 0o777, len(file.name)) == (True, 0o400, 32)
    answer = client.get(f"{path}/content")
    assert (answer.content == given, answer.headers["X-Content-SHA256"]) == (True, taken["sha256"])
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="evidence-{taken["id"]}.bin"'
    (first,) = done(client.get(f"{path}/custody"))["items"]
    assert [first[name] for name in ("number", "kind", "giver", "receiver", "reason")] == [
        1, "taken", "Wang Fang", "lin", SAID["reason"],
    ]  # fmt: skip
    assert done(client.get(f"{path}/verification")) == {
        "intact": True, "file": "intact", "entries": 1, "first_broken": None, "clock_back": None, "trail": "intact",
    }  # fmt: skip
    assert kinds(client, number) == ["declared", "evidence_taken"]
    assert lines(client, number, "zh-CN")[1]["text"].startswith(f"取得证据 {taken['id']}，来自Wang Fang：")
    (entry,) = audited(system_running, "incident.evidence_taken")
    assert (entry["actor"], entry["detail"]["sm3"]) == ("lin", taken["sm3"])
    (entry,) = audited(system_running, "evidence.read")
    assert entry["subject"] == f"evidence/{taken['id']}"


@pytest.mark.parametrize("media_type", ["application/json", "application/stix+json"])
def test_json_is_kept_as_it_is_and_never_whole_in_memory(
    system_running: Running, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    looked: list[bytes] = []
    monkeypatch.setattr("api.security.guard.is_text", looked.append)
    given = b'{"a": "\\u0000 \\ud800", "b": "\xff"}' * 10_000
    headers = {"Content-Type": media_type}
    answer = client.post(f"/api/incidents/{number}/evidence", params=SAID, content=given, headers=headers)
    taken = done(answer, 201)
    assert (taken["sha256"], taken["media_type"]) == (hashlib.sha256(given).hexdigest(), media_type)
    (file,) = folder(system_running)
    assert file.read_bytes() == given
    assert looked == []


def test_what_is_too_large_empty_or_breaks_off_counts_as_nothing(start: Callable[..., Running]) -> None:
    served = start(evidence_bytes=100_000, import_bytes=10_000)
    served.alerts(upsert(900, rule="posture"))
    client = served.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    assert refused(take(client, number, bytes(100_001))) == "body_too_large"
    assert refused(take(client, number, iter([bytes(60_000)] * 2))) == "body_too_large"
    assert refused(take(client, number, b"")) == "evidence_empty"
    assert refused(take(client, number, b"x", name="")) == "input_invalid"
    assert refused(take(client, number + 1, b"x")) == "incident_unknown"
    client.headers["Idempotency-Key"] = "k1"
    assert refused(take(client, number, bytes(10_001))) == "body_too_large"
    one, again = (done(take(client, number, bytes(10_000)), 201) for _ in range(2))
    assert one == again
    del client.headers["Idempotency-Key"]

    def broken() -> Iterator[bytes]:
        yield bytes(50_000)
        raise OSError("the cable")

    with pytest.raises(OSError, match="cable"):
        take(client, number, broken())
    taken = done(take(client, number, bytes(100_000)), 201)
    assert [each["id"] for each in client.get(f"/api/incidents/{number}/evidence").json()["items"]] == [one["id"], taken["id"]]
    assert len([path for path in folder(served) if not path.name.endswith(".draft")]) == 2


@pytest.mark.parametrize("reserve", [0, 1024**2])
def test_a_full_disk_keeps_nothing_and_says_so(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserve: int
) -> None:
    monkeypatch.setattr("api.custody.files.RESERVE_BYTES", reserve)
    with disk(tmp_path / "evidence", 2) as small:
        served = start(evidence_folder=small.folder)
        served.alerts(upsert(900, rule="posture"))
        client = served.signed_in("responder")
        number = declare(client, **PHONE)["number"]
        if reserve:
            (small.folder / "other").write_bytes(bytes(reserve + 1))
        answer = take(client, number, bytes(3 * 1024**2))
        assert (answer.status_code, answer.json()["code"]) == (507, "evidence_no_room")
        assert client.get(f"/api/incidents/{number}/evidence").json()["items"] == []
        assert {path.name for path in folder(served)} <= {"other"}
        (small.folder / "other").unlink(missing_ok=True)
        done(take(client, number, b"x"), 201)
        assert kinds(client, number) == ["declared", "evidence_taken"]


def test_what_cannot_be_written_into_the_database_leaves_no_file(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]

    def fail(draft: Draft) -> None:
        keep(draft)
        raise RuntimeError("the power")

    keep = Draft.keep
    monkeypatch.setattr(Draft, "keep", fail)
    assert refused(take(client, number, b"x")) == "internal"
    monkeypatch.undo()
    assert (folder(system_running), kinds(client, number)) == ([], ["declared"])


@pytest.mark.parametrize("harm", ["changed", "longer", "missing", "link"])
def test_a_file_that_is_not_as_it_was_taken_is_refused_and_that_is_on_record(system_running: Running, harm: str) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = done(take(client, number, b"one\ntwo\n"), 201)
    done(take(client, number, b"another"), 201)
    file = system_running.services.settings.evidence_place / row(system_running, taken["id"]).file
    whole = file.read_bytes()
    file.unlink()
    if harm == "changed":
        file.write_bytes(b"one\ntwO\n")
    elif harm == "longer":
        file.write_bytes(whole + b"\n")
    elif harm == "link":
        (file.parent / "elsewhere").write_bytes(whole)
        file.symlink_to(file.parent / "elsewhere")
    code = "evidence_missing" if harm == "missing" else "evidence_changed"
    path = f"/api/incidents/{number}/evidence"
    assert refused(client.get(f"{path}/{taken['id']}/content")) == code
    assert refused(client.post(f"{path}/package", json=TO)) == code
    told = done(client.get(f"{path}/{taken['id']}/verification"))
    assert (told["intact"], told["file"]) == (False, code.removeprefix("evidence_"))
    damaged = audited(system_running, "evidence.damaged")
    assert [(each["subject"], each["detail"]["how"]) for each in damaged] == [(f"evidence/{taken['id']}", told["file"])] * 3
    # Nothing was given out, and the other one still can be.
    assert "evidence_exported" not in kinds(client, number)
    assert "items/" in str(list(opened(client.post(f"{path}/package", json={**TO, "items": [taken["id"] + 1]}))))


def row(served: Running, identity: int) -> EvidenceItem:
    with served.services.database.read() as session:
        return session.scalars(sa.select(EvidenceItem).where(EvidenceItem.id == identity)).one()


def test_the_database_refuses_to_change_or_remove_evidence_and_custody(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = done(take(client, number, b"x"), 201)
    for statement in (
        "UPDATE evidence_item SET description = 'y'", "DELETE FROM evidence_item",
        "UPDATE evidence_custody SET reason = 'y'", "DELETE FROM evidence_custody",
    ):  # fmt: skip
        with (
            pytest.raises(DBAPIError, match="evidence cannot be changed"),
            system_running.services.database.engine.begin() as connection,
        ):
            connection.execute(sa.text(statement))
    for method in ("PUT", "PATCH", "DELETE"):
        assert client.request(method, f"/api/incidents/{number}/evidence/{taken['id']}").status_code == 405
    # Whoever takes the triggers away is told by the chain.
    dropped = {
        "sqlite": "DROP TRIGGER evidence_item_update",
        "postgresql": "DROP TRIGGER evidence_item_append_only ON evidence_item",
    }
    with system_running.services.database.engine.begin() as connection:
        connection.execute(sa.text(dropped[connection.dialect.name]))
        connection.execute(sa.text("UPDATE evidence_item SET description = 'y'"))
    told = done(client.get(f"/api/incidents/{number}/evidence/{taken['id']}/verification"))
    assert (told["intact"], told["file"], told["first_broken"]) == (False, "intact", 1)


def test_evidence_is_handed_on_given_out_and_goes_along_when_incidents_are_merged(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    kept_on, gone = (declare(client, **PHONE)["number"] for _ in range(2))
    taken = done(take(client, gone, b"x"), 201)
    path = f"/api/incidents/{gone}/evidence/{taken['id']}"
    hands = {"giver": "Lin Wei", "receiver": "Officer Zhao", "reason": "Sealed disk 4"}
    assert done(client.post(f"{path}/custody", json=hands), 201)["number"] == 2
    assert refused(client.post(f"{path}/custody", json={**hands, "reason": " "})) == "input_invalid"
    other = f"/api/incidents/{kept_on}/evidence"
    assert refused(client.get(f"{other}/{taken['id']}")) == "evidence_unknown"
    assert refused(client.post(f"{other}/package", json=TO)) == "package_empty"
    done(act(client, kept_on, "merge", {"other": gone, "reason": "same call"}))
    assert refused(take(client, gone, b"y")) == "incident_merged"
    assert [each["id"] for each in client.get(other).json()["items"]] == [taken["id"]]
    package = opened(client.post(f"{other}/package", json=TO))
    entries = done(client.get(f"{other}/{taken['id']}/custody", params={"limit": 3}))
    assert [each["kind"] for each in entries["items"]] == ["taken", "handed", "moved"]
    rest = done(client.get(f"{other}/{taken['id']}/custody", params={"limit": 3, "cursor": entries["next"]}))
    (last,) = rest["items"]
    assert (last["kind"], last["giver"], last["receiver"], last["reason"]) == ("exported", "lin", "Officer Zhao", TO["reason"])
    assert rest["next"] is None
    manifest = json.loads(package["manifest.json"])
    assert package[manifest["items"][0]["path"]] == b"x"
    assert manifest["items"][0]["custody"] == {"entries": 4, "hash": last["hash"]}
    assert json.loads(package["incident.json"])["merged"] == [gone]
    told = [json.loads(line)["action"] for line in package["audit.jsonl"].splitlines()]
    acts = ["incident.evidence_taken", "incident.evidence_handed", None, "incident.evidence_exported"]
    assert told == [action for act in acts for action in ("evidence.custody", act) if action]
    assert kinds(client, kept_on)[-1] == "evidence_exported"
    assert refused(client.post(f"{other}/package", json={**TO, "items": [2**63]})) == "input_invalid"
    # A package of some pieces says nothing of others.
    second = done(take(client, kept_on, b"z", name="second"), 201)
    package = opened(client.post(f"{other}/package", json={**TO, "items": [second["id"]]}))
    assert [name for name in package if name.startswith("items/")] == [f"items/{second['id']:06}.bin"]
    named = [json.loads(line)["detail"].get("name") for line in package["audit.jsonl"].splitlines()]
    assert named == [None, "second", None, None]


def test_custody_that_is_full_holds_up_no_merge_and_is_filled_by_nobody_who_only_reads(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.custody.service.MOST_ENTRIES", 2)
    client = system_running.signed_in("responder")
    kept_on, gone = (declare(client, **PHONE)["number"] for _ in range(2))
    taken = done(take(client, gone, b"x"), 201)
    path = f"/api/incidents/{gone}/evidence"
    for role in ("auditor", "engineer"):
        reader = system_running.signed_in(role)
        assert reader.get(f"{path}/package", params=TO).status_code in {405, 422}
        assert refused(reader.post(f"{path}/package", json=TO)) == "forbidden"
    opened(client.post(f"{path}/package", json=TO))
    assert refused(client.post(f"{path}/package", json=TO)) == "custody_full"
    done(act(client, kept_on, "merge", {"other": gone, "reason": "same call"}))
    told = done(client.get(f"/api/incidents/{kept_on}/evidence/{taken['id']}/verification"))
    assert (told["intact"], told["entries"]) == (True, 3)


def test_a_package_that_has_no_room_for_its_custody_is_not_given_out(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = done(take(client, number, b"x"), 201)
    path = f"/api/incidents/{number}/evidence"
    for _ in range(3):
        client.get(f"{path}/{taken['id']}/content")
    monkeypatch.setattr("api.custody.giving.LINES_BYTES", 4_000)
    package = opened(client.post(f"{path}/package", json=TO))
    manifest = json.loads(package["manifest.json"])
    assert 0 < manifest["audit_left_out"] < 5, "reads have less room, and it is said"
    assert package["audit.jsonl"].count(b'"evidence.custody"') == 2
    monkeypatch.setattr("api.custody.giving.LINES_BYTES", 1_000)
    assert refused(client.post(f"{path}/package", json=TO)) == "package_large"
    assert done(client.get(f"{path}/{taken['id']}/verification"))["entries"] == 2


def test_as_much_is_asked_of_the_database_for_many_pieces_as_for_few_while_nobody_else_can_write(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    path, asked, give_out = f"/api/incidents/{number}/evidence", list[int](), service.give_out

    def counted(session: Session, *said: Any) -> list[CustodyEntry]:
        seen = list[str]()

        def count(*given: Any) -> None:
            # Rows with a number of their own are given to SQLite one by one, by SQLAlchemy.
            if not given[2].startswith("INSERT INTO evidence_custody"):
                seen.append(given[2])

        event.listen(session.connection(), "before_cursor_execute", count)
        made = give_out(session, *said)
        event.remove(session.connection(), "before_cursor_execute", count)
        asked.append(len(seen))
        return made

    monkeypatch.setattr(service, "give_out", counted)
    for pieces in (2, 30):
        for _ in range(pieces):
            done(take(client, number, b"x"), 201)
        assert len(json.loads(opened(client.post(f"{path}/package", json=TO))["manifest.json"])["items"]) >= pieces
    assert asked[0] == asked[1]


def test_others_write_while_a_package_is_made_and_what_they_write_is_not_in_it(
    system_running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    path = f"/api/incidents/{number}/evidence"
    taken = [done(take(client, number, b"x"), 201)["id"] for _ in range(3)]
    read_on, hands = giving.Lines.read_on, {"giver": "Lin Wei", "receiver": "Officer Zhao", "reason": "Sealed disk 4"}

    def read(lines: Any, session: Session, *until: Any) -> None:
        done(client.post(f"{path}/{taken[1]}/custody", json=hands), 201)
        client.get(f"{path}/{taken[2]}/content")
        read_on(lines, session, *until)

    monkeypatch.setattr("api.custody.giving.Lines.read_on", read)
    archive = tmp_path / "package.zip"
    archive.write_bytes(client.post(f"{path}/package", json=TO).content)
    found = Verification(Archive(archive))
    assert (found.faults, found.counts["entries"]) == ([], 3 + 3 + 1), "handed on before it was given out, not after"
    entries = done(client.get(f"{path}/{taken[1]}/custody"))["items"]
    assert [each["kind"] for each in entries] == ["taken", "handed", "exported", "handed"]
    assert done(client.get(f"{path}/{taken[1]}/verification"))["intact"]
    monkeypatch.undo()
    archive.write_bytes(client.post(f"{path}/package", json=TO).content)
    assert Verification(Archive(archive)).faults == []


@pytest.mark.parametrize("harm", ["exchanged", "cut"])
def test_what_is_made_anew_with_all_its_hashes_is_told_by_the_audit_trail(
    system_running: Running, tmp_path: Path, harm: str
) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = done(take(client, number, b"before"), 201)
    path = f"/api/incidents/{number}/evidence"
    hands = {"giver": "Lin Wei", "receiver": "Officer Zhao", "reason": "Sealed disk 4"}
    done(client.post(f"{path}/{taken['id']}/custody", json=hands), 201)
    database = system_running.services.database
    with database.engine.begin() as connection:
        for table in ("evidence_item", "evidence_custody"):
            for statement in {
                "sqlite": [f"DROP TRIGGER {table}_update", f"DROP TRIGGER {table}_delete"],
                "postgresql": [f"DROP TRIGGER {table}_append_only ON {table}"],
            }[connection.dialect.name]:
                connection.execute(sa.text(statement))
    with database.write() as session:
        item = session.scalars(sa.select(EvidenceItem)).one()
        custody = list(service.all_entries(session, item.id))
        if harm == "cut":
            session.delete(custody[-1])
        else:
            file = system_running.services.settings.evidence_place / item.file
            file.unlink()
            file.write_bytes(b"after")
            item.size, item.sha256, item.sm3 = 5, hashlib.sha256(b"after").hexdigest(), sm3(b"after")
            before = chain.digest(chain.of_item(item))
            for entry in custody:
                entry.previous_hash = before
                entry.hash = before = chain.digest(chain.of_entry(entry))
    told = done(client.get(f"{path}/{taken['id']}/verification"))
    assert told == {
        "intact": False, "file": "intact", "entries": 2 - (harm == "cut"), "first_broken": None, "clock_back": None,
        "trail": "differs",
    }  # fmt: skip
    archive = tmp_path / "package.zip"
    archive.write_bytes(client.post(f"{path}/package", json=TO).content)
    number = 2 if harm == "cut" else 1
    assert Verification(Archive(archive)).faults == [("custody_trail", {"id": taken["id"], "number": number})]
    verdict = done(system_running.signed_in("auditor").get("/api/audit/verification"))
    assert (verdict["intact"], verdict["fault"]) == (False, "custody")


def test_the_packets_of_an_alert_of_the_incident_are_taken_as_evidence(system_running: Running, tmp_path: Path) -> None:
    system_running.alerts(ALERT, upsert(2))
    kept(system_running.services.settings.data / PACKETS, wrote(tmp_path / "made.pcap", FRAMES))
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, alerts=[ALERT.id])["number"]
    path = f"/api/incidents/{number}/evidence"
    taken = done(client.post(f"{path}/packets", json={"alert": ALERT.id, "reason": "The write"}), 201)
    file = client.get(f"{path}/{taken['id']}/content").content
    assert content(file) == FRAMES[15:41]
    assert (taken["kind"], taken["origin"]["alert"]) == ("packets", ALERT.id)
    assert taken["origin"]["manifest"]["sha256"] == taken["sha256"] == hashlib.sha256(file).hexdigest()
    (first,) = client.get(f"{path}/{taken['id']}/custody").json()["items"]
    assert first["giver"] == "sensor local"
    # A sensor may be called by 255 bytes.
    longest = CustodyEntry(
        evidence=9, number=1, kind="taken", at=0, actor="lin", giver="sensor " + "s" * NAME_BYTES, receiver="lin", reason="x",
        previous_hash="", hash="",
    )  # fmt: skip
    with system_running.services.database.write() as session:
        session.add(longest)
    package = opened(client.post(f"{path}/package", json=TO))
    assert content(package[f"items/{taken['id']:06}.pcapng"]) == FRAMES[15:41]
    assert b'"action":"evidence.take"' in package["audit.jsonl"]
    assert refused(client.post(f"{path}/packets", json={"alert": alert_id(2), "reason": "x"})) == "alert_not_in_incident"
    token = {"name": "t", "permissions": ["evidence.write", "incident.read"]}
    client.headers["Authorization"] = "Bearer " + client.post("/api/tokens", json=token).json()["token"]
    assert refused(client.post(f"{path}/packets", json={"alert": ALERT.id, "reason": "x"})) == "forbidden"
    assert refused(client.post(f"{path}/snapshot", json={"reason": "x"})) == "forbidden"
    done(client.post(f"{path}/snapshot", json={"reason": "x", "contents": ["timeline"]}), 201)


def test_a_snapshot_holds_the_incident_its_timeline_its_alerts_and_their_records(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 5)))
    body = {**upsert(1).body, "records": [identity(3), "local/gone/0/1"]}
    system_running.alerts(upsert(1, body=body))
    client = system_running.signed_in("responder")
    number = declare(client, alerts=[alert_id(1)])["number"]
    path = f"/api/incidents/{number}/evidence"
    taken = done(client.post(f"{path}/snapshot", json={"reason": "Before the restart"}), 201)
    told = [json.loads(line) for line in client.get(f"{path}/{taken['id']}/content").text.splitlines()]
    counts = {"snapshot": 1, "incident": 1, "line": 2, "alert": 1, "decision": 3, "record": 1, "record_missing": 1}
    assert [each["kind"] for each in told] == [kind for kind, count in counts.items() for _ in range(count)] + ["end"]
    assert told[-1]["counts"] == counts
    assert (told[1]["title"], told[2]["what"], told[4]["id"]) == ("Writes", "declared", alert_id(1))
    assert (told[8]["record"], told[8]["table"], told[9]["record"]) == (body["records"][0], "modbus", "local/gone/0/1")
    assert taken["origin"]["counts"] == {**counts, "end": 1}


def test_a_number_that_is_none_is_a_word_in_a_snapshot() -> None:
    made = snapshot.Snapshot(1, ["records"], 0)
    line = made._line("record", {"value": math.nan, "values": [math.inf, {"x": 1.5}]})  # pyright: ignore[reportPrivateUsage]  a line by itself
    assert line == b'{"kind":"record","value":"nan","values":["inf",{"x":1.5}]}\n'


def test_a_draft_is_bounded_and_removed_unless_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Draft(tmp_path / "e", 10) as draft:
        draft.write(bytes(10))
        with pytest.raises(TooLargeError):
            draft.write(b"x")
    assert list((tmp_path / "e").iterdir()) == []
    left = tmp_path / "e" / ".left.draft"
    left.write_bytes(b"x")
    monkeypatch.setattr("api.custody.files.DRAFT_SECONDS", -1)
    with Draft(tmp_path / "e", 10) as draft:
        draft.write(b"x")
        draft.end()
        draft.keep()
    assert [path.name for path in (tmp_path / "e").iterdir()] == [draft.name]
    monkeypatch.setattr("api.custody.files.RESERVE_BYTES", 2**60)
    with pytest.raises(NoRoomError):
        Draft(tmp_path / "e", 10)


def test_a_backup_holds_the_files_and_brings_them_back(
    system_running: Running, tmp_path: Path, empty_database: DatabaseSettings
) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = [done(take(client, number, content), 201) for content in (bytes(100_000), b"two")]
    files = {path.name: path.read_bytes() for path in folder(system_running)}
    services, place = system_running.services, system_running.services.settings.evidence_place
    told = back_up(services.database, tmp_path / "backup", place)
    assert ({file.name for file in told.files}, told.damaged) == (set(files), ())
    other = Settings(data=tmp_path / "other", database=empty_database)
    target = Database.of(other)
    broken = tmp_path / "broken"
    broken.write_bytes((tmp_path / "backup").read_bytes())
    rewritten(lambda content: content.update({f"evidence/{next(iter(files))}": b"another"}))(broken)
    with pytest.raises(BackupError, match="damaged: file"):
        restore(target, broken, other.evidence_place)
    assert not other.evidence_place.exists()
    assert restore(target, tmp_path / "backup", other.evidence_place) == told
    with pytest.raises(BackupError, match="holds tables already"):
        restore(target, tmp_path / "backup", other.evidence_place)
    target.close()
    assert {path.name: path.read_bytes() for path in other.evidence_place.iterdir()} == files
    with running(other.data, database=other.database) as served:
        again = served.sign_in(taken[0]["taken_by"])
        path = f"/api/incidents/{number}/evidence/{taken[1]['id']}"
        assert again.get(f"{path}/content").content == b"two"
        assert done(again.get(f"{path}/verification"))["intact"]
        done(take(again, number, b"three"), 201)
    # What is not as it was taken keeps nobody from a backup, and is told.
    gone, other_now = (place / name for name in files)
    gone.unlink()
    other_now.chmod(0o600)
    other_now.write_bytes(b"x")
    told = back_up(services.database, tmp_path / "second", place)
    assert (set(told.damaged), len(told.files), len(told.missing)) == (set(files), 1, 1)


@SQLITE_ONLY
def test_a_file_that_changes_while_it_is_sent_ends_early(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    taken = done(take(client, number, b"before"), 201)
    file = system_running.services.settings.evidence_place / row(system_running, taken["id"]).file

    def check(*given: Any) -> int:
        crc = looked(*given)
        file.chmod(0o600)
        file.write_bytes(b"beforE")
        return crc

    from api.custody import files  # noqa: PLC0415  its function is what is replaced

    looked = files.check
    monkeypatch.setattr("api.custody.files.check", check)
    with pytest.raises(Exception, match="peer closed connection"):
        client.get(f"/api/incidents/{number}/evidence/{taken['id']}/content")
    assert [each["detail"]["how"] for each in audited(system_running, "evidence.damaged")] == ["changed"]


def test_hashes_are_those_of_the_whole_however_it_comes() -> None:
    hashing = Hashing()
    for piece in (b"ab", b"", b"c"):
        hashing.update(piece)
    found = hashing.end()
    # GB/T 32905-2016, annex A.1.
    assert found.sm3 == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert (found.size, found.sha256, hashing.crc) == (3, hashlib.sha256(b"abc").hexdigest(), 0x352441C2)
