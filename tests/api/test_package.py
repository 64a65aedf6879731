"""Packages of evidence in the hands of others: `verify.py` finds whatever is not as it was given out, and says what."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.audit import keys
from api.custody import package, verify
from api.custody.package import Part
from api.custody.verify import Archive, Folder, Sm3, Verification, by_command, by_library, canonical, parse
from tests.api.alerts import upsert
from tests.api.conftest import running
from tests.api.test_custody import TO, take
from tests.api.test_incidents import alert_id, declare, done

if TYPE_CHECKING:
    from collections.abc import Callable

PYTHON = os.path.realpath(sys.executable)
"""The interpreter that the environment was made from."""

QUIET = settings(
    max_examples=200, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


class Given(NamedTuple):
    """A package as it was given out.

    Attributes:
        archive: its bytes.
        key: the operator's public key.
        chains: ids of its pieces.
    """

    archive: bytes
    key: bytes
    ids: list[int]

    def files(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.archive)) as opened:
            return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Two pieces, one of which went through several hands, a snapshot, and all that goes with them."""
    with running(tmp_path_factory.mktemp("package")) as served:
        served.alerts(upsert(1), drill=1)
        client = served.signed_in("responder", name="林")
        number = declare(client, alerts=[alert_id(1)])["number"]
        path = f"/api/incidents/{number}/evidence"
        taken = [done(take(client, number, content), 201)["id"] for content in (b"one\n" * 50, bytes(range(256)))]
        for receiver in ("Zhao", "Qian", "Sun"):
            body = {"giver": "林", "receiver": receiver, "reason": "\u2028 \U0001f512 保管"}
            done(client.post(f"{path}/{taken[0]}/custody", json=body), 201)
        taken.append(done(client.post(f"{path}/snapshot", json={"reason": "x"}), 201)["id"])
        done(client.get(f"{path}/{taken[1]}/verification"))
        client.get(f"{path}/{taken[1]}/content")
        archive = client.post(f"{path}/package", json=TO)
        assert archive.status_code == 200
        return Given(archive.content, served.signed_in("administrator").get("/api/audit/key").content, taken)


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def found(folder: Path, files: dict[str, bytes], key: bytes | None = None) -> list[tuple[str, dict[str, Any]]]:
    return Verification(Folder(unpacked(folder, files)), key).faults


def run(*arguments: str | Path, script: Path, **environment: str) -> tuple[int, str]:
    """The script as others start it: an isolated interpreter, here without any package that was installed."""
    command = [PYTHON, "-I", "-S", str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env={"PATH": os.environ["PATH"], **environment}, check=False, cwd="/")
    assert done.stderr == b"", done.stderr.decode()
    return done.returncode, done.stdout.decode()


def signed_anew(files: dict[str, bytes], change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, bytes]:
    """The package as a forger makes it: hashes as they must be, signed with a key of his own."""
    key = Ed25519PrivateKey.generate()
    files = {**files, "key.pem": keys.pem(key.public_key()).encode()}
    manifest = json.loads(files["manifest.json"])
    manifest["key"] = keys.identity(key.public_key())
    for each in manifest["files"]:
        part = Part.of(each["name"], files[each["name"]])
        each.update(size=part.hashes.size, sha256=part.hashes.sha256, sm3=part.hashes.sm3)
    change(manifest)
    files["manifest.json"] = rfc8785.dumps(manifest)
    return {**files, "manifest.json.sig": key.sign(files["manifest.json"])}


