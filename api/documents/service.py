"""Templates of a plant, and documents: made when they are asked for, kept once a report is approved."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.documents import contents, pdf, process, report, summary
from api.documents.models import ReportDocument, ReportTemplate
from api.incidents import service as incidents
from api.obligations import service as obligations
from api.obligations.rules import content_keys, made_under, rule_set
from api.problems import Problem
from api.times import iso, now
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.database import Database
    from api.documents.models import Form, Language
    from api.documents.schemas import TemplateInput
    from api.obligations.models import Obligation
    from api.situation.schemas import Blindness

REPORT: Final = "report"
"""Key of the template of all reports that have none of their own."""

SUMMARY: Final = "summary"


@dataclass(frozen=True, slots=True)
class Template:
    """A template to be filled.

    Attributes:
        key: of those that there are, the one that it is.
        language: of its documents.
        content: the Word file; None for the product's.
        version: 0 for the product's.
    """

    key: str
    language: Language
    content: bytes | None
    version: int

    def file(self) -> bytes:
        """The Word file."""
        return self.content or process.built_in(SUMMARY if self.key == SUMMARY else REPORT, self.language)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        form: what kind of file.
        language: of the document.
        actor: who asks.
        plant: whether he may see alerts and assets.
    """

    form: Form
    language: Language
    actor: Actor
    plant: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A document."""

    content: bytes
    template: str
    """SHA-256 of the template."""
    template_fault: str | None = None
    """Why the product's template was filled in place of the plant's: code of the problem; None where it was not."""

    @property
    def sha256(self) -> str:
        """Hash of the document."""
        return hashlib.sha256(self.content).hexdigest()


def templates(session: Session) -> Sequence[ReportTemplate]:
    """The templates that the plant brought."""
    brought = sa.select(ReportTemplate).where(ReportTemplate.withdrawn.is_(False))
    return session.scalars(brought.order_by(ReportTemplate.key, ReportTemplate.language)).all()


def template(session: Session, key: str, language: Language) -> Template:
    """The template that is in force: the plant's for this, the plant's for all reports, or the product's.

    Raises Problem `template_unknown`.
    """
    _check_key(key)
    for each in (key,) if key == SUMMARY else dict.fromkeys((key, REPORT)):
        stored = _stored(session, each, language)
        if stored is not None and not stored.withdrawn:
            return Template(each, language, base64.b64decode(stored.content), stored.version)
    return Template(key if key == SUMMARY else REPORT, language, None, 0)


def read(given: TemplateInput) -> bytes:
    """The file that is brought, once it is known that it can be filled.

    Raises Problem `template_unknown`, `template_unreadable`, and as `process.fill`.
    """
    _check_key(given.key)
    try:
        content = base64.b64decode(given.content, validate=True)
    except ValueError:
        raise Problem("template_unreadable", reason="Base64") from None
    if not content.startswith(b"PK"):
        raise Problem("template_unreadable", reason="ZIP")
    shape = _shape(given.key)
    process.fill(content, shape, [shape, _shape(given.key, many=True), _shape(given.key, full=False)])
    return content


def bring(session: Session, given: TemplateInput, content: bytes, actor: Actor, if_match: str | None) -> ReportTemplate:
    """Let a template be in force. Raises Problem `precondition_required`, `precondition_failed` where there is one."""
    stored = _stored(session, given.key, given.language)
    if stored is None:
        stored = ReportTemplate(key=given.key, language=given.language, version=0, withdrawn=True)
        session.add(stored)
    elif not stored.withdrawn:
        check_version(stored.version, if_match, stored.changed_by)
    before, stored.sha256 = None if stored.withdrawn else stored.sha256, hashlib.sha256(content).hexdigest()
    stored.version, stored.name, stored.content = stored.version + 1, given.name, base64.b64encode(content).decode()
    stored.withdrawn, stored.changed_by, stored.changed_at = False, actor.name, now()
    told = {"language": given.language, "name": given.name, "before": before, "after": stored.sha256}
    audit.record(session, actor, "report_template.bring", given.key, told)
    session.flush()
    return stored


def withdraw(session: Session, key: str, language: Language, actor: Actor, if_match: str | None) -> None:
    """Let the product's template be in force again.

    Raises Problem `template_unknown`, `precondition_required`, `precondition_failed`.
    """
    stored = _stored(session, key, language)
    if stored is None or stored.withdrawn:
        raise Problem("template_unknown", template=key)
    check_version(stored.version, if_match, stored.changed_by)
    audit.record(session, actor, "report_template.withdraw", key, {"language": language, "before": stored.sha256})
    stored.withdrawn, stored.version = True, stored.version + 1
    stored.changed_by, stored.changed_at = actor.name, now()


def report_document(database: Database, identity: int, asked: Asked) -> tuple[Made, str]:
    """A document of a report, and a name for its file. Of one that was approved always the same, which is kept.

    Raises Problem `obligation_unknown`, and as `process.fill` and `pdf.convert`.
    """
    with database.read() as session:
        found, incident = obligations.get(session, identity)
        name = f"incident-{incident.number}-{found.rule}-{found.id}"
        own = [each for each in kept(session, found) if each.language == asked.language]
        made: dict[Form, Made] = {cast("Form", each.form): _made(each) for each in own}
        chosen = template(session, found.rule, asked.language)
        operator, _ = obligations.operator_of(session, incident.site)
        approved = (found.state, found.approved_at)
        said = contents.plain(report.contents(found, incident, operator, asked.actor.name, asked.language))
    if asked.form not in made:
        made = _filled(chosen, said, asked.form, made.get("docx"))
    with database.write() as session:
        found, _ = obligations.get(session, identity)
        if (found.state, found.approved_at) == approved and found.state == "approved":
            made = {form: _keep(session, found, form, each, asked) for form, each in made.items()}
        told = {"format": asked.form, "language": asked.language, "state": approved[0], "sha256": made[asked.form].sha256}
        audit.record(session, asked.actor, "report.take", str(identity), told | _fault(made[asked.form]))
    return made[asked.form], name


def summary_document(database: Database, number: int, asked: Asked, blindness: Blindness | None) -> Made:
    """A summary of an incident as it is now. Raises Problem `incident_unknown`, and as `process.fill` and `pdf.convert`."""
    reader = summary.Reader(asked.actor.name, asked.language, asked.plant)
    with database.read() as session:
        incident = incidents.get(session, number)
        operator, _ = obligations.operator_of(session, incident.site)
        chosen = template(session, SUMMARY, asked.language)
        said = contents.plain(summary.contents(session, incident, operator, blindness, reader))
    made = _filled(chosen, said, asked.form)[asked.form]
    told = {"format": asked.form, "language": asked.language, "sha256": made.sha256}
    audit.record_read(database, asked.actor, "summary.take", str(number), told | _fault(made))
    return made


def kept(session: Session, found: Obligation) -> Sequence[ReportDocument]:
    """The documents of a report as it was approved; none where it is to be approved (again)."""
    if found.state not in report.APPROVED or found.approved_at is None:
        return ()
    mine = sa.select(ReportDocument).where(ReportDocument.obligation == found.id, ReportDocument.approved_at == found.approved_at)
    return session.scalars(mine.order_by(ReportDocument.id)).all()


def _stored(session: Session, key: str, language: Language) -> ReportTemplate | None:
    return session.get(ReportTemplate, {"organisation": scope_of(session).organisation, "key": key, "language": language})


def _check_key(key: str) -> None:
    if key in {REPORT, SUMMARY}:
        return
    try:
        made_under(rule_set().version, key)
    except KeyError:
        raise Problem("template_unknown", template=key) from None


def _shape(key: str, *, full: bool = True, many: bool = False) -> dict[str, Any]:
    """What there is for a template to name."""
    if key == SUMMARY:
        return contents.shape(contents.Summary, [], full=full, many=many)
    keys = list(content_keys() if key == REPORT else made_under(rule_set().version, key).rule(key).contents)
    return contents.shape(contents.Report, keys, full=full, many=many)


def _filled(chosen: Template, said: Mapping[str, Any], form: Form, written: Made | None = None) -> dict[Form, Made]:
    """The Word file of what is said, and of that the PDF where that is asked for.

    A plant's template that cannot be filled keeps nobody from a report that is due: the product's is filled then.
    """
    if written is None:
        try:
            written = _written(chosen, said)
        except Problem as problem:
            if chosen.content is None or not problem.code.startswith(("template_", "placeholder_")):
                raise
            written = replace(_written(replace(chosen, content=None), said), template_fault=problem.code)
    made: dict[Form, Made] = {"docx": written}
    if form == "pdf":
        made["pdf"] = replace(written, content=pdf.convert(written.content))
    return made


def _written(chosen: Template, said: Mapping[str, Any]) -> Made:
    file = chosen.file()
    (document,) = process.fill(file, _shape(chosen.key), [said])
    return Made(document, hashlib.sha256(file).hexdigest())


def _fault(made: Made) -> dict[str, str]:
    return {} if made.template_fault is None else {"template_fault": made.template_fault}


def _made(stored: ReportDocument) -> Made:
    return Made(base64.b64decode(stored.content), stored.template)


def _keep(session: Session, found: Obligation, form: Form, made: Made, asked: Asked) -> Made:
    """Keep a document, unless another request was first: its document is the answer then."""
    there = next((each for each in kept(session, found) if (each.form, each.language) == (form, asked.language)), None)
    if there is not None:
        return _made(there)
    others = sa.select(ReportDocument).where(
        ReportDocument.obligation == found.id, ReportDocument.approved_at != found.approved_at
    )
    for old in session.scalars(others.order_by(ReportDocument.id)).all():
        told = {"format": old.form, "language": old.language, "approved_at": iso(old.approved_at), "sha256": old.sha256}
        audit.record(session, asked.actor, "report.document_dropped", str(found.id), told)
        session.delete(old)
    session.add(
        ReportDocument(
            obligation=found.id, approved_at=found.approved_at, form=form, language=asked.language, template=made.template,
            sha256=made.sha256, content=base64.b64encode(made.content).decode(), made_by=asked.actor.name, made_at=now(),
        )
    )  # fmt: skip
    session.flush()
    return made
