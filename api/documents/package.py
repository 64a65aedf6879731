"""What a Word file that somebody brings may hold: text, tables, pictures. What acts, or lies elsewhere, is refused.

A .docx file is a zip archive of XML parts and of relationships between them (ECMA-376, part 2). What is allowed is listed, and
everything else is refused: programs, controls, embedded files, links to other places, fields that fetch something. What a part
is called says nothing of what readers take it for: every part is taken apart as XML but pictures, by their type and their bytes.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from docx.image.exceptions import InvalidImageStreamError, UnexpectedEndOfFileError, UnrecognizedImageError
from docx.image.image import Image
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

PICTURES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
"""Content types of pictures, and how their bytes begin: as no XML does."""

PIXELS: Final = 100_000_000
"""Most pixels of all pictures together: whoever draws them unpacks each to four bytes."""

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

# Elements and attributes by their names alone: the same name stands for the same in more than one namespace.
_PLACES: Final = frozenset({"src", "href"})
_FETCHING: Final = frozenset({"altChunk", "subDoc", "object", "OLEObject", "control", "mailMerge"})
_STRICT: Final = "http://purl.oclc.org/ooxml/"
_ACTIVE: Final = re.compile(r"macro|vba|activex|oleobject", re.IGNORECASE)


def check(file: bytes, most: int = FILE_BYTES) -> None:
    """See that a file of so many bytes at most is a Word document that may be used. Raises Fault."""
    if len(file) > most:
        raise Fault("template_large", most=str(most))
    parts = _unpacked(file)
    if "[Content_Types].xml" not in parts or "_rels/.rels" not in parts:
        raise Fault("template_unreadable", reason="it is a zip archive, and no Word document")
    types = _Types(_tree("[Content_Types].xml", parts["[Content_Types].xml"]))
    trees: dict[str, Element] = {}
    pixels = 0
    for name, content in sorted(parts.items()):
        if name.rpartition(".")[2].lower() not in EXTENSIONS:
            raise Fault("template_active", found=name)
        if types.is_picture(name, content):
            pixels += _pixels(name, content)
        else:
            trees[name] = _tree(name, content)
    if pixels > PIXELS:
        raise Fault("template_large", most=f"{PIXELS} pixels")
    for kind in sorted(types.every):
        if _ACTIVE.search(kind):
            raise Fault("template_active", found=kind)
    for name, tree in trees.items():
        _check_content(name, tree)
        if name.lower().endswith(".rels") or _local(tree.tag) == "Relationships":
            _check_relationships(name, tree)
    if types.of_main(trees["_rels/.rels"]) != DOCUMENT:
        raise Fault("template_unreadable", reason="its main part is no document of Word")


class _Types:
    """What the parts of a package are, as it says itself; names are the same in capitals (ECMA-376, part 2)."""

    def __init__(self, root: Element) -> None:
        named = [(_local(each.tag), each) for each in root]
        self._defaults = {str(each.get("Extension", "")).lower(): _kind(each) for name, each in named if name == "Default"}
        self._overrides = {str(each.get("PartName", "")).lower(): _kind(each) for name, each in named if name == "Override"}
        self.every = {_kind(each) for _, each in named}

    def is_picture(self, name: str, content: bytes) -> bool:
        """Whether a part is a picture and nothing else."""
        begins = PICTURES.get(self._defaults.get(name.rpartition(".")[2].lower(), ""))
        return begins is not None and content.startswith(begins) and f"/{name}".lower() not in self._overrides

    def of_main(self, relationships: Element) -> str:
        """The content type of the part that is the document."""
        targets = [
            str(each.get("Target", ""))
            for each in relationships
            if str(each.get("Type", "")).rpartition("/")[2] == "officeDocument"
        ]
        return self._overrides.get(f"/{targets[0].lstrip('/')}".lower(), "") if len(targets) == 1 else ""


def _kind(each: Element) -> str:
    return str(each.get("ContentType", ""))


def _local(tag: object) -> str:
    """A name without its namespace; nothing for a comment, or an instruction to a program."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _pixels(name: str, content: bytes) -> int:
    try:
        picture = Image.from_blob(content)
    except (InvalidImageStreamError, UnexpectedEndOfFileError, UnrecognizedImageError, ValueError, LookupError) as error:
        raise Fault("template_unreadable", reason=f"{name}: no picture that can be read ({type(error).__name__})") from error
    return picture.px_width * picture.px_height


def _unpacked(file: bytes) -> Mapping[str, bytes]:
    """The parts by name. No more is unpacked than may be, whatever the archive says of itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            entries = archive.infolist()
            if len(entries) > PARTS:
                raise Fault("template_large", most=f"{PARTS} parts")
            parts: dict[str, bytes] = {}
            names: set[str] = set()
            left = UNPACKED_BYTES
            for entry in entries:
                if entry.filename.lower() in names or entry.filename.startswith("/") or ".." in entry.filename.split("/"):
                    raise Fault("template_unreadable", reason=f"part {entry.filename[:100]!r} stands there twice, or outside")
                if entry.flag_bits & 1 or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    raise Fault("template_unreadable", reason="it is encrypted, or packed in another way than Word does")
                if entry.is_dir():
                    continue
                names.add(entry.filename.lower())
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
        tag, attributes = _local(each.tag), [(_local(named), str(value)) for named, value in each.attrib.items()]
        if any(str(named).startswith(f"{{{_STRICT}") for named in (each.tag, *each.attrib)):
            raise Fault("template_unreadable", reason=f"{name}: strict Open XML; save it as a plain Word document")
        if tag in _FETCHING:
            raise Fault("template_active", found=f"{name}: {tag}")
        for named, value in attributes:
            if named in _PLACES:
                raise Fault("template_active", found=f"{name}: {value[:100]}")
            if (tag, named) == ("fldSimple", "instr"):
                _check_field(name, value)
        if tag in {"instrText", "delInstrText"}:
            # Of a field without a beginning, too.
            open_fields = open_fields or [""]
            open_fields[-1] += each.text or ""
        elif tag == "fldChar":
            kinds = [value for named, value in attributes if named == "fldCharType"]
            if kinds == ["begin"]:
                open_fields.append("")
            elif open_fields:
                _check_field(name, open_fields.pop())
                if kinds == ["separate"]:
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
