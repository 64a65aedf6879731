#!/usr/bin/env python3
"""Verify a package of evidence, offline.

    python3 -I verify.py [PACKAGE.zip | FOLDER] [--key FILE] [--language en|zh-CN]

Without a place: the folder that this script lies in. Python 3.8 or later, nothing else; the signature is verified with the
package `cryptography` or with OpenSSL 3 (`openssl`), whichever there is. Exit status: 0, all is as it was given out and the
signature holds; 1, something is not; 2, the package cannot be read; 3, all fits together, but nothing here can verify who signed.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import locale
import os
import stat
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIND = "icsight.evidence.package"
"""What a manifest says it is."""

FORMAT = 1
"""Version of the package's layout."""

MANIFEST, SIGNATURE, KEY = "manifest.json", "manifest.json.sig", "key.pem"
CUSTODY, AUDIT, CHECKPOINT, ITEMS = "custody.jsonl", "audit.jsonl", "checkpoint.json", "items/"

IN_TRAIL, SUBJECT = "evidence.custody", "evidence/"
"""Entries of the audit trail that have the hash of a custody entry: their action, and of what they are (then its id)."""

TAKEN = "incident.evidence_taken"
"""Entries of the audit trail that tell the taking of a piece: their action."""

MOST_BYTES = 256 * 1024 * 1024
"""Longest text of a package that is read; items may be longer."""

DESKTOP = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that programs which show folders write into them."""

PIECE = 1024 * 1024
FIRST = "0" * 64
SIGNED_BYTES = 64
DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in a PEM file (RFC 8410)."""

TEXTS = {
    "en": {
        "intact": "INTACT: {files} files, {items} pieces of evidence, {entries} custody entries and {audit} audit entries are as "
        "they were given out.",
        "broken": "NOT INTACT: {count} things are not as they were given out:",
        "signed_given": "The signature holds, by the key that you gave ({key}).",
        "signed_own": "The signature holds, by the key in the package, which calls itself {key}. Whoever made another package "
        "could have put another key in: compare this name with the one that the operator told you, or give their key with --key.",
        "unsigned": "THE SIGNATURE WAS NOT VERIFIED: there is neither the Python package cryptography nor OpenSSL 3 here. All "
        "fits together, but who made it is not shown, and all of it could have been made anew.",
        "drill": "This is from a drill.",
        "clock": "custody of evidence {id}: entry {number} has an earlier time than the one before: a clock was set back. "
        "Their order is not in doubt.",
        "older": "custody of evidence {id}: up to entry {number} it is from before custody was in the audit trail (entry {since} "
        "of the trail), which told its taking then; its own chain and the signature alone stand for these entries.",
        "unreadable": "{place}: cannot be read ({reason})",
        "slow": "SM3 is computed without a library here: this takes a while.",
        "archive": "the archive is not as it was written, at {name}: if somebody packed it anew, unpack it and verify the folder",
        "missing": "{name}: is missing",
        "added": "{name}: does not belong to the package",
        "added_by_desktop": "{name}: does not belong to the package; programs that show folders write such files: remove it",
        "changed": "{name}: was changed ({differs} is another)",
        "unplain": "{name}: is no plain file",
        "form": "{name}: is not in the form in which it was written ({reason})",
        "kind": "manifest.json: is no manifest of evidence that this script knows",
        "signature": "manifest.json.sig: is not the signature of this manifest by this key",
        "key": "key.pem: is not the key that the manifest names",
        "key_given": "the key that you gave ({given}) is not the one that signed ({key})",
        "item": "evidence {id}: the manifest does not say the same of it and of its file {name}",
        "custody_order": "custody of evidence {id}: entry {number} is not where it belongs",
        "custody_changed": "custody of evidence {id}: entry {number} was changed",
        "custody_chain": "custody of evidence {id}: entry {number} does not follow the one before",
        "custody_end": "custody of evidence {id}: the last entries are missing, or others were added",
        "custody_stray": "custody: entries of evidence {id}, which is not in the package",
        "custody_trail": "custody of evidence {id}: the audit trail says something else of entry {number}, or of none",
        "audit_changed": "audit entry {number}: was changed",
        "audit_order": "audit entry {number}: is not where it belongs",
        "checkpoint": "checkpoint.json: does not fit the audit entries",
        "checkpoint_signature": "checkpoint.json: is not signed by this key",
    },
    "zh-CN": {
        "intact": "完好：{files} 个文件、{items} 份证据、{entries} 条保管记录和 {audit} 条审计记录与移交时一致。",
        "broken": "不完好：有 {count} 处与移交时不一致：",
        "signed_given": "签名有效，所用密钥为您提供的密钥（{key}）。",
        "signed_own": "签名有效，所用密钥为包内密钥，其名称为 {key}。伪造者可能放入另一把密钥："
        "请将此名称与运营单位告知您的名称核对，或用 --key 提供其公钥。",
        "unsigned": "未验证签名：本机既没有 Python 包 cryptography，也没有 OpenSSL 3。"
        "各部分相互吻合，但无法证明出自何人，也可能全部重新制作。",
        "drill": "本证据来自演练。",
        "clock": "证据 {id} 的保管记录：第 {number} 条的时间早于前一条，系时钟曾被调回；其次序无疑。",
        "older": "证据 {id} 的保管记录：第 {number} 条及以前的记录早于保管记录写入审计记录之时（审计记录第 {since} 条），"
        "当时的审计记录载有其取得；这些记录仅由其自身哈希链和签名证明。",
        "unreadable": "{place}：无法读取（{reason}）",
        "slow": "本机没有 SM3 库，改用脚本自带实现计算，需要一些时间。",
        "archive": "压缩包与写入时不一致，位置：{name}；如果有人重新打包，请解压后验证文件夹",
        "missing": "{name}：缺失",
        "added": "{name}：不属于本证据包",
        "added_by_desktop": "{name}：不属于本证据包；此类文件由显示文件夹的程序写入，请删除后重新验证",
        "changed": "{name}：已被改动（{differs} 不一致）",
        "unplain": "{name}：不是普通文件",
        "form": "{name}：格式与写入时不一致（{reason}）",
        "kind": "manifest.json：不是本脚本认识的证据清单",
        "signature": "manifest.json.sig：不是该密钥对此清单的签名",
        "key": "key.pem：不是清单所指的密钥",
        "key_given": "您提供的密钥（{given}）不是签名所用的密钥（{key}）",
        "item": "证据 {id}：清单对它和对文件 {name} 的说法不一致",
        "custody_order": "证据 {id} 的保管记录：第 {number} 条不在应在的位置",
        "custody_changed": "证据 {id} 的保管记录：第 {number} 条已被改动",
        "custody_chain": "证据 {id} 的保管记录：第 {number} 条与前一条不相接",
        "custody_end": "证据 {id} 的保管记录：末尾缺少记录，或添加了记录",
        "custody_stray": "保管记录：含有不在包内的证据 {id} 的记录",
        "custody_trail": "证据 {id} 的保管记录：第 {number} 条与审计记录不符，或在审计记录中没有",
        "audit_changed": "审计记录 {number}：已被改动",
        "audit_order": "审计记录 {number}：不在应在的位置",
        "checkpoint": "checkpoint.json：与审计记录不符",
        "checkpoint_signature": "checkpoint.json：不是该密钥的签名",
    },
}


