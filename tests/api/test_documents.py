"""Reports and summaries as documents: what they say, in both languages and both forms; templates of a plant, good and hostile."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pytest
from docx import Document
from docx.oxml.ns import qn
from docx.oxml.parser import OxmlElement

from api.documents import built_in, contents, filling, package, pdf, process
from api.documents.faults import Fault
from api.obligations.rules import rule_set
from api.problems import Problem
from api.texts import LANGUAGES, text
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.test_incidents import PHONE, act, alert_id, declare, done, refused
from tests.api.test_live import with_token
from tests.api.test_obligations import OPERATOR, grade, reports, step

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.api.conftest import Running

ENTITY: Final = "东部水厂，4 号加药线 <Waterworks East & Co.>"
EVENT: Final = "16:14 发现：设定值两次跳变。\nFound at 16:14; the set point jumped twice. {{ 7 * 7 }} {% raw %}"


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    if "system_running" in request.fixturenames:
        served: Running = request.getfixturevalue("system_running")
        served.alerts(*(upsert(number) for number in range(3)))


def shape(key: str = "report", *, full: bool = True) -> dict[str, Any]:
    if key == "summary":
        return contents.shape(contents.Summary, [], full=full)
    return contents.shape(contents.Report, [each.key for each in rule_set().contents], full=full)


def word(*lines: str, draw: Callable[[Any], None] | None = None) -> bytes:
    """A Word file with these paragraphs."""
    document = Document()
    for line in lines:
        document.add_paragraph(line)
    if draw is not None:
        draw(document)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def changed(file: bytes, name: str, before: bytes, after: bytes) -> bytes:
    """The file with other words in a part."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        part = archive.read(name)
    assert before in part
    return repacked(file, **{name: part.replace(before, after)})


def repacked(file: bytes, **parts: bytes) -> bytes:
    """The file with other parts in place of some, or besides."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as before, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as after:
        for name in dict.fromkeys([*before.namelist(), *parts]):
            after.writestr(name, parts[name] if name in parts else before.read(name))
    return written.getvalue()


def said(file: bytes) -> str:
    """All text of a Word file, a line for each paragraph, with headers and footers."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        parts = [archive.read(name).decode() for name in archive.namelist() if re.match(r"word/(document|header|footer)", name)]
    paragraphs = re.split(r"</w:p>|<w:br/>", "".join(parts))
    lines = ["".join(re.findall(r"<w:t(?: [^>]*)?>([^<]*)</w:t>", paragraph)) for paragraph in paragraphs]
    return "\n".join(lines).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def fault(file: bytes, key: str = "report") -> tuple[str, str]:
    """What is wrong with a template: the code, and what it names."""
    with pytest.raises(Fault) as caught:
        filling.fill(file, shape(key), [shape(key), shape(key, full=False)])
    values = caught.value.values
    return caught.value.code, values.get("placeholder") or values.get("found") or next(iter(values.values()), "")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["report", "summary"])
def test_the_products_templates_can_be_filled_and_be_brought_back(kind: str, language: str) -> None:
    template = built_in.make(kind, language)
    full, empty = filling.fill(template, shape(kind), [shape(kind), shape(kind, full=False)])
    assert "text & <text>" in said(full)
    assert "{" not in said(full) + said(empty)
    names = {"report": ("operator", "channel", "approved"), "summary": ("grading", "unseen", "obligations", "timeline")}
    for name in names[kind]:
        assert text(language, f"document.{name}") in said(empty)
    assert text(language, "document.draft") not in said(full)


def names(shown: Any) -> set[str]:
    """All names of a shape, however deep."""
    if isinstance(shown, dict):
        held = cast("dict[str, Any]", shown)
        return set(held).union(*map(names, held.values()))
    return set[str]().union(*map(names, cast("list[Any]", shown))) if isinstance(shown, list) else set()


def test_the_docs_list_every_name_that_a_template_may_use() -> None:
    docs = (Path(__file__).parents[2] / "deploy" / "docs" / "reports.md").read_text("utf-8")
    listed = set(re.findall(r"`([a-z_]+)\.?`", docs.partition("| in | names |")[2].partition("\n\n")[0]))
    keys = {each.key for each in rule_set().contents}
    assert (names(shape()) | names(shape("summary"))) - listed - keys == set()