def test_the_script_of_a_package_verifies_it_with_plain_python(made: Given, tmp_path: Path) -> None:
    without = [PYTHON, "-I", "-S", "-c", "import cryptography"]
    assert subprocess.run(without, capture_output=True, check=False).returncode != 0
    folder = unpacked(tmp_path / "unpacked", made.files())
    archive = tmp_path / "evidence.zip"
    archive.write_bytes(made.archive)
    (tmp_path / "operator.pem").write_bytes(made.key)
    script = folder / "verify.py"
    name = verify.name_of_key(made.key)
    told = subprocess.run(["python3", "-I", "verify.py"], capture_output=True, check=True, text=True, cwd=folder).stdout
    assert "INTACT" in told
    for place in ((), (archive,)):
        status, told = run(*place, script=script)
        assert (status, name in told) == (0, True)
        assert "INTACT: 11 files, 3 pieces of evidence, 9 custody entries and 17 audit entries" in told
        assert told.startswith("This is from a drill.")
    status, told = run(archive, "--key", tmp_path / "operator.pem", "--language", "zh-CN", script=script)
    assert (status, "所用密钥为您提供的密钥" in told) == (0, True)
    other = keys.pem(Ed25519PrivateKey.generate().public_key())
    (tmp_path / "other.pem").write_text(other)
    status, told = run(archive, "--key", tmp_path / "other.pem", script=script)
    assert (status, "is not the one that signed" in told) == (1, True)
    # Without OpenSSL nothing can verify who signed: that is no success.
    status, told = run(archive, script=script, PATH="/nowhere")
    assert (status, "THE SIGNATURE WAS NOT VERIFIED" in told) == (3, True)
    assert run(tmp_path / "nothing", script=script)[0] == 2


def test_the_script_says_what_was_changed_dropped_added_or_moved(made: Given, tmp_path: Path) -> None:
    files, script = made.files(), Path(verify.__file__)
    first, second, _ = made.ids
    item = f"items/{first:06}.bin"
    lines = files["custody.jsonl"].splitlines(keepends=True)
    for changed, told in (
        ({item: files[item][:-1] + b"x"}, f"{item}: was changed (sha256, sm3 is another)"),
        ({item: files[item] + b"x"}, f"{item}: was changed (size, sha256, sm3 is another)"),
        ({item: None}, f"{item}: is missing"),
        ({"items/9.bin": b""}, "items/9.bin: does not belong to the package"),
        ({"items/.DS_Store": b"x"}, "items/.DS_Store: does not belong to the package; programs that show folders"),
        ({"manifest.json.sig": None}, "manifest.json.sig: is missing"),
        ({"manifest.json": None}, "manifest.json: is missing"),
        ({"manifest.json": files["manifest.json"].replace(TO["receiver"].encode(), b"Officer Zhou")}, "is not the signature"),
        ({"manifest.json": files["manifest.json"] + b"\n"}, "is not in the form"),
        ({"README.en.md": b""}, "README.en.md: was changed"),
        ({"custody.jsonl": b"".join([lines[1], lines[0], *lines[2:]])}, f"custody of evidence {first}: entry 2 is not where"),
        ({"custody.jsonl": b"".join([lines[0], *lines[2:]])}, f"custody of evidence {first}: entry 3 is not where it belongs"),
        ({"custody.jsonl": files["custody.jsonl"].replace(b'"Qian"', b'"Sun"')}, f"evidence {first}: entry 3 was changed"),
    ):  # fmt: skip
        folder = unpacked(
            tmp_path / "p", {name: content for name, content in {**files, **changed}.items() if content is not None}
        )
        status, said = run(folder, script=script)
        assert (status, told in said) == (1, True), (told, said)
    assert second != first


def test_custody_that_was_put_in_another_order_is_found_whoever_signed(made: Given, tmp_path: Path) -> None:
    """Hashes of files and the signature are a forger's own here: the chains still tell."""
    files = made.files()
    first = made.ids[0]
    lines = files["custody.jsonl"].splitlines(keepends=True)
    assert found(tmp_path / "p", signed_anew(files)) == [("checkpoint_signature", {})]
    assert found(tmp_path / "p", signed_anew(files), made.key)[0][0] == "key_given"

    def kinds_of(custody: list[bytes], change: Callable[[dict[str, Any]], None] = lambda _: None) -> set[str]:
        told = found(tmp_path / "p", signed_anew({**files, "custody.jsonl": b"".join(custody)}, change))
        return {kind for kind, _ in told} - {"checkpoint_signature", "custody_trail"}

    assert kinds_of([lines[0], lines[2], lines[1], *lines[3:]]) == {"custody_order", "custody_chain"}
    renumbered = [json.loads(line) for line in (lines[0], lines[2], lines[1])]
    for number, entry in enumerate(renumbered, start=1):
        entry["number"] = number
    assert kinds_of([*(rfc8785.dumps(each) + b"\n" for each in renumbered), *lines[3:]]) == {"custody_changed", "custody_chain"}
    assert kinds_of([*lines[:4], *lines[5:]]) == {"custody_end"}, "the last one of a piece was cut"
    assert kinds_of(lines, lambda manifest: manifest["items"][0].update(taken_by="zhou")) == {"custody_chain"}
    assert kinds_of(lines, lambda manifest: manifest["items"].pop()) == {"custody_stray", "added"}
    assert kinds_of(lines, lambda manifest: manifest["items"][0].update(sm3="0" * 64)) == {"item", "custody_chain"}
    trail = files["audit.jsonl"].splitlines(keepends=True)
    for changed, told in (
        ([trail[1], trail[0], *trail[2:]], "audit_order"),
        ([trail[0].replace(b'"kind":"taken"', b'"kind":"token"'), *trail[1:]], "audit_changed"),
    ):
        faults = found(tmp_path / "p", signed_anew({**files, "audit.jsonl": b"".join(changed)}))
        assert told in {kind for kind, _ in faults}
    assert first


