"""Which stored records a question is about, and questions to the store whose failures are problems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.database.scope import SITE_CHARACTERS
from api.filters import Time  # noqa: TC001  pydantic reads the annotation at run time
from api.problems import Problem
from api.sensors.sites import sensors_of
from api.site import service as sites
from api.times import NANOSECONDS
from collector.store import Filter, Grouping, QueryError, QueryTimeoutError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl
    from sqlalchemy.orm import Session

    from api.services import Services
    from collector.store import RecordStore

T = TypeVar("T")

SiteName = Annotated[str, StringConstraints(max_length=SITE_CHARACTERS, pattern=r"^[^\x00]*$")]

WINDOW_SECONDS: Final = 7 * 86_400
"""How far back records are looked at where nobody says."""

PROBLEMS: Final = (
    "signed_out", "site_missing", "site_unknown", "records_missing", "query_too_long", "query_invalid", "baseline_unknown",
)  # fmt: skip
"""What can go wrong with a question about a span."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SpanQuery(BaseModel):
    """Which records are looked at."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; it may be left out where there is only one."""
    since: Time = None
    """Records from this time on; without it, seven days before `until`."""
    until: Time = None
    """Records before this time; without it, up to the latest that is stored."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""


@dataclass(frozen=True, slots=True)
class Span:
    """Records of some sensors (none: of all) from a time to another.

    Attributes:
        since: nanoseconds since 1970; the first that counts.
        until: the first that does not count.
        seconds: how long the store may take for a question.
        sensors: names of the sensors.
    """

    since: int
    until: int
    seconds: float
    sensors: Sequence[str] = ()

    @property
    def filters(self) -> list[Filter]:
        """The condition on the sensor."""
        return [Filter("sensor", "in", list(self.sensors))] if self.sensors else []


def span(store: RecordStore, since: int | None, until: int | None, seconds: float, sensors: Sequence[str]) -> Span:
    """The span that is asked for; without an end up to the latest record, without a begin seven days. Raises as `asked`."""
    if until is None:
        last = [held.last for held in asked(store.tables) if held.last is not None and held.table != "sensor"]
        until = max(last, default=0) + 1_000
    return Span(max(0, until - WINDOW_SECONDS * NANOSECONDS) if since is None else since, until, seconds, sensors)


def of_query(session: Session, services: Services, query: SpanQuery) -> tuple[str, Span]:
    """The site that is meant, and the span of its records.

    Raises Problem `site_missing`, `site_unknown`, `baseline_unknown`, and as `asked`.
    """
    site = sites.written(session, services, query.site)
    sensors = sensors_of(services, site)
    return site, span(services.records, query.since, query.until, services.settings.query_seconds, sensors)


def grouped(
    store: RecordStore, table: str, by: Sequence[str], span: Span, *, filters: Sequence[Filter] = (), **more: Any
) -> tuple[pl.DataFrame, bool]:
    """Records of a span counted together, and whether there are more groups. Raises as `asked`."""
    grouping = Grouping(
        table, by, [*span.filters, *filters], since=moment(span.since), until=moment(span.until), seconds=span.seconds, **more
    )
    found = asked(lambda: store.groups(grouping))
    # Stores give groups in no order.
    return found.rows.sort(by), found.more


def asked(question: Callable[[], T]) -> T:
    """The answer of a record store. Raises Problem `records_missing`, `query_too_long`, `query_invalid`."""
    try:
        return question()
    except QueryTimeoutError as error:
        raise Problem("query_too_long", headers={"Retry-After": "5"}) from error
    except QueryError as error:
        raise Problem("query_invalid", reason=str(error)) from error
    except StoreError as error:
        raise Problem("records_missing", reason=str(error)) from error


def moment(nanoseconds: int) -> datetime:
    """A time as the store is asked for it, to the microsecond."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)