@pytest.mark.parametrize(
    ("line", "code", "named"),
    [
        ("{{ incident.nmae }}", "placeholder_unknown", "incident.nmae"),
        ("{{ nothing }}", "placeholder_unknown", "nothing"),
        ("{% if drill %}{% if late %}{{ contents_ }}{% endif %}{% endif %}", "placeholder_unknown", "contents_"),
        ("{% for each in contents %}{{ each.txt }}{% endfor %}", "placeholder_unknown", "each.txt"),
        ("{{ each.text }}", "placeholder_unknown", "each"),
        ("{{ content.nobody }}", "placeholder_unknown", "content.nobody"),
        ("{{ title.__class__ }}", "placeholder_unknown", "title.__class__"),
        ("{{ incident.items }}", "placeholder_unknown", "incident.items"),
        ("{{ self }}", "placeholder_unknown", "self"),
        ("{{ contents }}", "placeholder_unfit", "contents"),
        ("{{ incident }}", "placeholder_unfit", "incident"),
        ("{{ title.format(title) }}", "placeholder_unfit", "title.format(…)"),
        ("{{ incident.keys() }}", "placeholder_unfit", "incident.keys(…)"),
        ("{{ lipsum() }}", "placeholder_unfit", "lipsum(…)"),
        ("{{ title * 1000000000 }}", "placeholder_unfit", "title * ''"),
        ("{% for each in range(1000000) %}{% endfor %}", "placeholder_unfit", "range(…)"),
        ("{% for a in contents %}{% for b in contents %}{% endfor %}{% endfor %}", "placeholder_unfit", "contents"),
        ("{% for a in contents %}{{ a.text }}{% for b in missing %}{% endfor %}{% endfor %}", "placeholder_unfit", "missing"),
        ("{% for a in title %}{{ a }}{% endfor %}", "placeholder_unfit", "title"),
        ("{{ title|safe }}", "placeholder_unfit", "safe"),
        ("{{ title|attr('x') }}", "placeholder_unfit", "attr"),
        ("{% set x = title %}", "placeholder_unfit", "assign"),
        ("{% include 'x' %}", "placeholder_unfit", "include"),
        ("{% macro x() %}{% endmacro %}", "placeholder_unfit", "macro"),
        ("{{ title", "placeholder_unfit", "title"),
        ("{% if drill %}", "placeholder_unfit", "if drill"),
    ],
)
def test_a_placeholder_that_is_unknown_or_does_anything_is_named(line: str, code: str, named: str) -> None:
    found, told = fault(word("{{ title }}", line))
    assert (found, named.replace("''", "1000000000") in told) == (code, True), told


def test_placeholders_are_looked_at_wherever_they_stand() -> None:
    def header(document: Any) -> None:
        document.sections[0].header.paragraphs[0].text = "{{ hidden.name }}"

    def title(document: Any) -> None:
        document.core_properties.title = "{{ hidden.name }}"

    def cell(document: Any) -> None:
        document.add_table(1, 1).cell(0, 0).text = "{{ hidden.name }}"

    for draw in (header, title, cell):
        assert fault(word(draw=draw)) == ("placeholder_unknown", "hidden")


def test_loops_in_loops_go_over_nothing_twice() -> None:
    inner = "{% for g in grades %}{% for a in g.met %}{{ a }}{% endfor %}{% for b in g.unknown %}{{ b }}{% endfor %}{% endfor %}"
    many = contents.shape(contents.Summary, [], many=True)
    (document,) = filling.fill(word(inner), shape("summary"), [many])
    assert said(document).count("text & <text>") == 3 * (3 + 3) * 300
    assert fault(word("{% for g in grades %}{% for a in g.met %}{% for b in g.met %}{{ b }}{% endfor %}{% endfor %}{% endfor %}"),
                 "summary") == ("placeholder_unfit", "g.met")  # fmt: skip


def test_properties_of_a_document_are_text_and_as_long_as_they_may_be() -> None:
    def draw(document: Any) -> None:
        document.core_properties.title = "{{ operator }}"
        document.core_properties.subject = "{{ title }}"

    given = shape() | {"operator": ENTITY, "title": "长" * 300}
    (document,) = filling.fill(word("x", draw=draw), shape(), [given])
    properties = Document(io.BytesIO(document)).core_properties
    assert (properties.title, properties.subject) == (ENTITY, "长" * 255)