class UnreadableError(Exception):
    """The package cannot be read. The text says why."""


# The archive: files as they are, one behind the other, every byte of the frame fixed, so that none can change unseen.

VERSION, STORED, DAY = 20, 0, 0x21
"""Of the format (APPNOTE.TXT 2.0), of the method, and 1980-01-01: when a file was made is in the manifest."""

ARCHIVE_BYTES = 2**32 - 1
"""Longest archive that this form can say."""


def local_header(name: str, crc: int, size: int) -> bytes:
    """What stands before a file."""
    fields = (b"PK\3\4", VERSION, 0, STORED, 0, DAY, crc, size, size, len(name.encode()), 0)
    return struct.pack("<4s5H3L2H", *fields) + name.encode()


def central_header(name: str, crc: int, size: int, offset: int) -> bytes:
    """What the archive's directory says of a file. It was made on Unix, and is readable by all."""
    fields = (
        b"PK\1\2", 3 << 8 | VERSION, VERSION, 0, STORED, 0, DAY, crc, size, size, len(name.encode()), 0, 0, 0, 0, 0o100644 << 16,
        offset,
    )  # fmt: skip
    return struct.pack("<4s6H3L5H2L", *fields) + name.encode()


def end_of_archive(count: int, size: int, offset: int) -> bytes:
    """What stands at the end: how many files, how long the directory is, and where."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, offset, 0)


class Archive:
    """The package as one file. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._crcs: dict[str, int] = {}
        self.faults: list[tuple[str, dict[str, Any]]] = []
        with path.open("rb") as file:
            self._follow(file)

    def _follow(self, file: Any) -> None:
        directory, offset = b"", 0
        total = os.fstat(file.fileno()).st_size
        while True:
            file.seek(offset)
            head = file.read(30)
            if head[:4] != b"PK\3\4" or len(head) < 30:
                break
            fields = struct.unpack("<4s5H3L2H", head)
            crc, size = fields[6], fields[7]
            raw = file.read(fields[9])
            name, begin = raw.decode("utf-8", "replace"), offset + 30 + len(raw)
            if name in self._places or head + raw != local_header(name, crc, size) or begin + size > total:
                self.faults.append(("archive", {"name": name}))
                return
            directory += central_header(name, crc, size, offset)
            self._places[name], self._crcs[name] = (begin, size), crc
            offset = begin + size
        end = directory + end_of_archive(len(self._places), len(directory), offset)
        file.seek(offset)
        if file.read(len(end) + 1) != end:
            self.faults.append(("archive", {"name": f"byte {offset}"}))

    def names(self) -> list[str]:
        """The files that it holds."""
        return list(self._places)

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file, piece by piece."""
        place, left = self._places[name]
        with self._path.open("rb") as file:
            file.seek(place)
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise UnreadableError(name)
                yield piece
                left -= len(piece)

    def crc(self, name: str) -> int | None:
        """What the archive says that a file's CRC-32 is: other programs look at that."""
        return self._crcs[name]


