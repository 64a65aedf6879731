"""Alerts: what detection says, as values, as table `alert` on the stream, and as flat JSON. `grouping` makes them."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from sensor.tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


RULE_CHARACTERS: Final = 128
"""Most characters of the name of an alert's rule: a database has no more room."""

TECHNIQUE_CHARACTERS: Final = 16
"""Most characters of the identifier of a technique, likewise."""


def has_room(text: str, most: int) -> bool:
    """Whether a database takes a text as one of at most so many characters: PostgreSQL keeps no NUL."""
    return len(text) <= most and text.isprintable()


@dataclass(frozen=True, slots=True)
class Related:
    """Findings of another rule that belong to an alert."""

    rule: str
    title: Mapping[str, str]
    severity: str
    count: int
    first_seen: int
    last_seen: int
    records: tuple[str, ...]
    """Its first records, at most 20."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert at one revision. Times are nanoseconds since 1970, UTC."""

    id: str
    """Stable: a hash of the cause and of the first record."""
    revision: int
    """It only rises: findings so far, those of related rules included, and one more once it is part of another alert."""
    rule: str
    """The rule's name, stable."""
    severity: str
    confidence: float
    rank: float
    """Weight of the severity × confidence × criticality of the server, raised by each stage of its story."""
    first_seen: int
    """Time (`ts`) of its earliest record."""
    last_seen: int
    """Time (`ts`) of its latest record."""
    count: int
    """Records that belong to it."""
    client_ip: str | None
    server_ip: str | None
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`texts` (language → title, summary, expected, observed, next_steps), `target` (field → value),
    `posture` (whether it says how a server is set up and not that something happened: it is no alarm),
    `techniques` (its rule's own, then those of what belongs to it), `technique_aliases`,
    `records` (the first 80 and the last 20), `related` (findings of other rules that belong to it, as `Related`),
    `part_of` (id of the stronger alert that it became part of, or null), `story` (the course of action that it belongs to, as
    `stories.Told.fields`, or null), `exception` (that of the site which hides it, as
    `tuning.Exemption.fields`, or null), `accept` (what would be accepted as normal; of a deviation: kind, client, server, point
    and unit, "" for any, whether only what was `rare` while learning, and the operation that was seen; of an anomaly: kind, which
    is the model, client, server, point, which is its subject, what was observed, as text, and as value; else null),
    `holds` (of a digest only: ids of the first alerts that it holds), `missing` (of missing batches only: sensor, epoch, and the
    numbers of the first and the last)."""

    @property
    def part_of(self) -> str | None:
        """Id of the stronger alert that tells this one too, under `related`; None where the alert stands for itself."""
        return cast("str | None", self.body.get("part_of"))

    @property
    def exception(self) -> Mapping[str, Any] | None:
        """The site's exception that hides it; None where none does."""
        return cast("Mapping[str, Any] | None", self.body.get("exception"))

    @property
    def posture(self) -> bool:
        """Whether it says how a server is set up, and not that something happened: it counts as no alarm."""
        return bool(self.body.get("posture"))


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
            "records": each["records"],
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
        "posture": alert.posture,
        "techniques": alert.body["techniques"],
        "technique_aliases": alert.body["technique_aliases"],
        "expected": texts["expected"],
        "observed": texts["observed"],
        "next_steps": texts["next_steps"],
        "records": alert.body["records"],
        "related": related,
        "part_of": alert.part_of,
        "exception": alert.exception,
        "story": story(alert.body.get("story"), language),
        **({"holds": alert.body["holds"]} if "holds" in alert.body else {}),
    }


def story(told: Mapping[str, Any] | None, language: str) -> dict[str, Any] | None:
    """A story as an alert carries it, in one language; None where there is none."""
    if told is None:
        return None
    stages = [{**stage, "name": stage["name"][language], "first_seen": moment(stage["first_seen"])} for stage in told["stages"]]
    return {**told, "sentence": told["sentence"][language], "stages": stages}


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
    """The alerts of a batch of table `alert`; a number that is none (NaN, an infinity) is null, as JSON has it."""
    frame = pl.read_ipc_stream(io.BytesIO(data)).drop("ts")
    return [
        Alert(**{**row, "body": json.loads(row["body"], parse_constant=lambda _: None)}) for row in frame.iter_rows(named=True)
    ]


ALERT_SCHEMA_VERSION: Final = SCHEMA_VERSION
"""Version of table `alert`; it moves with the record tables."""