def test_what_comes_apart_on_any_branch_is_refused() -> None:
    def across(document: Any) -> None:
        document.add_paragraph("{% if drill %}")
        document.add_table(1, 1).cell(0, 0).text = "x{% endif %}"

    (document,) = filling.fill(word("{%p if drill %}", "x", "{%p endif %}"), shape(), [shape()])
    assert "x" in said(document)
    assert fault(word(draw=across))[0] == "template_broken", "it is whole only where the condition holds"


def field(*words: str) -> Callable[[Any], None]:
    """A field whose instruction is cut into runs."""

    def draw(document: Any) -> None:
        paragraph = document.add_paragraph()
        for kind in ("begin", *words, "separate", "end"):
            part: Any = OxmlElement("w:instrText" if kind in words else "w:fldChar")
            if kind in words:
                part.text = kind
            else:
                part.set(qn("w:fldCharType"), kind)
            paragraph.add_run()._r.append(part)

    return draw


def link(kind: str, target: str, mode: str = "External") -> bytes:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    added = f'<Relationship Id="rId99" Type="{office}/{kind}" Target="{target}" TargetMode="{mode}"/></Relationships>'
    return changed(word("x"), "word/_rels/document.xml.rels", b"</Relationships>", added.encode())


def inside(xml: str) -> bytes:
    """A Word file with something in its body."""
    return changed(word("x"), "word/document.xml", b"<w:body>", b"<w:body>" + xml.encode())