class Folder:
    """The package unpacked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self.faults: list[tuple[str, dict[str, Any]]] = []
        for each in sorted(path.rglob("*")):
            name, mode = each.relative_to(path).as_posix(), each.lstat().st_mode
            if stat.S_ISREG(mode):
                self._names.append(name)
            elif not stat.S_ISDIR(mode):
                self.faults.append(("unplain", {"name": name}))

    def names(self) -> list[str]:
        """The files that it holds."""
        return self._names

    def crc(self, name: str) -> int | None:
        """Nothing: a folder does not say it."""
        del name

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file, piece by piece."""
        with (self._path / name).open("rb") as file:
            while True:
                piece = file.read(PIECE)
                if not piece:
                    return
                yield piece


# SM3 (GB/T 32905-2016), for where Python's own library lacks it.


class Sm3:
    """SM3 over what is given piece by piece."""

    _START = (0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E)

    def __init__(self) -> None:
        self._state = self._START
        self._rest = b""
        self._size = 0

    def update(self, piece: bytes) -> None:
        """Take a piece."""
        self._size += len(piece)
        whole = self._rest + piece
        end = len(whole) - len(whole) % 64
        for begin in range(0, end, 64):
            self._state = _compress(self._state, whole[begin : begin + 64])
        self._rest = whole[end:]

    def hexdigest(self) -> str:
        """The hash, in hexadecimal digits."""
        state, padded = self._state, self._rest + b"\x80"
        padded += bytes(-(len(padded) + 8) % 64) + struct.pack(">Q", self._size * 8)
        for begin in range(0, len(padded), 64):
            state = _compress(state, padded[begin : begin + 64])
        return struct.pack(">8L", *state).hex()


def _turn(word: int, bits: int) -> int:
    bits %= 32
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF


def _compress(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    words = list(struct.unpack(">16L", block))
    for number in range(16, 68):
        mixed = words[number - 16] ^ words[number - 9] ^ _turn(words[number - 3], 15)
        mixed ^= _turn(mixed, 15) ^ _turn(mixed, 23)
        words.append(mixed ^ _turn(words[number - 13], 7) ^ words[number - 6])
    a, b, c, d, e, f, g, h = state
    for number in range(64):
        early = number < 16
        one = _turn((_turn(a, 12) + e + _turn(0x79CC4519 if early else 0x7A879D8A, number)) & 0xFFFFFFFF, 7)
        two = one ^ _turn(a, 12)
        first = a ^ b ^ c if early else a & b | a & c | b & c
        second = e ^ f ^ g if early else e & f | ~e & g
        one_more = (first + d + two + (words[number] ^ words[number + 4])) & 0xFFFFFFFF
        other = (second + h + one + words[number]) & 0xFFFFFFFF
        a, b, c, d = one_more, a, _turn(b, 9), c
        e, f, g, h = other ^ _turn(other, 9) ^ _turn(other, 17), e, _turn(f, 19), g
    return tuple(before ^ after for before, after in zip(state, (a, b, c, d, e, f, g, h)))  # noqa: B905  Python 3.8 and 3.9 have no `strict`


def sm3() -> Any:
    """SM3 of Python's library, which is fast, or the one above."""
    try:
        return hashlib.new("sm3")
    except ValueError:
        return Sm3()


# JSON in canonical form (RFC 8785).


class Raw(str):
    """A number with a fraction or an exponent as it is written: in canonical JSON there is one way to write it."""

    __slots__ = ()


def parse(text: bytes) -> Any:
    """What a text says. Raises ValueError where it is not canonical JSON."""
    value = json.loads(text.decode(), parse_float=Raw, parse_constant=_no_number)
    if canonical(value) != text:
        raise ValueError("not canonical")
    return value


def _no_number(text: str) -> None:
    raise ValueError(text)


def canonical(value: Any) -> bytes:
    """A value in canonical JSON. Raises ValueError where it has none."""
    return _written(value).encode()


def _written(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        names = sorted(named, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(_written(name) + ":" + _written(named[name]) for name in names) + "}"
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        return "[" + ",".join(map(_written, listed)) + "]"
    return json.dumps(value, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of a value in canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    """A part of an object."""
    return {name: inner for name, inner in value.items() if name not in names}


# The signature: Ed25519.


def raw_key(pem: bytes) -> bytes:
    """The 32 bytes of a public key. Raises ValueError."""
    lines = [line.strip() for line in pem.decode("ascii").strip().splitlines()]
    if len(lines) < 3 or (lines[0], lines[-1]) != ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"):
        raise ValueError("no public key")
    der = base64.b64decode("".join(lines[1:-1]), validate=True)
    if len(der) != len(DER) + 32 or not der.startswith(DER):
        raise ValueError("no Ed25519 key")
    return der[len(DER) :]


def name_of_key(pem: bytes) -> str:
    """What a key is called: the first 16 hexadecimal digits of the SHA-256 of its bytes. Raises ValueError."""
    return hashlib.sha256(raw_key(pem)).hexdigest()[:16]


def holds(pem: bytes, message: bytes, signature: bytes) -> bool | None:
    """Whether a key has signed a message; None where nothing here can tell."""
    if len(signature) != SIGNED_BYTES:
        return False
    for way in WAYS:
        found = way(pem, message, signature)
        if found is not None:
            return found
    return None


def by_library(pem: bytes, message: bytes, signature: bytes) -> bool | None:
    """Asks the package `cryptography`."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415  it may not be there
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  as above
    except ImportError:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(raw_key(pem)).verify(signature, message)
    except InvalidSignature:
        return False
    except UnsupportedAlgorithm:
        # Where only what FIPS 140 lists may be used, older versions have no Ed25519.
        return None
    return True


def by_command(pem: bytes, message: bytes, signature: bytes) -> bool | None:
    """Asks the command `openssl`, version 3."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("key", "message", "signature")]
        for path, content in zip(paths, (pem, message, signature)):  # noqa: B905  Python 3.8 and 3.9 have no `strict`
            path.write_bytes(content)
        key, file, signed = map(str, paths)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", file, "-sigfile", signed]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)  # noqa: S603  fixed words, and files of ours
        except (OSError, subprocess.SubprocessError):
            return None
    if done.returncode == 0:
        return True
    return False if b"Verification Failure" in done.stdout else None


WAYS: list[Callable[[bytes, bytes, bytes], bool | None]] = [by_library, by_command]
"""What can verify a signature, in the order in which it is asked."""


# What is looked at.


class Verification:
    """Looks at a package.

    Args:
        package: the package.
        key: a public key that was got otherwise than in the package, in PEM; None where there is none.
        tell: is told what takes long.
    """

    def __init__(self, package: Archive | Folder, key: bytes | None = None, tell: Callable[[str], None] = lambda _: None) -> None:
        self._package = package
        self._given = key
        self._tell = tell
        self.faults = list(package.faults)
        self.signed: bool | None = None
        self.key = ""
        self.drill = False
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.counts = {"files": 0, "items": 0, "entries": 0, "audit": 0}
        self._hashes: dict[int, list[Any]] = {}
        try:
            self._look()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            self._fault("form", name=MANIFEST, reason=type(error).__name__)

    def _fault(self, what: str, **values: object) -> None:
        self.faults.append((what, values))

    def _look(self) -> None:
        if MANIFEST not in self._package.names():
            self._fault("missing", name=MANIFEST)
            return
        text = self._text(MANIFEST)
        manifest = parse(text)
        if (manifest["kind"], manifest["format"]) != (KIND, FORMAT):
            self._fault("kind")
            return
        self.key, self.drill = str(manifest["key"]), manifest["drill"] is True
        pem = self._key()
        self._signature(pem, text)
        self._files(manifest["files"])
        self._items(manifest["items"], manifest["files"])
        self._part(CUSTODY, lambda: self._custody(manifest["items"]))
        self._part(AUDIT, lambda: self._audit(pem, manifest["items"], manifest.get("custody_since", 0)))

    def _part(self, name: str, look: Callable[[], None]) -> None:
        """Look at a part: that it cannot be understood keeps nobody from looking at the others."""
        try:
            look()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            self._fault("form", name=name, reason=type(error).__name__)

    def _text(self, name: str) -> bytes:
        """A file that is no item; nothing where it is missing, which is told elsewhere."""
        if name not in self._package.names():
            return b""
        size = 0
        held: list[bytes] = []
        for piece in self._package.pieces(name):
            size += len(piece)
            if size > MOST_BYTES:
                raise ValueError("too long")
            held.append(piece)
        return b"".join(held)

    def _lines(self, name: str) -> list[Any]:
        return [parse(line) for line in self._text(name).split(b"\n") if line]

    def _key(self) -> bytes | None:
        """The key that the signature is verified with."""
        pem = self._given if self._given is not None else self._text(KEY)
        try:
            found = name_of_key(pem)
        except (ValueError, binascii.Error):
            self._fault("key")
            return None
        if found != self.key:
            if self._given is None:
                self._fault("key")
            else:
                self._fault("key_given", given=found, key=self.key)
            return None
        return pem

    def _signature(self, pem: bytes | None, text: bytes) -> None:
        if SIGNATURE not in self._package.names():
            self._fault("missing", name=SIGNATURE)
            return
        if pem is None:
            return
        self.signed = holds(pem, text, self._text(SIGNATURE))
        if self.signed is False:
            self._fault("signature")

    def _files(self, files: list[dict[str, Any]]) -> None:
        """Every file that was given out is there as it was, and no other."""
        names, there = [str(each["name"]) for each in files], set(self._package.names())
        for name in sorted(there - {*names, MANIFEST, SIGNATURE}):
            last = name.rpartition("/")[2]
            self._fault("added_by_desktop" if last in DESKTOP or last.startswith("._") else "added", name=name)
        if isinstance(sm3(), Sm3) and sum(each["size"] for each in files) > 4 * PIECE:
            self._tell("slow")
        for each in files:
            name = str(each["name"])
            if name not in there:
                self._fault("missing", name=name)
                continue
            size, crc, first, second = 0, 0, hashlib.sha256(), sm3()
            for piece in self._package.pieces(name):
                size, crc = size + len(piece), zlib.crc32(piece, crc)
                first.update(piece)
                second.update(piece)
            found = {"size": size, "sha256": first.hexdigest(), "sm3": second.hexdigest()}
            differ = [what for what, value in found.items() if value != each[what]]
            if differ:
                self._fault("changed", name=name, differs=", ".join(differ))
            elif self._package.crc(name) not in {None, crc}:
                self._fault("archive", name=name)
        for name in sorted({MANIFEST, SIGNATURE} & there):
            if self._package.crc(name) not in {None, zlib.crc32(self._text(name))}:
                self._fault("archive", name=name)
        self.counts["files"] = len(names)

    def _items(self, items: list[dict[str, Any]], files: list[dict[str, Any]]) -> None:
        """What is said of a piece of evidence is said of its file, too."""
        said = {each["name"]: [each[what] for what in ("size", "sha256", "sm3")] for each in files}
        for each in items:
            if said.get(each["path"]) != [each[what] for what in ("size", "sha256", "sm3")]:
                self._fault("item", id=each["id"], name=each["path"])
        for name in sorted({name for name in said if name.startswith(ITEMS)} - {each["path"] for each in items}):
            self._fault("added", name=name)
        self.counts["items"] = len(items)

    def _custody(self, items: list[dict[str, Any]]) -> None:
        """Each entry follows the one before, the first one what was taken, and the manifest knows the last."""
        entries: dict[int, list[dict[str, Any]]] = {}
        for entry in self._lines(CUSTODY):
            entries.setdefault(entry["evidence"], []).append(entry)
        for each in items:
            identity, before = each["id"], digest(without(each, "path", "custody"))
            mine = entries.pop(identity, [])
            for number, entry in enumerate(mine, start=1):
                if entry["number"] != number:
                    self._fault("custody_order", id=identity, number=entry["number"])
                if entry["hash"] != digest(without(entry, "hash")):
                    self._fault("custody_changed", id=identity, number=entry["number"])
                elif entry["previous_hash"] != before:
                    self._fault("custody_chain", id=identity, number=entry["number"])
                if number > 1 and entry["at"] < mine[number - 2]["at"]:
                    self.notes.append(("clock", {"id": identity, "number": entry["number"]}))
                before = entry["hash"]
            self._hashes[identity] = [[entry["number"], entry["hash"]] for entry in mine]
            if without(each["custody"], "untold") != {"entries": len(mine), "hash": before}:
                self._fault("custody_end", id=identity)
            self.counts["entries"] += len(mine)
        for identity in entries:
            self._fault("custody_stray", id=identity)

    def _audit(self, pem: bytes | None, items: list[dict[str, Any]], since: int) -> None:
        """Entries of the audit trail are as they were written, say the same of custody, and a checkpoint is about their trail."""
        last, last_hash = 0, ""
        taken: dict[int, Any] = {}
        told: dict[str, list[Any]] = {}
        for entry in self._lines(AUDIT):
            number = entry["number"]
            if entry["hash"] != digest(without(entry, "hash")):
                self._fault("audit_changed", number=number)
            if number <= last or (number == last + 1 and last and entry["previous_hash"] != last_hash):
                self._fault("audit_order", number=number)
            last, last_hash = number, entry["hash"]
            self.counts["audit"] += 1
            if entry["action"] == IN_TRAIL:
                told.setdefault(entry["subject"], []).append([entry["detail"]["number"], entry["detail"]["hash"]])
            if entry["action"] == TAKEN and number < since:
                taken.setdefault(entry["detail"]["item"], [entry["detail"][what] for what in ("size", "sha256", "sm3")])
        for each in items:
            mine, theirs = self._hashes.get(each["id"], []), told.get(SUBJECT + str(each["id"]), [])
            untold = each["custody"].get("untold", 0)
            if untold and taken.get(each["id"]) == [each[what] for what in ("size", "sha256", "sm3")]:
                # Custody was not in the trail yet: what it told of it then was compared when the package was made.
                self.notes.append(("older", {"id": each["id"], "number": untold, "since": since}))
                theirs = [*mine[:untold], *theirs]
            for number in range(1, max(len(mine), len(theirs)) + 1):
                if mine[number - 1 : number] != theirs[number - 1 : number]:
                    self._fault("custody_trail", id=each["id"], number=number)
                    break
        if CHECKPOINT not in self._package.names():
            return
        checkpoint = parse(self._text(CHECKPOINT).rstrip(b"\n"))
        if checkpoint["number"] < last or (checkpoint["number"] == last and checkpoint["hash"] != last_hash):
            self._fault("checkpoint")
        signature = base64.b64decode(checkpoint["signature"], validate=True)
        if pem is not None and holds(pem, canonical(without(checkpoint, "signature")), signature) is False:
            self._fault("checkpoint_signature")


def main(arguments: list[str] | None = None) -> int:
    """Say what was found; returns the exit status."""
    parser = argparse.ArgumentParser(description="Verify a package of evidence. 验证证据包。")
    parser.add_argument("package", nargs="?", type=Path, default=Path(__file__).resolve().parent, help="ZIP | folder")
    parser.add_argument("--key", type=Path, metavar="FILE", help="public key of the operator (PEM) | 运营单位公钥")
    parser.add_argument("--language", choices=sorted(TEXTS), default=None)
    asked = parser.parse_args(arguments)
    texts = TEXTS[asked.language or ("zh-CN" if (locale.getlocale()[0] or "").startswith("zh") else "en")]

    def say(what: str, **values: object) -> None:
        # What a hostile package calls its files must not command the terminal.
        text = "".join(each if each.isprintable() else "?" for each in texts[what].format(**values))
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.buffer.flush()

    try:
        key = None if asked.key is None else asked.key.read_bytes()
        package: Archive | Folder = Folder(asked.package) if asked.package.is_dir() else Archive(asked.package)
        found = Verification(package, key, say)
    except (OSError, UnreadableError) as error:
        say("unreadable", place=asked.package, reason=error)
        return 2
    if found.drill:
        say("drill")
    for what, values in found.notes:
        say(what, **values)
    if found.faults:
        say("broken", count=len(found.faults))
        for what, values in found.faults:
            say(what, **values)
        return 1
    say("intact", **found.counts)
    if found.signed is None:
        say("unsigned")
        return 3
    say("signed_own" if key is None else "signed_given", key=found.key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
