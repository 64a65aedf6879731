"""Alerts: findings that share a cause, counted, ranked and explained. Pure: what is open is in the state.

Findings are one alert while they share rule, client, server and target and follow one another within the rule's window. A
weaker rule's findings about the same client and server, within an hour of a stronger alert's beginning, attach to that alert as
`related` instead of opening one more. All of it follows from the findings' global order alone, so that the same records give the
same alerts to the byte.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from detection import attack
from detection.sigma.correlate import ORDER
from detection.sigma.rule import LANGUAGES, LEVELS, Rule, Texts
from sensor.tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detection.rules import Findings
    from detection.site import Site

FIRST_RECORDS: Final = 80
"""Records that an alert names from its beginning."""

LAST_RECORDS: Final = 20
"""Records that it names from its end, where there are more."""

STORY_NS: Final = 3_600_000_000_000
"""How long after its first finding an alert takes in weaker findings about the same client and server: an hour."""

OPEN_ALERTS: Final = 50_000
"""Alerts that are held open; beyond that those that were quiet longest are let go, and a recurrence is a new alert."""

WEIGHTS: Final = {level: float(2**position) for position, level in enumerate(LEVELS)}
"""Weight of a severity in the rank: each level counts twice the one below."""


@dataclass(frozen=True, slots=True)
class Related:
    """Findings of another rule that belong to an alert."""

    rule: str
    title: Mapping[str, str]
    severity: str
    count: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert at one revision. Times are nanoseconds since 1970, UTC."""

    id: str
    """Stable: a hash of the cause and of the first record."""
    revision: int
    """Findings so far, those of related rules included: it only rises."""
    rule: str
    """The rule's name, stable."""
    severity: str
    confidence: float
    rank: float
    """Weight of the severity × confidence × criticality of the server."""
    first_seen: int
    last_seen: int
    count: int
    """Records that belong to it."""
    client_ip: str | None
    server_ip: str | None
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`texts` (language → title, summary, expected, observed, next_steps), `target`, `techniques`, `technique_aliases`,
    `records`, `related`."""


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that may still grow, or findings that attach to one."""

    alert: str
    """The alert's id; for attached findings that of the alert they attach to."""
    cause: tuple[str, ...]
    rule: str
    first: int
    last: int
    count: int
    records_first: tuple[str, ...] = ()
    records_last: tuple[str, ...] = ()
    sample: Mapping[str, Any] = field(default_factory=dict[str, Any])
    client: str | None = None
    server: str | None = None
    related: Mapping[str, tuple[int, int, int]] = field(default_factory=dict[str, "tuple[int, int, int]"])
    """Attached rules: count, first, last."""
    attached: bool = False


@dataclass(frozen=True, slots=True)
class AlertState:
    """Alerts that are open, by cause; and by (client, server) the alerts that weaker findings may attach to."""

    open: Mapping[str, OpenAlert] = field(default_factory=dict[str, OpenAlert])


@dataclass(frozen=True, slots=True)
class _Session:
    """Findings of one cause without a pause."""

    rule: Rule
    cause: tuple[str, ...]
    order: tuple[Any, ...]
    first: int
    last: int
    count: int
    rows: pl.DataFrame


def group(state: AlertState, findings: Findings, rules: Mapping[str, Rule], site: Site) -> tuple[AlertState, list[Alert]]:
    """Take findings in; the alerts that are new or have grown, in order of first finding."""
    sessions = [session for name in sorted(findings) for session in _sessions(rules[name], findings[name])]
    sessions.sort(key=lambda session: session.order)
    held = dict(state.open)
    primaries = {alert.alert: key for key, alert in held.items() if not alert.attached}
    stories: dict[tuple[str | None, str | None], list[str]] = {}
    for key, alert in held.items():
        if not alert.attached:
            stories.setdefault((alert.client, alert.server), []).append(key)
    changed: dict[str, None] = {}
    for session in sessions:
        key = "\x1f".join(session.cause)
        known = held.get(key)
        window_ns = session.rule.window_seconds * 1_000_000_000
        if known is None or session.first - known.last > window_ns:
            known = _begin(session, held, stories, rules)
            if not known.attached:
                primaries[known.alert] = key
                story = stories.setdefault((known.client, known.server), [])
                if key not in story:
                    story.append(key)
        held[key] = known = _grow(known, session)
        if known.attached:
            parent_key = primaries.get(known.alert)
            if parent_key is None:
                continue
            parent = held[parent_key]
            count, first, last = parent.related.get(known.rule, (0, session.first, session.last))
            together = {**parent.related, known.rule: (count + session.count, min(first, session.first), max(last, session.last))}
            held[parent_key] = replace(parent, related=together)
            changed[parent_key] = None
        else:
            changed[key] = None
    alerts = [_alert(held[key], rules, site) for key in changed]
    alerts.sort(key=lambda alert: (alert.first_seen, alert.id))
    return AlertState(_bounded(held)), alerts


