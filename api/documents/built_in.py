"""The templates that come with the product, drawn here: a plant takes one, changes it in Word, and brings it back as its own.

Words on them are the catalogue's, as plain text; what differs from case to case stands in placeholders.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, cast

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.oxml.parser import OxmlElement
from docx.shared import Cm, Pt, RGBColor

from api.texts import text

if TYPE_CHECKING:
    from docx.document import Document as Drawn
    from docx.styles.style import ParagraphStyle
    from docx.table import Table
    from docx.table import _Cell as Cell  # pyright: ignore[reportPrivateUsage]  python-docx names it so
    from docx.table import _Row as Row  # pyright: ignore[reportPrivateUsage]  as above
    from docx.text.paragraph import Paragraph

FONT: Final = "Liberation Sans"
"""Latin letters; Word takes Arial for it, which is as wide."""

CHINESE_FONT: Final = "Noto Sans CJK SC"
"""Chinese letters; Word takes what it has."""

RED: Final = RGBColor(0xB0, 0x1E, 0x1E)

GREY: Final = RGBColor(0x59, 0x5F, 0x69)

SHADE: Final = "E9EDF2"

DARK: Final = RGBColor(0x14, 0x2A, 0x43)

WIDTH: Final = 17.0
"""Width of what is written on, in centimetres."""


def make(kind: str, language: str) -> bytes:
    """The template of reports (`report`) or of summaries (`summary`) in a language."""
    drawn = _Page(language)
    (drawn.report if kind == "report" else drawn.summary)()
    return drawn.file()


class _Page:
    """A document while it is drawn."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._document: Drawn = Document()
        self._styles()
        self._paper()

    def file(self) -> bytes:
        """The document as a file."""
        written = io.BytesIO()
        self._document.save(written)
        return written.getvalue()

    def report(self) -> None:
        """A report that the law asks for."""
        self._head("{{ title }}", "{{ regime }}", draft=True)
        self._pairs(
            ("operator", "{{ operator }}"),
            ("to", "{{ to }}"),
            ("channel", "{{ channel }}"),
            ("incident", "{{ incident.number }}　{{ incident.title }}"),
            ("site", "{{ site }}"),
            ("grade", "{{ incident.grade }}"),
            ("category", "{{ incident.category }}"),
            ("discovered", "{{ incident.discovered }}"),
            ("due", "{{ due }}"),
            ("state", "{{ state }}" + _if("late", f" ({self._said('late')})")),
            ("written_by", "{{ written_by }}"),
            ("approved", "{{ approved_by }}　{{ approved_at }}"),
            ("submitted", "{{ submitted_by }}　{{ submitted_at }}　{{ submitted_by_way_of }}"),
            ("receipt", "{{ receipt }}"),
        )
        self._line("{%p for each in contents %}")
        self._line("{{ loop.index }}. {{ each.name }}", "Heading 2")
        self._line("{%p if each.missing %}")
        _colour(self._line("{{ each.text }}"), RED)
        self._line("{%p else %}")
        self._line("{{ each.text }}")
        self._line("{%p endif %}")
        self._line("{%p endfor %}")
        self._line(self._said("basis"), "Heading 2")
        self._line("{{ clause }}")
        _small(self._line("{{ certainty }} " + self._said("rules_version") + " {{ rules_version }}. {{ note }}"))
        self._foot()

    def summary(self) -> None:
        """A summary of an incident for who answers for the plant."""
        self._head("{{ incident.title }}", self._said("summary"), draft=False)
        self._pairs(
            ("operator", "{{ operator }}"),
            ("site", "{{ site }}"),
            ("incident", "{{ incident.number }}"),
            ("state", "{{ incident.state }}"),
            ("grade", "{{ incident.grade }}"),
            ("category", "{{ incident.category }}"),
            ("occurred", "{{ incident.occurred }}"),
            ("discovered", "{{ incident.discovered }}"),
            ("declared", "{{ incident.declared }}　{{ incident.declared_by }}"),
            ("resolved", "{{ incident.resolved }}"),
            ("closed", "{{ incident.closed }}"),
            ("disposition", "{{ incident.disposition }}"),
            ("lead", "{{ incident.lead }}"),
            ("reported_by", "{{ incident.reported_by }}"),
        )
        self._line(self._said("what_happened"), "Heading 2")
        self._line("{%p if incident.summary %}")
        self._line("{{ incident.summary }}")
        self._line("{%p else %}")
        _colour(self._line(self._said("missing")), RED)
        self._line("{%p endif %}")
        self._grading()
        self._table(
            "obligations",
            ("report", 5.8, "{{ each.title }}\n{{ each.regime }}"),
            ("to", 4.0, "{{ each.to }}"),
            ("due", 4.4, "{{ each.due }}"),
            ("state", 2.8, "{{ each.state }}" + _if("each.late", f"\n{self._said('late')}")),
        )
        self._table(
            "tasks",
            ("task", 7.4, "{{ each.title }}" + _if("each.mandatory", " *")),
            ("for", 2.6, "{{ each.role }}"),
            ("owner", 2.6, "{{ each.owner }}"),
            ("due", 4.4, "{{ each.due }}" + _if("each.overdue", f"\n{self._said('overdue')}")),
        )
        _small(self._line(text(self._language, "document.tasks_note", count="{{ tasks_done }}")))
        self._line(self._said("unseen"), "Heading 2")
        self._bullets("gaps")
        self._table(
            "assets",
            ("asset", 4.6, "{{ each.name }}"),
            ("address", 4.4, "{{ each.address }}"),
            ("zone", 3.4, "{{ each.zone }}"),
            ("criticality", 2.4, "{{ each.criticality }}"),
            ("alerts", 2.2, "{{ each.alerts }}"),
        )
        self._table(
            "alerts",
            ("at", 4.4, "{{ each.at }}"),
            ("severity", 1.8, "{{ each.severity }}"),
            ("what", 5.8, "{{ each.title }}"),
            ("between", 5.0, "{{ each.client }} → {{ each.server }}"),
        )
        more = _if("each.note", "\n{{ each.note }}") + _if("each.source", "\n({{ each.source }})")
        self._table(
            "timeline", ("at", 4.4, "{{ each.at }}"), ("by", 2.8, "{{ each.by }}"), ("what", 9.8, "{{ each.text }}" + more)
        )
        self._foot()

    def _grading(self) -> None:
        self._line(self._said("grading"), "Heading 2")
        self._line("{%p for each in grades %}")
        _bold(self._line("{{ each.scheme }}"))
        self._line("　".join(f"{self._said(name)}{self._colon}{{{{ each.{name} }}}}" for name in ("decided", "proposed")))
        self._line("{%p if each.reason %}")
        self._line("{{ each.reason }} ({{ each.by }}, {{ each.at }})")
        self._line("{%p endif %}")
        self._bullets("each.met", "one")
        self._line("{%p endfor %}")

    def _bullets(self, name: str, each: str = "each") -> None:
        self._line("{%p for " + each + " in " + name + " %}")
        self._line("{{ " + each + " }}", "List Bullet")
        self._line("{%p endfor %}")

    @property
    def _colon(self) -> str:
        return "：" if self._language == "zh-CN" else ": "

    def _said(self, name: str) -> str:
        return text(self._language, f"document.{name}")

    def _line(self, said: str, style: str = "Normal") -> Paragraph:
        return self._document.add_paragraph(said, style)

    def _head(self, title: str, under: str, *, draft: bool) -> None:
        for condition, name in (("drill", "drill"), *((("not approved", "draft"),) if draft else ())):
            self._line("{%p if " + condition + " %}")
            banner = self._line(self._said(name))
            banner.alignment = WD_ALIGN_PARAGRAPH.CENTER
            _colour(_bold(banner), RED)
            self._line("{%p endif %}")
        self._line(title, "Title")
        line = self._line(under, "Subtitle")
        line.alignment = WD_ALIGN_PARAGRAPH.CENTER

    def _pairs(self, *pairs: tuple[str, str]) -> None:
        table = self._document.add_table(0, 2, "Table Grid")
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        table.autofit = False
        for name, value in pairs:
            row = table.add_row()
            _cell(row.cells[0], self._said(name), 4.0, head=True)
            _cell(row.cells[1], value, WIDTH - 4.0)
        _widths(table, 4.0, WIDTH - 4.0)
        self._document.add_paragraph()

    def _table(self, name: str, *columns: tuple[str, float, str]) -> None:
        self._line(self._said(name), "Heading 2")
        self._line("{%p if " + name + " %}")
        table = self._document.add_table(1, len(columns), "Table Grid")
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        table.autofit = False
        _row(table.rows[0], "w:tblHeader")  # on top of each page that the table goes over to
        for cell, (title, width, _) in zip(table.rows[0].cells, columns, strict=True):
            _cell(cell, self._said(title), width, head=True)
        for words in ("{%tr for each in " + name + " %}", None, "{%tr endfor %}"):
            row = table.add_row()
            if words is not None:
                row.cells[0].text = words
                continue
            _row(row, "w:cantSplit")
            for cell, (_, width, value) in zip(row.cells, columns, strict=True):
                _cell(cell, value, width)
        _widths(table, *(width for _, width, _ in columns))
        self._line("{%p else %}")
        self._line(self._said("none"))
        self._line("{%p endif %}")

    def _foot(self) -> None:
        self._document.add_paragraph()
        values = {"at": "{{ made_at }}", "by": "{{ made_by }}", "version": "{{ version }}", "zone": "{{ time_zone }}"}
        _small(self._line(text(self._language, "document.made", **values)))
        foot = self._document.sections[0].footer.paragraphs[0]
        foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
        foot.add_run("{{ operator }}　" + self._said("incident") + " {{ incident.number }}　")
        _field(foot, "PAGE")
        foot.add_run(" / ")
        _field(foot, "NUMPAGES")
        _small(foot)

    def _paper(self) -> None:
        section = self._document.sections[0]
        section.orientation = WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2)
        section.top_margin = section.bottom_margin = Cm(2)
        properties = self._document.core_properties
        properties.author, properties.title, properties.comments = "icsight", "{{ incident.title }}", ""
        properties.language = self._language

    def _styles(self) -> None:
        sizes = {"Normal": 10.5, "Title": 20, "Subtitle": 12, "Heading 2": 12.5, "List Bullet": 10.5}
        for name, size in sizes.items():
            style = cast("ParagraphStyle", self._document.styles[name])
            style.font.name, style.font.size, style.font.italic = FONT, Pt(size), False
            fonts = _drawn(style).get_or_add_rPr().get_or_add_rFonts()
            for kind in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
                fonts.attrib.pop(qn(f"w:{kind}"), None)
            fonts.set(qn("w:hAnsi"), FONT)
            fonts.set(qn("w:eastAsia"), CHINESE_FONT)
            spacing = style.paragraph_format
            spacing.space_after, spacing.line_spacing = Pt(4), 1.25
            if name in {"Title", "Subtitle", "Heading 2"}:
                style.font.color.rgb = GREY if name == "Subtitle" else DARK
                style.font.bold = name != "Subtitle"
                spacing.space_before = Pt(12 if name == "Heading 2" else 0)
                spacing.keep_with_next = True
        title = cast("ParagraphStyle", self._document.styles["Title"])
        title.paragraph_format.alignment = WD_ALIGN_PARAGRAPH.CENTER
        border = _drawn(title).get_or_add_pPr().find(qn("w:pBdr"))
        if border is not None:
            border.getparent().remove(border)
        language = {"w:val": "en-GB", "w:eastAsia": "zh-CN"}
        _drawn(self._document.styles["Normal"]).get_or_add_rPr().append(_element("w:lang", **language))


