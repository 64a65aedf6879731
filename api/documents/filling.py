"""Fills a template: placeholders of a Word file are replaced, everything else stays as it was drawn."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING, Any, Final, cast

from docxtpl import DocxTemplate
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from lxml import etree
from markupsafe import Markup

from api.documents import package
from api.documents.faults import Fault
from api.documents.placeholders import SHOWN_CHARACTERS, Environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml.etree import _Element as Element  # pyright: ignore[reportPrivateUsage]  lxml names it so

FILLED_BYTES: Final = 4 * package.FILE_BYTES
"""Largest document that comes out."""

PROPERTY_CHARACTERS: Final = 255
"""Longest text of a document's property, as python-docx writes them."""

_PROPERTIES: Final = ("author", "comments", "identifier", "language", "subject", "title")

_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What no XML can hold, and what stands for a new page or paragraph in what fills templates."""

_log = logging.getLogger(__name__)

_TAGS: Final = re.compile(r"<[^>]*>")


class _Template(DocxTemplate):
    """A template that is filled as it is written, or not at all."""

    def render_properties(self, context: dict[str, Any], jinja_env: Any = None) -> None:
        """Fill title, subject and the like: texts that are no XML yet, and as long as they may be."""
        properties: Any = cast("Any", self).docx.core_properties
        for name in _PROPERTIES:
            # What a property says is text: it was made safe for XML, in which it does not stand.
            said = Markup(jinja_env.from_string(getattr(properties, name)).render(context)).unescape()  # noqa: S704  it is taken apart
            setattr(properties, name, said[:PROPERTY_CHARACTERS])

    def fix_tables(self, xml: str) -> Element:
        """Raises Fault where what comes out is no XML; it would be mended by leaving some of it out."""
        _check_whole(xml)
        return cast("Any", super()).fix_tables(xml)  # docxtpl says nothing of its types


def fill(template: bytes, shape: Mapping[str, Any], contents: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """A document of each of several contents.

    Args:
        template: a Word file.
        shape: what there is, as `placeholders.Environment` takes it.
        contents: what goes in, of that shape.

    Raises:
        Fault: the template cannot be used, or not be filled.
    """
    package.check(template)
    return [_filled(template, shape, content) for content in contents]


def _filled(template: bytes, shape: Mapping[str, Any], content: Mapping[str, Any]) -> bytes:
    written = io.BytesIO()
    try:
        opened: Any = _Template(io.BytesIO(template))
        opened.render(_clean(content), Environment(shape), autoescape=True)
        opened.save(written)
    except TemplateSyntaxError as error:
        raise Fault("placeholder_unfit", placeholder=_place(error), line=str(error.lineno)) from error
    except TemplateError as error:
        raise Fault("placeholder_unfit", placeholder=str(error)[:SHOWN_CHARACTERS], line="–") from error
    except etree.XMLSyntaxError as error:
        raise Fault("template_broken", reason=str(error)[:SHOWN_CHARACTERS]) from error
    except (Fault, MemoryError):
        raise
    except Exception as error:
        # What python-docx and lxml raise over a package that is not as they expect: they have no one error for that.
        _log.exception("a template could not be filled")
        raise Fault("template_unreadable", reason=f"{type(error).__name__}: {str(error)[:100]}") from error
    # What is drawn as text in a template stays text, whatever is done to hide it: what came out is looked at as what went in.
    package.check(written.getvalue(), FILLED_BYTES)
    return written.getvalue()


def _check_whole(xml: str) -> None:
    etree.fromstring(xml.encode())


def _place(error: TemplateSyntaxError) -> str:
    """Where a template is written wrongly: the line without its tags, and what is wrong."""
    lines = (error.source or "").splitlines()
    line = _TAGS.sub("", lines[error.lineno - 1]).strip() if 0 < error.lineno <= len(lines) else ""
    return f"{line[:SHOWN_CHARACTERS]} ({(error.message or '')[:SHOWN_CHARACTERS]})"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _NO_XML.sub("", value.replace("\r\n", "\n"))
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in cast("list[Any]", value)]
    return value