def renamed(file: bytes, before: str, after: str) -> bytes:
    """The file with a part under another name, wherever it is named; its type is said of the part itself."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "[Content_Types].xml" and b'"png"' not in content:
                content = content.replace(b"</Types>", b'<Default Extension="png" ContentType="image/png"/></Types>')
            if name.endswith((".rels", "[Content_Types].xml")):
                content = content.replace(before.encode(), after.encode())
            new.writestr(name.replace(before, after), content)
    return written.getvalue()


def picture(width: int, height: int) -> bytes:
    """What of a PNG file says how large it is; of its pixels nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    header = struct.pack(">2L5B", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def drawn(*pictures: bytes) -> bytes:
    """A Word file with pictures."""

    def draw(document: Any) -> None:
        for each in pictures:
            document.add_picture(io.BytesIO(each), width=914_400)

    return word("x", draw=draw)


CALLING: Final = word(draw=field("DDEAUTO", " c:\\x"))

STRICT: Final = "http://purl.oclc.org/ooxml/wordprocessingml/main"

MACROS: Final = b"application/vnd.ms-word.document.macroEnabled.main+xml"

ENTITIES: Final = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'

HOSTILE: Final[dict[str, tuple[bytes, str, str]]] = {
    "macros": (changed(word("x"), "[Content_Types].xml", package.DOCUMENT.encode(), MACROS), "template_active", "macroEnabled"),
    "program": (repacked(word("x"), **{"word/vbaProject.bin": b"x"}), "template_active", "vbaProject.bin"),
    "picture elsewhere": (link("image", "http://192.0.2.1/a.png"), "template_active", "http://192.0.2.1/a.png"),
    "template elsewhere": (link("attachedTemplate", "file://192.0.2.1/share/a.dotm"), "template_active", "attachedTemplate"),
    "file to be taken in": (link("aFChunk", "chunk.xml", "Internal"), "template_active", "aFChunk"),
    "object": (link("oleObject", "o.xml", "Internal"), "template_active", "oleObject"),
    "field in pieces": (word(draw=field("INCLUDE", "TEXT /etc/passwd")), "template_active", "INCLUDETEXT /etc/passwd"),
    "field that calls": (word(draw=field("DDEAUTO", " c:\\x")), "template_active", "DDEAUTO"),
    "field in a part in capitals": (renamed(CALLING, "document.xml", "document.XML"), "template_active", "DDEAUTO"),
    "field in a part that is called a picture": (renamed(CALLING, "document.xml", "document.png"), "template_active", "DDEAUTO"),
    "field of the strict form": (
        inside(f'<w:p><s:fldSimple xmlns:s="{STRICT}" s:instr="INCLUDETEXT x"/></w:p>'), "template_unreadable", "strict",
    ),
    "field of another form": (
        inside('<w:p><s:fldSimple xmlns:s="urn:x" s:instr="INCLUDETEXT x"/></w:p>'), "template_active", "INCLUDETEXT",
    ),
    "field with two faces": (
        inside('<w:p><w:fldSimple xmlns:s="urn:x" w:instr="IMPORT x" s:instr="PAGE"/></w:p>'), "template_active", "IMPORT",
    ),
    "two parts of one name": (repacked(word("x"), **{"word/DOCUMENT.xml": b"<x/>"}), "template_unreadable", "twice"),
    "picture that is none": (repacked(word("x"), **{"word/media/a.png": b"MZ"}), "template_unreadable", "a.png"),
    "picture that bursts": (drawn(picture(30_000, 30_000)), "template_large", "100000000 pixels"),
    "pictures that burst": (drawn(picture(8_000, 8_000), picture(8_001, 8_000)), "template_large", "100000000 pixels"),
    "field of a condition": (word(draw=field("{% if drill %}INCLUDETEXT{% endif %} x")), "template_active", "INCLUDETEXT"),
    "simple field": (inside('<w:p><w:fldSimple w:instr="INCLUDEPICTURE x"/></w:p>'), "template_active", "INCLUDEPICTURE"),
    "field without end": (inside("<w:p><w:r><w:instrText>IMPORT x</w:instrText></w:r></w:p>"), "template_active", "IMPORT"),
    "drawing elsewhere": (
        inside('<w:p><w:pict><v:imagedata xmlns:v="urn:schemas-microsoft-com:vml" src="http://192.0.2.1/a"/></w:pict></w:p>'),
        "template_active", "http://192.0.2.1/a",
    ),
    "hidden as text": (
        inside("<w:p><w:r><w:t>{% raw %}{{ &lt;/w:t&gt;&lt;w:instrText&gt;INCLUDETEXT x&lt;/w:instrText&gt;&lt;w:t&gt; }}"
               "{% endraw %}</w:t></w:r></w:p>"),
        "template_active", "INCLUDETEXT",
    ),
    "entities": (repacked(word("x"), **{"customXml/item1.xml": ENTITIES}), "template_active", "DOCTYPE"),
    "bomb": (repacked(word("x"), **{"word/media/a.png": b"\0" * (package.UNPACKED_BYTES + 1)}), "template_large", "16777216"),
    "many parts": (repacked(word("x"), **{f"word/media/{n}.png": b"x" for n in range(200)}), "template_large", "200"),
    "large": (word("x") + os.urandom(package.FILE_BYTES), "template_large", "2097152"),
    "text": (b"Hello", "template_unreadable", "zip"),
    "another archive": (repacked(word("x"), **{"_rels/.rels": b"<x/>"}), "template_unreadable", "main part"),
    "cut": (word("x")[:-2000], "template_unreadable", "zip"),
    "no XML": (repacked(word("x"), **{"word/document.xml": b"<w:document>"}), "template_unreadable", "word/document.xml"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_acts_or_lies_elsewhere_or_bursts_is_refused_and_named(name: str) -> None:
    file, code, named = HOSTILE[name]
    found, told = fault(file)
    assert (found, named in told) == (code, True), told


def test_whatever_a_template_makes_fail_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("int too large")

    monkeypatch.setattr("docxtpl.DocxTemplate.save", fail)
    assert fault(word("x")) == ("template_unreadable", "OverflowError: int too large")


def test_a_template_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """docxtpl looks for braces with expressions that go through the rest of the file for each that is open."""
    monkeypatch.setattr(process, "SECONDS", 3)
    with pytest.raises(Problem) as caught:
        process.fill(word("{{ " * 200_000), shape(), [shape()])
    assert caught.value.code == "template_heavy"


def test_what_people_wrote_is_text_whatever_it_looks_like() -> None:
    given = shape() | {"title": f"{EVENT}\x01\x07", "operator": ENTITY}
    (document,) = filling.fill(word("{{ operator }}", "{{ title }}"), shape(), [given])
    assert said(document).split("\n")[:3] == [ENTITY, *EVENT.split("\n")]


def take(client: httpx.Client, path: str, **asked: str) -> httpx.Response:
    answer = client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Content-SHA256"] == hashlib.sha256(answer.content).hexdigest()
    return answer


def trail_of(served: Running, identity: int) -> list[dict[str, Any]]:
    """What the audit trail says of a report."""
    return served.signed_in("auditor").get("/api/audit", params={"subject": str(identity)}).json()["items"]


def drafted(served: Running, **fields: Any) -> tuple[httpx.Client, httpx.Client, int, int]:
    """Two people, an incident of grade III, and its first report with something in it."""
    lin, wu = served.signed_in("responder", name="lin"), served.signed_in("administrator", name="wu")
    said_of = OPERATOR | {"name": "东部水务 Waterworks East"}
    done(wu.put("/api/operator", json=said_of, headers={"If-Match": "*"}))
    number = declare(lin, **PHONE | {"discovered_at": "-1h"} | fields)["number"]
    grade(lin, number, 3)
    identity = reports(lin, number)["cac-first"]["id"]
    done(step(lin, identity, "draft", {"contents": {"entity": ENTITY}}, "PUT"))
    return lin, wu, number, identity


def test_a_report_says_what_it_must_and_does_not(system_running: Running) -> None:
    lin, _, number, identity = drafted(system_running, drill=True)
    path = f"/api/obligations/{identity}/document"
    english, chinese = (take(lin, path, language=language) for language in ("en", "zh-CN"))
    assert english.headers["Content-Disposition"] == f'attachment; filename="incident-{number}-cac-first-{identity}.docx"'
    for answer, language in ((english, "en"), (chinese, "zh-CN")):
        told = said(answer.content)
        rule, rules = rule_set().rule("cac-first"), rule_set()
        for line in (rule.name(language), rule.to.text(language), rule.clause, "东部水务 Waterworks East", ENTITY):
            assert line in told, line
        assert [rules.content(key).name(language) in told for key in rule.contents] == [True] * len(rule.contents)
        assert told.count(text(language, "document.missing_needed")) == 1, "the event: nothing is made up"
        assert told.count(text(language, "document.missing") + "\n") == 6
        assert text(language, "document.draft") in told
        assert text(language, "document.drill") in told
        assert text(language, "document.certainty.seen") in told
        assert "+08:00" in told, "as people there read the clock"
    assert system_running.client().get(path).status_code == 401
    assert refused(lin.get("/api/obligations/99/document")) == "obligation_unknown"


def test_what_was_approved_is_kept_and_what_was_sent_can_be_shown(system_running: Running) -> None:
    lin, wu, _, identity = drafted(system_running)
    path = f"/api/obligations/{identity}"
    done(step(lin, identity, "draft", {"contents": {"entity": ENTITY, "event": EVENT}}, "PUT"))
    take(lin, f"{path}/document")
    assert lin.get(f"{path}/documents").json() == [], "a draft is not kept"
    done(step(wu, identity, "approve", {"note": "read"}))
    first = take(lin, f"{path}/document", language="zh-CN")
    assert take(wu, f"{path}/document", language="zh-CN").content == first.content
    assert text("zh-CN", "document.draft") not in said(first.content)
    done(step(lin, identity, "draft", {"contents": {"entity": "x", "event": "y"}}, "PUT"))
    assert lin.get(f"{path}/documents").json() == []
    done(step(wu, identity, "approve", {"note": "read again"}))
    second = take(lin, f"{path}/document", language="zh-CN")
    (kept,) = lin.get(f"{path}/documents").json()
    digest = second.headers["X-Content-SHA256"]
    assert (kept["sha256"], kept["language"], kept["format"], kept["sent"]) == (digest, "zh-CN", "docx", False)
    sent = {"channel": "12387", "note": "by e-mail"}
    old = step(lin, identity, "submit", sent | {"document": first.headers["X-Content-SHA256"]})
    assert refused(old) == "document_unknown"
    shown = done(step(lin, identity, "submit", sent | {"document": digest}))
    assert shown["document"] == digest
    assert lin.get(f"{path}/documents").json()[0]["sent"] is True
    assert take(lin, f"{path}/document", language="zh-CN").content == second.content
    english = take(lin, f"{path}/document", language="en")
    assert "12387" in said(english.content), "one that was not made before tells what became of it"
    assert len(lin.get(f"{path}/documents").json()) == 1
    trail = trail_of(system_running, identity)
    dropped = [entry["detail"]["sha256"] for entry in trail if entry["action"] == "report.document_dropped"]
    assert dropped == [first.headers["X-Content-SHA256"]]
    taken = [entry["detail"]["sha256"] for entry in trail if entry["action"] == "report.take"]
    assert digest in taken
    lines = lin.get(f"/api/incidents/{shown['incident']}/timeline").json()["items"]
    assert [line["detail"]["document"] for line in lines if line["kind"] == "obligation_submitted"] == [digest]


@SQLITE_ONLY
def test_a_summary_tells_what_is_known_and_what_is_not(system_running: Running) -> None:
    lin = system_running.signed_in("responder", name="lin")
    number = declare(lin, title="加药设定值被改写", alerts=[alert_id(1), alert_id(2)], summary="第一行\n第二行")["number"]
    grade(lin, number, 3)
    done(act(lin, number, "facts", {"facts": {"cii_total_outage_minutes": 12}, "reason": "x"}, "PUT"))
    done(lin.post(f"/api/incidents/{number}/playbooks", json={"playbook": "unauthorised_write", "reason": "x"}), 201)
    path = f"/api/incidents/{number}/summary"
    for language in LANGUAGES:
        told = said(take(lin, path, language=language).content)
        for name in ("document.gap.category", "document.gap.lead", "document.gap.no_sensors"):
            assert text(language, name) in told, name
        for line in ("加药设定值被改写", "第一行\n第二行", "10.0.0.1", "10.0.1.1", "III", "12 min"):
            assert line in told, line
        assert text(language, "document.gap.unregistered", count=3, names="").split("：")[0].split(":")[0] in told
        assert {"en": "Alert 1", "zh-CN": "告警 1"}[language] in told
        assert rule_set().rule("cac-first").name(language) in told
        assert text(language, "document.unseen") in told
    little = said(take(with_token(system_running, "incident.read"), path, language="en").content)
    assert text("en", "document.gap.not_shown") in little
    for hidden in ("10.0.0.1", "Alert 1", text("en", "document.gap.no_sensors")):
        assert hidden not in little
    assert refused(lin.get("/api/incidents/99/summary")) == "incident_unknown"


def bring(client: httpx.Client, key: str, file: bytes, language: str = "en", tag: str | None = None) -> httpx.Response:
    body = {"key": key, "language": language, "name": "ours.docx", "content": base64.b64encode(file).decode()}
    return client.post("/api/report-templates", json=body, headers={} if tag is None else {"If-Match": tag})


def test_a_plants_own_template_is_used_until_it_is_withdrawn(system_running: Running) -> None:
    lin, wu, _, identity = drafted(system_running)
    path = f"/api/obligations/{identity}/document"
    assert refused(bring(lin, "report", word("{{ title }}"))) == "forbidden"
    site = system_running.signed_in("administrator", sites=frozenset({""}))
    assert refused(bring(site, "report", word("{{ title }}"))) == "forbidden", "it is the organisation's"
    assert [each["origin"] for each in lin.get("/api/report-templates").json()] == ["product"] * 4
    done(bring(wu, "report", word("All reports: {{ title }}")), 201)
    assert "All reports: First report" in said(take(lin, path, language="en").content)
    assert "All reports" not in said(take(lin, path, language="zh-CN").content), "it is for the other language"
    made = done(bring(wu, "cac-first", word("Ours: {{ content.entity }}")), 201)
    assert (made["origin"], made["version"], made["changed_by"]) == ("plant", 1, "wu")
    assert said(take(lin, path, language="en").content).startswith(f"Ours: {ENTITY}")
    assert refused(bring(wu, "cac-first", word("{{ title }}"))) == "precondition_required"
    assert refused(bring(wu, "cac-first", word("{{ title }}"), tag='"7"')) == "precondition_failed"
    got = take(lin, "/api/report-templates/cac-first", language="en")
    assert (got.headers["ETag"], "{{ content.entity }}" in said(got.content)) == ('"1"', True)
    done(bring(wu, "cac-first", word("Newer: {{ title }}"), tag=got.headers["ETag"]), 201)
    answer = wu.delete("/api/report-templates/cac-first", params={"language": "en"}, headers={"If-Match": '"2"'})
    assert answer.status_code == 204, answer.text
    assert "All reports: First report" in said(take(lin, path, language="en").content)
    gone = wu.delete("/api/report-templates/cac-first", params={"language": "en"}, headers={"If-Match": "*"})
    assert refused(gone) == "template_unknown"
    # What somebody saw of one is never the next, which nobody saw.
    anew = done(bring(wu, "cac-first", word("Anew: {{ title }}")), 201)
    asked = {"language": "en"}
    assert anew["version"] == 4
    assert refused(wu.delete(path_of := "/api/report-templates/cac-first", params=asked, headers={"If-Match": '"1"'})) == (
        "precondition_failed"
    )
    assert wu.delete(path_of, params=asked, headers={"If-Match": '"4"'}).status_code == 204
    back = take(lin, "/api/report-templates/summary", language="zh-CN").content
    done(bring(wu, "summary", back, "zh-CN"), 201)
    trail = wu.get("/api/audit", params={"action": "report_template.bring,report_template.withdraw", "sort": "number"}).json()[
        "items"
    ]
    told = [(entry["action"].partition(".")[2], entry["subject"]) for entry in trail]
    assert told == [
        ("bring", "report"),
        *[("bring", "cac-first")] * 2,
        ("withdraw", "cac-first"),
        ("bring", "cac-first"),
        ("withdraw", "cac-first"),
        ("bring", "summary"),
    ]


def test_a_template_that_cannot_be_filled_keeps_nobody_from_a_report(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lin, wu, _, identity = drafted(system_running)
    done(bring(wu, "report", word("Ours: {{ title }}")), 201)
    path = f"/api/obligations/{identity}/document"
    filled = process.fill

    def fill(template: bytes, *given: Any) -> list[bytes]:
        if "Ours" in said(template):
            raise Problem("template_heavy")
        return filled(template, *given)

    monkeypatch.setattr(process, "fill", fill)
    answer = take(lin, path, language="en")
    assert answer.headers["X-Template-Fault"] == "template_heavy"
    assert "Ours" not in said(answer.content)
    assert "X-Template-Fault" not in take(lin, path, language="zh-CN").headers
    told = [each["detail"] for each in trail_of(system_running, identity) if each["action"] == "report.take"]
    assert {each["language"]: each.get("template_fault") for each in told} == {"en": "template_heavy", "zh-CN": None}


@SQLITE_ONLY
def test_documents_that_are_asked_for_without_end_leave_room_for_all_else(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def convert(document: bytes) -> bytes:
        assert go.wait(60)
        return document

    def fill(*_: object) -> list[bytes]:
        return [b"x"]

    def built_in(*_: object) -> bytes:
        return b"x"

    monkeypatch.setattr(process, "fill", fill)
    monkeypatch.setattr(process, "built_in", built_in)
    monkeypatch.setattr(pdf, "convert", convert)
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    with ThreadPoolExecutor(60) as pool:
        asked = [
            pool.submit(client.get, f"/api/incidents/{number}/summary", params={"format": "pdf"}, timeout=60) for _ in range(60)
        ]
        refusals = [answer.result() for answer in itertools.islice(as_completed(asked), 60 - 3 - 8)]
        assert client.get("/api/session", timeout=10).status_code == 200
        go.set()
        assert {refused(answer) for answer in refusals} == {"documents_busy"}
        assert sorted(answer.result().status_code for answer in asked) == [200] * 11 + [503] * 49


@SQLITE_ONLY
def test_a_refused_template_is_told_of_in_the_callers_language(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    client.headers["Accept-Language"] = "zh-CN"
    cases = (
        ("report", word("{{ incident.nmae }}"), "placeholder_unknown", "incident.nmae"),
        ("cac-first", word("{{ content.lessons }}"), "placeholder_unknown", "content.lessons"),
        ("summary", word("{{ title.x() }}"), "placeholder_unfit", "title.x(…)"),
        ("report", HOSTILE["picture elsewhere"][0], "template_active", "http://192.0.2.1/a.png"),
        ("nobody", word("x"), "template_unknown", "nobody"),
        ("report", b"x", "template_unreadable", "ZIP"),
    )
    for key, file, code, named in cases:
        answer = bring(client, key, file)
        assert refused(answer) == code
        assert named in answer.json()["detail"]
        assert re.search("[一-鿿]", answer.json()["detail"])
    assert client.get("/api/report-templates/nobody").json()["code"] == "template_unknown"


@SQLITE_ONLY
def test_without_libreoffice_it_is_said_what_to_install(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    lin, _, number, identity = drafted(system_running)
    monkeypatch.setattr(pdf, "PROGRAMS", ("no-such-program",))
    for path in (f"/api/obligations/{identity}/document", f"/api/incidents/{number}/summary"):
        answer = lin.get(path, params={"format": "pdf"})
        assert (answer.status_code, refused(answer)) == (409, "converter_none")
        assert "libreoffice-writer-nogui" in answer.json()["detail"]


@pytest.fixture
def _libreoffice() -> None:
    if any(map(shutil.which, pdf.PROGRAMS)) and shutil.which("pdftotext"):
        return
    message = "LibreOffice or poppler-utils is not installed; `make peers` installs both"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


MARGIN: Final = 10
"""Millimetres at each edge of a page that stay white, at least."""


def looked_at(file: bytes) -> int:
    """Look at the pages of a PDF as pictures: something is on each, nothing is cut off at an edge. Returns how many there are."""
    with tempfile.TemporaryDirectory() as folder:
        # 254 dots an inch are ten a millimetre; a quarter of that is enough to see whether something is there.
        command = ["pdftoppm", "-gray", "-r", "63.5", "-", f"{folder}/page"]
        subprocess.run(command, input=file, capture_output=True, check=True)
        pages = sorted(Path(folder).iterdir())
        for page in pages:
            kind, width, height, _, points = page.read_bytes().split(maxsplit=4)
            assert kind == b"P5"
            ink = np.frombuffer(points, np.uint8)[-int(width) * int(height) :].reshape(int(height), int(width)) < 128
            across, down = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
            assert across.size, f"{page.name} is empty"
            edge = MARGIN * 2.5
            assert edge <= across[0], page.name
            assert across[-1] < int(width) - edge, page.name
            assert edge <= down[0], page.name
            assert down[-1] < int(height) - edge, page.name
    return len(pages)


def printed(file: bytes) -> str:
    told = subprocess.run(["pdftotext", "-layout", "-enc", "UTF-8", "-", "-"], input=file, capture_output=True, check=True)
    return told.stdout.decode()


@SQLITE_ONLY
@pytest.mark.usefixtures("_libreoffice")
def test_a_pdf_says_the_same_in_letters_that_are_there(system_running: Running) -> None:
    lin, wu, number, identity = drafted(system_running)
    done(step(lin, identity, "draft", {"contents": {"entity": ENTITY, "event": EVENT}}, "PUT"))
    done(step(wu, identity, "approve", {"note": "read"}))
    path = f"/api/obligations/{identity}/document"
    answer = take(lin, path, format="pdf", language="zh-CN")
    assert answer.headers["Content-Type"] == "application/pdf"
    told = printed(answer.content)
    for line in (
        "首次报告",
        "国家网络安全事件报告管理办法",
        "东部水务",
        "东部水厂",
        "{{ 7 * 7 }}",
        "III 级（较大）",
        "属地省级网信部门",
    ):
        assert line in told, line
    fonts = subprocess.run(["pdffonts", "-"], input=answer.content, capture_output=True, check=True).stdout.decode()
    embedded = [line.split()[-5] for line in fonts.splitlines()[2:]]
    assert embedded
    assert set(embedded) == {"yes"}, fonts
    assert re.search("CJK|WenQuanYi", fonts), fonts
    assert take(wu, path, format="pdf", language="zh-CN").content == answer.content, "kept as it was approved"
    assert {each["format"] for each in lin.get(f"{path}s").json()} == {"docx", "pdf"}
    english = printed(take(lin, f"/api/incidents/{number}/summary", format="pdf", language="en").content)
    assert "What is not known" in english


@pytest.mark.usefixtures("_libreoffice")
def test_a_conversion_that_fails_or_hangs_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(Problem) as caught:
        pdf.convert(b"no document")
    assert caught.value.code == "converter_failed"
    monkeypatch.setattr(pdf, "SECONDS", 0.2)
    with pytest.raises(Problem) as caught:
        pdf.convert(word("x"))
    assert (caught.value.code, caught.value.values["reason"]) == ("converter_failed", "> 0.2 s")
    assert list(tmp_path.iterdir()) == []