def _bounded(held: dict[str, OpenAlert]) -> dict[str, OpenAlert]:
    if len(held) <= OPEN_ALERTS:
        return held
    newest = sorted(held.items(), key=lambda item: (item[1].last, item[0]))[-OPEN_ALERTS:]
    return dict(newest)


def _sessions(rule: Rule, rows: pl.DataFrame) -> list[_Session]:
    """A rule's findings by cause, cut where a pause is longer than its window."""
    names = _cause_columns(rule, rows)
    ordered = rows.sort(ORDER)
    sessions: list[_Session] = []
    for values, part in ordered.group_by(names, maintain_order=True) if names else [((), ordered)]:
        cause = (rule.name, *(f"{name}={'' if value is None else value}" for name, value in zip(names, values, strict=True)))
        pause = pl.col("event").diff().fill_null(0) > rule.window_seconds * 1_000_000_000
        for _, piece in part.with_columns(session=pause.cum_sum()).group_by("session", maintain_order=True):
            events = piece.get_column("event")
            first = piece.row(0, named=True)
            order = (first["event"], first["sequence"], first["row"], first["sensor"], first["epoch"], rule.name)
            sessions.append(_Session(rule, cause, order, int(events[0]), int(events[-1]), piece.height, piece))
    return sessions


def _cause_columns(rule: Rule, rows: pl.DataFrame) -> list[str]:
    if rule.correlation is not None:
        return [name for name in rule.correlation.group_by or () if name in rows.columns]
    return [name for name in ("client.ip", "server.ip", *rule.target) if name in rows.columns]


def _begin(
    session: _Session,
    held: Mapping[str, OpenAlert],
    stories: Mapping[tuple[str | None, str | None], Sequence[str]],
    rules: Mapping[str, Rule],
) -> OpenAlert:
    """A new alert, or a place at a stronger one."""
    sample = _sample(session)
    columns = _cause_columns(session.rule, session.rows)
    client = sample.get("client.ip") if "client.ip" in columns or session.rule.correlation is None else None
    server = sample.get("server.ip")
    level = LEVELS.index(session.rule.level)
    parents = [
        held[key]
        for key in stories.get((client, server), ())
        if key in held and 0 <= session.first - held[key].first <= STORY_NS and LEVELS.index(rules[held[key].rule].level) > level
    ]
    record = _identities(session.rows.head(1))[0]
    own = hashlib.blake2b("\x1f".join((*session.cause, record)).encode(), digest_size=16).hexdigest()
    parent = max(parents, key=lambda alert: (LEVELS.index(rules[alert.rule].level), -alert.first, alert.alert), default=None)
    return OpenAlert(
        alert=own if parent is None else parent.alert,
        cause=session.cause,
        rule=session.rule.name,
        first=session.first,
        last=session.first,
        count=0,
        sample=sample,
        client=client,
        server=server,
        attached=parent is not None,
    )


def _grow(known: OpenAlert, session: _Session) -> OpenAlert:
    sample = dict(known.sample)
    if "count" in session.rows.columns:
        # Texts of a correlation tell of its latest window.
        sample = {
            **_sample(session),
            "count": max(int(sample.get("count") or 0), int(cast("int", session.rows.get_column("count").max()))),
        }
    first, last = known.records_first, known.records_last
    if not known.attached:
        room = FIRST_RECORDS - len(first)
        first = (*first, *_identities(session.rows.head(room))) if room > 0 else first
        rest = session.rows.slice(max(room, 0)).tail(LAST_RECORDS)
        last = (*last, *_identities(rest))[-LAST_RECORDS:]
    return replace(
        known,
        last=max(known.last, session.last),
        count=known.count + session.count,
        records_first=first,
        records_last=last,
        sample=sample,
    )


def _sample(session: _Session) -> dict[str, Any]:
    """The fields of the finding that texts are made of: the first one's, or the last window's of a correlation."""
    rows = session.rows
    if "count" in rows.columns:
        fired = rows.filter(pl.col("count") > 0)
        rows = fired.tail(1) if fired.height else rows.tail(1)
    row = rows.head(1).row(0, named=True)
    return {
        name: _plain(value)
        for name, value in row.items()
        if name not in {"sensor", "epoch", "sequence", "row", "session", "event"}
    }