def test_a_checksum_of_the_archive_that_is_another_is_told(made: Given, tmp_path: Path) -> None:
    """No hash is over it, and programs that unpack archives refuse what does not have it."""
    path = tmp_path / "changed.zip"
    for name in (f"items/{made.ids[0]:06}.bin", "manifest.json"):
        crc = struct.pack("<L", zlib.crc32(made.files()[name]))
        assert made.archive.count(crc) == 2
        path.write_bytes(made.archive.replace(crc, bytes(4)))
        assert Verification(Archive(path)).faults == [("archive", {"name": name})]


def test_a_clock_that_was_set_back_is_told_and_is_no_fault(made: Given, tmp_path: Path) -> None:
    files = made.files()
    entries = [json.loads(line) for line in files["custody.jsonl"].splitlines()]
    entries[2]["at"] = "2020-01-01T00:00:00.000000000Z"
    files["custody.jsonl"] = b"".join(rfc8785.dumps(each) + b"\n" for each in entries)
    told = Verification(Folder(unpacked(tmp_path / "p", files)))
    assert told.notes == [("clock", {"id": made.ids[0], "number": 3})]
    assert "clock" not in {kind for kind, _ in told.faults}


def test_a_library_without_the_algorithm_leaves_it_to_openssl(made: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: bytes) -> None:
        raise UnsupportedAlgorithm("Ed25519")

    monkeypatch.setattr(Ed25519PublicKey, "from_public_bytes", none)
    assert verify.by_library(made.key, b"x", bytes(64)) is None


@QUIET
@given(data=st.data())
def test_no_byte_of_an_archive_changes_unseen(made: Given, tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(made.archive) - 1))
    bits = data.draw(st.integers(1, 255))
    changed = bytearray(made.archive)
    changed[place] ^= bits
    path = tmp_path / "changed.zip"
    path.write_bytes(changed)
    assert Verification(Archive(path)).faults


@QUIET
@given(data=st.data())
def test_no_archive_that_was_cut_lengthened_or_put_together_otherwise_is_taken(
    made: Given, tmp_path: Path, data: st.DataObject
) -> None:
    whole = made.archive
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    to = data.draw(st.integers(0, len(whole) - (end - begin)))
    put = data.draw(st.sampled_from(["cut", "doubled", "moved", "longer"]))
    rest = whole[:begin] + whole[end:]
    changed = {
        "cut": rest, "doubled": whole[:end] + whole[begin:], "moved": rest[:to] + whole[begin:end] + rest[to:],
        "longer": whole + data.draw(st.binary(min_size=1, max_size=30)),
    }[put]  # fmt: skip
    assume(changed != whole)
    path = tmp_path / "changed.zip"
    path.write_bytes(changed)
    assert Verification(Archive(path)).faults