def _drawn(part: Any) -> Any:
    """The XML behind a part: what python-docx has no words for is written there."""
    return next(getattr(part, name) for name in ("_tc", "_tr", "_r", "element") if hasattr(part, name))


def _element(name: str, **attributes: str) -> Any:
    made: Any = OxmlElement(name)
    for key, value in attributes.items():
        made.set(qn(key), value)
    return made


def _if(condition: str, said: str) -> str:
    return "{% if " + condition + " %}" + said + "{% endif %}"


def _cell(cell: Cell, said: str, width: float, *, head: bool = False) -> None:
    cell.width = Cm(width)
    cell.text = said
    paragraph = cell.paragraphs[0]
    paragraph.paragraph_format.space_after = Pt(1)
    paragraph.paragraph_format.space_before = Pt(1)
    paragraph.paragraph_format.line_spacing = 1.1
    for run in paragraph.runs:
        run.font.size = Pt(9)
        run.font.bold = head
    if head:
        shade = {"w:val": "clear", "w:color": "auto", "w:fill": SHADE}
        _drawn(cell).get_or_add_tcPr().append(_element("w:shd", **shade))


def _widths(table: Table, *widths: float) -> None:
    """Give the columns their widths: LibreOffice goes by the grid of a table, Word by its cells."""
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Cm(width)


def _row(row: Row, mark: str) -> None:
    _drawn(row).get_or_add_trPr().append(_element(mark))


def _field(paragraph: Paragraph, said: str) -> None:
    instruction = _element("w:instrText")
    instruction.text = said
    begin, end = (_element("w:fldChar", **{"w:fldCharType": kind}) for kind in ("begin", "end"))
    for part in (begin, instruction, end):
        _drawn(paragraph.add_run()).append(part)


def _bold(paragraph: Paragraph) -> Paragraph:
    for run in paragraph.runs:
        run.font.bold = True
    return paragraph


def _colour(paragraph: Paragraph, colour: RGBColor) -> Paragraph:
    for run in paragraph.runs:
        run.font.color.rgb = colour
    return paragraph


def _small(paragraph: Paragraph) -> Paragraph:
    for run in paragraph.runs:
        run.font.size = Pt(8.5)
    return _colour(paragraph, GREY)
