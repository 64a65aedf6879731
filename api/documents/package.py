"""What a Word file that somebody brings may hold: text, tables, pictures. What acts, or lies elsewhere, is refused.

A .docx file is a zip archive of XML parts and of relationships between them (ECMA-376, part 2). What is allowed is listed, and
everything else is refused: programs, controls, embedded files, links to other places, fields that fetch something.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from lxml import etree

from api.documents.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element as Element  # pyright: ignore[reportPrivateUsage]  lxml names it so

FILE_BYTES: Final = 2 * 1024 * 1024
"""Largest file."""

UNPACKED_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of all parts together, as they are when unpacked."""

PARTS: Final = 200
"""Most parts."""

DOCUMENT: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
"""Content type of the main part of a document without macros."""

EXTENSIONS: Final = frozenset({"xml", "rels", "png", "jpg", "jpeg", "gif"})
"""What parts may be called."""

RELATIONSHIPS: Final = frozenset(
    (
        "officeDocument", "core-properties", "extended-properties", "custom-properties", "styles", "stylesWithEffects",
        "numbering", "settings", "webSettings", "fontTable", "theme", "header", "footer", "footnotes", "endnotes", "comments",
        "image", "thumbnail", "customXml", "customXmlProps",
    )
)  # fmt: skip
"""Last words of the types of relationships that there may be."""

FIELDS: Final = frozenset(
    (
        "AUTHOR", "CREATEDATE", "DATE", "NUMPAGES", "PAGE", "PAGEREF", "REF", "SAVEDATE", "SECTION", "SECTIONPAGES", "SEQ",
        "STYLEREF", "SUBJECT", "TIME", "TITLE", "TOC",
    )
)  # fmt: skip
"""Fields that there may be: they tell of the document itself."""

_WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TYPES: Final = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_PLACES: Final = frozenset({"src", "href", "{urn:schemas-microsoft-com:office:office}href"})
_FETCHING: Final = frozenset(f"{_WORD}{name}" for name in ("altChunk", "subDoc", "object", "control", "mailMerge"))
_ACTIVE: Final = re.compile(r"macro|vba|activex|oleobject", re.IGNORECASE)


def check(file: bytes, most: int = FILE_BYTES) -> None:
    """See that a file of so many bytes at most is a Word document that may be used. Raises Fault."""
    if len(file) > most:
        raise Fault("template_large", most=str(most))
    parts = _unpacked(file)
    if "[Content_Types].xml" not in parts or "_rels/.rels" not in parts:
        raise Fault("template_unreadable", reason="it is a zip archive, and no Word document")
    trees = {name: _tree(name, content) for name, content in parts.items() if name.endswith((".xml", ".rels"))}
    types = {str(each.get("ContentType", "")) for each in trees["[Content_Types].xml"]}
    for kind in sorted(types):
        if _ACTIVE.search(kind):
            raise Fault("template_active", found=kind)
    for name in sorted(parts):
        if name.rpartition(".")[2].lower() not in EXTENSIONS:
            raise Fault("template_active", found=name)
    for name, tree in trees.items():
        if name.endswith(".rels"):
            _check_relationships(name, tree)
        else:
            _check_content(name, tree)
    if DOCUMENT not in types or _main(trees) != DOCUMENT:
        raise Fault("template_unreadable", reason="its main part is no document of Word")


def _unpacked(file: bytes) -> Mapping[str, bytes]:
    """The parts by name. No more is unpacked than may be, whatever the archive says of itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            entries = archive.infolist()
            if len(entries) > PARTS:
                raise Fault("template_large", most=f"{PARTS} parts")
            parts: dict[str, bytes] = {}
            left = UNPACKED_BYTES
            for entry in entries:
                if entry.filename in parts or entry.filename.startswith("/") or ".." in entry.filename.split("/"):
                    raise Fault("template_unreadable", reason=f"part {entry.filename[:100]!r} stands there twice, or outside")
                if entry.flag_bits & 1 or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    raise Fault("template_unreadable", reason="it is encrypted, or packed in another way than Word does")
                if entry.is_dir():
                    continue
                with archive.open(entry) as opened:
                    parts[entry.filename] = opened.read(left + 1)
                left -= len(parts[entry.filename])
                if left < 0:
                    raise Fault("template_large", most=str(UNPACKED_BYTES))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise Fault("template_unreadable", reason=f"no Word document ({str(error)[:100] or type(error).__name__})") from error
    return parts


def _tree(name: str, content: bytes) -> Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise Fault("template_unreadable", reason=f"{name}: {str(error)[:100]}") from error
    if root.getroottree().docinfo.doctype:
        raise Fault("template_active", found=f"{name}: DOCTYPE")
    return root


def _check_relationships(name: str, root: Element) -> None:
    for each in root:
        kind = str(each.get("Type", "")).rpartition("/")[2]
        if str(each.get("TargetMode", "")).lower() == "external":
            raise Fault("template_active", found=f"{name}: {kind} → {str(each.get('Target', ''))[:100]}")
        if kind not in RELATIONSHIPS:
            raise Fault("template_active", found=f"{name}: {kind}")


def _check_content(name: str, root: Element) -> None:
    open_fields: list[str] = []
    for each in root.iter():
        if not isinstance(each.tag, str):  # a comment, or an instruction to a program
            continue
        if each.tag in _FETCHING:
            raise Fault("template_active", found=f"{name}: {each.tag.rpartition('}')[2]}")
        for place in _PLACES & set(map(str, each.attrib)):
            raise Fault("template_active", found=f"{name}: {str(each.get(place))[:100]}")
        if each.tag == f"{_WORD}fldSimple":
            _check_field(name, str(each.get(f"{_WORD}instr", "")))
        elif each.tag == f"{_WORD}instrText":
            # Of a field without a beginning, too.
            open_fields = open_fields or [""]
            open_fields[-1] += each.text or ""
        elif each.tag == f"{_WORD}fldChar":
            if each.get(f"{_WORD}fldCharType") == "begin":
                open_fields.append("")
            elif open_fields:
                _check_field(name, open_fields.pop())
                if each.get(f"{_WORD}fldCharType") == "separate":
                    open_fields.append("")
    for field in open_fields:
        _check_field(name, field)


def _check_field(name: str, said: str) -> None:
    words = said.split()
    if not words:
        return
    inside = words[0].upper() == "HYPERLINK" and words[1:2] == ["\\l"]
    if "{" in said or (words[0].upper() not in FIELDS and not inside):
        raise Fault("template_active", found=f"{name}: {said.strip()[:100]}")


def _main(trees: Mapping[str, Element]) -> str:
    """The content type of the part that is the document."""
    targets = [
        str(each.get("Target", ""))
        for each in trees["_rels/.rels"]
        if str(each.get("Type", "")).rpartition("/")[2] == "officeDocument"
    ]
    kinds = {
        str(each.get("PartName", "")): str(each.get("ContentType", ""))
        for each in trees["[Content_Types].xml"]
        if each.tag == f"{_TYPES}Override"
    }
    return kinds.get(f"/{targets[0].lstrip('/')}", "") if len(targets) == 1 else ""
