"""Records of table `control`: what people and detection decide, on its way down to sensors and to detection itself.

A record has a kind and a content; kinds that a sensor follows are read here, others belong to `detection.control`. Polars is
loaded with the first record: a sensor that nobody asks for anything holds 40 MiB less without it.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sensor.packets import LIMIT_BYTES, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SENSOR: Final = "control"
"""Name under which decisions are published."""

PIN: Final = "pin"
"""Kind of a record that asks the sensors to pin the packets of an alert (`sensor.packets.Statement`)."""

EVIDENCE: Final = "evidence"
"""Kind of a record that asks a sensor for packets (`EvidenceRequest`)."""

SETTINGS: Final = "settings"
"""Kind of a record that sets a sensor (`sensor.remote_settings.Version`)."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """Packets that somebody asks a sensor for.

    Attributes:
        id: identity of the request: letters, digits, "-" and "_", at most 64.
        statement: which packets.
        by: name of the person who asks.
        sensor: name of the sensor that is asked.
        mask_values: zeros in place of what carries values.
        limit_bytes: most bytes of packets, at most `sensor.packets.LIMIT_BYTES`.
    """

    id: str
    statement: Statement
    by: str
    sensor: str
    mask_values: bool = False
    limit_bytes: int = LIMIT_BYTES

    def to_json(self) -> str:
        """The request as text."""
        content = {
            "id": self.id, "statement": json.loads(self.statement.to_json()), "by": self.by, "sensor": self.sensor,
            "mask_values": self.mask_values, "limit_bytes": self.limit_bytes,
        }  # fmt: skip
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> EvidenceRequest:
        """The request that `to_json` wrote. Raises ValueError for any other text."""
        try:
            content = cast("Mapping[str, Any]", json.loads(text))
            statement = Statement.from_json(json.dumps(content["statement"]))
            id_, by, sensor = (str(content[name]) for name in ("id", "by", "sensor"))
            mask_values, limit_bytes = content["mask_values"], int(content["limit_bytes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a request for evidence: {text[:80]!r}") from error
        if not _ID.fullmatch(id_) or not isinstance(mask_values, bool) or not 0 < limit_bytes <= LIMIT_BYTES:
            raise ValueError(f"not a request for evidence: {text[:80]!r}")
        return cls(id_, statement, by[:64], sensor, mask_values, limit_bytes)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that a sensor should follow and cannot read. The text is the reason, in one line."""

    reason: str


def encode(ts: int, kind: str, content: str, *, version: str = "", position: str = "") -> bytes:
    """One record as an Arrow IPC stream; `ts` is nanoseconds since 1970."""
    import polars as pl  # noqa: PLC0415  see above

    row = {"ts": ts, "kind": kind, "version": version, "position": position, "content": content}
    buffer = io.BytesIO()
    frame = pl.DataFrame([row]).with_columns(pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))
    frame.write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def rows_of(data: bytes) -> list[dict[str, Any]]:
    """The records of a batch. Raises ValueError where it is none of table `control`."""
    import polars as pl  # noqa: PLC0415  see above
    from polars.exceptions import PanicException, PolarsError  # noqa: PLC0415

    columns = {"ts": pl.Datetime("ns", "UTC"), **dict.fromkeys(("kind", "version", "position", "content"), pl.String())}
    try:
        frame = pl.read_ipc_stream(io.BytesIO(data))
    except (PolarsError, PanicException, OSError) as error:
        raise ValueError("not a batch of control records") from error
    if {name: frame.schema.get(name) for name in columns} != columns:
        raise ValueError("not a batch of control records: it lacks their columns")
    return frame.to_dicts()


def requests_of(data: bytes) -> Iterator[Statement | EvidenceRequest | Refused]:
    """What a batch of control records asks of a sensor: statements to be pinned, evidence, and what cannot be read."""
    try:
        rows = rows_of(data)
    except ValueError as error:
        yield Refused(str(error))
        return
    for row in rows:
        try:
            if row["kind"] == PIN:
                yield Statement.from_json(row["content"] or "")
            elif row["kind"] == EVIDENCE:
                yield EvidenceRequest.from_json(row["content"] or "")
        except ValueError as error:
            yield Refused(str(error))