def _plain(value: object) -> object:
    """A value that JSON can hold."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case bytes():
            return value.hex()
        case list():
            return [_plain(item) for item in cast("list[object]", value)[:16]]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _identities(rows: pl.DataFrame) -> list[str]:
    """The records of these rows, as sensor/epoch/sequence/row."""
    parts = [pl.col(name).cast(pl.String) for name in ("sensor", "epoch", "sequence", "row")]
    return rows.select(pl.concat_str(parts, separator="/")).to_series().to_list()


def _alert(known: OpenAlert, rules: Mapping[str, Rule], site: Site) -> Alert:
    rule = rules[known.rule]
    fields = {
        **known.sample,
        "count": known.count,
        "event_count": known.sample.get("count"),
        "value_count": known.sample.get("count"),
    }
    techniques = [name for name in rule.techniques if name in attack.techniques()]
    aliases = [alias for name in techniques for alias in attack.techniques()[name].aliases]
    related = [
        asdict(
            Related(name, {language: rules[name].texts[language].title for language in LANGUAGES}, rules[name].level, *numbers)
        )
        for name, numbers in sorted(known.related.items(), key=lambda item: (-LEVELS.index(rules[item[0]].level), item[0]))
    ]
    rank = WEIGHTS[rule.level] * rule.confidence * site.critical.get(known.server or "", 1.0)
    return Alert(
        id=known.alert,
        revision=known.count + sum(count for count, _, _ in known.related.values()),
        rule=rule.name,
        severity=rule.level,
        confidence=rule.confidence,
        rank=round(rank, 6),
        first_seen=known.first,
        last_seen=known.last,
        count=known.count,
        client_ip=known.client,
        server_ip=known.server,
        body={
            "texts": {language: written(rule.texts[language], fields) for language in LANGUAGES},
            "target": {name: fields.get(name) for name in rule.target},
            "techniques": techniques,
            "technique_aliases": aliases,
            "records": [*known.records_first, *known.records_last],
            "related": related,
        },
    )


def written(texts: Texts, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's texts with the finding's fields in place of the names in braces."""

    def write(text: str) -> str:
        parts = text.split("{")
        out = [parts[0]]
        for part in parts[1:]:
            name, brace, rest = part.partition("}")
            out.append(_shown(fields.get(name)) + rest if brace and name else "{" + part)
        return "".join(out)

    return {
        "title": write(texts.title),
        "summary": write(texts.summary),
        "expected": write(texts.expected),
        "observed": write(texts.observed),
        "next_steps": [write(step) for step in texts.next_steps],
    }


def _shown(value: object) -> str:
    match value:
        case None:
            return "–"
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ", ".join(_shown(item) for item in cast("list[object]", value))
        case _:
            return str(value)


def moment(nanoseconds: int) -> str:
    """A time as ISO 8601 with nanoseconds, UTC."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def flat(alert: Alert, language: str) -> dict[str, Any]:
    """An alert for machines: flat, dotted keys, texts in one language."""
    texts = cast("Mapping[str, Any]", alert.body["texts"][language])
    related = [
        {
            "rule": each["rule"],
            "title": each["title"][language],
            "severity": each["severity"],
            "count": each["count"],
            "first_seen": moment(each["first_seen"]),
            "last_seen": moment(each["last_seen"]),
        }
        for each in alert.body["related"]
    ]
    return {
        "id": alert.id,
        "rule": alert.rule,
        "title": texts["title"],
        "summary": texts["summary"],
        "severity": alert.severity,
        "confidence": alert.confidence,
        "rank": alert.rank,
        "first_seen": moment(alert.first_seen),
        "last_seen": moment(alert.last_seen),
        "count": alert.count,
        "client.ip": alert.client_ip,
        "server.ip": alert.server_ip,
        **alert.body["target"],
        "techniques": alert.body["techniques"],
        "technique_aliases": alert.body["technique_aliases"],
        "expected": texts["expected"],
        "observed": texts["observed"],
        "next_steps": texts["next_steps"],
        "records": alert.body["records"],
        "related": related,
    }


ALERT_SCHEMA: Final = pl.Schema(
    {
        "ts": pl.Datetime("ns", "UTC"),
        "id": pl.String(),
        "revision": pl.Int64(),
        "rule": pl.String(),
        "severity": pl.String(),
        "confidence": pl.Float64(),
        "rank": pl.Float64(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
        "count": pl.Int64(),
        "client_ip": pl.String(),
        "server_ip": pl.String(),
        "body": pl.String(),
    }
)
"""Columns of table `alert` on the stream; `body` is JSON, `ts` the time of the last finding."""


def encode_alerts(alerts: Iterable[Alert]) -> bytes:
    """Alerts as a batch of table `alert`: an Arrow IPC stream, lz4."""
    rows = [
        {**asdict(alert), "ts": alert.last_seen, "body": json.dumps(alert.body, ensure_ascii=False, separators=(",", ":"))}
        for alert in alerts
    ]
    frame = pl.DataFrame(rows, schema={**ALERT_SCHEMA, "ts": pl.Int64()}).with_columns(
        pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    )
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def decode_alerts(data: bytes) -> list[Alert]:
    """The alerts of a batch of table `alert`."""
    frame = pl.read_ipc_stream(io.BytesIO(data)).drop("ts")
    return [Alert(**{**row, "body": json.loads(row["body"])}) for row in frame.iter_rows(named=True)]


ALERT_SCHEMA_VERSION: Final = SCHEMA_VERSION
"""Version of table `alert`; it moves with the record tables."""