@QUIET
@given(data=st.data())
def test_no_file_of_a_package_is_changed_dropped_added_or_exchanged_unseen(
    made: Given, tmp_path: Path, data: st.DataObject
) -> None:
    files = made.files()
    name, other = (data.draw(st.sampled_from(sorted(files))) for _ in range(2))
    match data.draw(st.sampled_from(["flip", "drop", "add", "exchange", "lines", "cut"])):
        case "flip":
            place = data.draw(st.integers(0, len(files[name]) - 1))
            changed = {name: files[name][:place] + bytes([files[name][place] ^ 1 << place % 8]) + files[name][place + 1 :]}
        case "drop":
            changed = {name: None}
        case "add":
            changed = {data.draw(st.sampled_from(["x", "items/x", "manifest.json.sig2", "a/b"])): files[name]}
        case "exchange":
            changed = {name: files[other], other: files[name]}
        case "lines":
            name = data.draw(st.sampled_from(["custody.jsonl", "audit.jsonl"]))
            lines = files[name].splitlines(keepends=True)
            changed = {name: b"".join(data.draw(st.permutations(lines)))}
        case _:
            changed = {name: files[name][: data.draw(st.integers(0, len(files[name]) - 1))]}
    after = {each: content for each, content in {**files, **changed}.items() if content is not None}
    assume(after != files)
    told = found(tmp_path / "p", after)
    names = {str(values.get("name")) for _, values in told}
    assert told
    # Whatever a file of the manifest is, it is named; of the manifest and its signature one says so for both.
    for each in changed.keys() - {"manifest.json", "manifest.json.sig"}:
        if after.get(each) != files.get(each) and "manifest.json" not in changed:
            assert each in names, (each, told)


def test_an_archive_that_was_packed_anew_is_told_to_be_unpacked(made: Given, tmp_path: Path) -> None:
    path = tmp_path / "anew.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in made.files().items():
            archive.writestr(name, content)
    status, told = run(path, script=Path(verify.__file__))
    assert (status, "unpack it and verify the folder" in told) == (1, True)


def test_what_a_hostile_package_is_called_does_not_command_the_terminal(made: Given, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "p", {**made.files(), "items/\x1b[2Jx": b""})
    (folder / "link").symlink_to("/etc/passwd")
    status, told = run(folder, script=Path(verify.__file__))
    assert (status, "\x1b" in told, "link: is no plain file" in told) == (1, False, True)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_sm3_in_python_is_sm3(pieces: list[bytes]) -> None:
    ours, theirs = Sm3(), hashes.Hash(hashes.SM3())
    for piece in pieces:
        ours.update(piece)
        theirs.update(piece)
    assert ours.hexdigest() == theirs.finalize().hex()


def test_sm3_in_python_is_used_where_the_library_lacks_it(made: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GB/T 32905-2016, annex A.2.
    known = Sm3()
    known.update(b"abcd" * 16)
    assert known.hexdigest() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"

    def none(name: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr("hashlib.new", none)
    assert isinstance(verify.sm3(), Sm3)
    assert found(tmp_path / "p", made.files()) == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(JSON)
def test_canonical_json_of_the_script_is_that_of_the_library(value: Any) -> None:
    text = rfc8785.dumps(value)
    assert canonical(parse(text)) == text


def test_json_that_is_not_canonical_is_refused() -> None:
    for text in (b'{"b":1,"a":1}', b'{"a":1,"a":2}', b'{"a": 1}', b'"\\u0061"', b"NaN", b"[1,]", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse(text)


@pytest.mark.parametrize("way", [by_library, by_command])
def test_either_way_a_signature_is_told_from_another(way: Callable[[bytes, bytes, bytes], bool | None]) -> None:
    key = Ed25519PrivateKey.generate()
    pem = keys.pem(key.public_key()).encode()
    assert verify.name_of_key(pem) == keys.identity(key.public_key())
    signature = key.sign(b"manifest")
    assert way(pem, b"manifest", signature) is True
    assert way(pem, b"manifesT", signature) is False
    assert way(pem, b"manifest", signature[:-1] + bytes([signature[-1] ^ 1])) is False
    assert verify.holds(pem, b"manifest", signature[:-1]) is False


def test_an_archive_is_as_long_as_is_said_before(made: Given) -> None:
    parts = [Part.of(name, content) for name, content in made.files().items()]
    assert package.size(parts) == len(made.archive)
    assert b"".join(package.archive(parts)) == made.archive
