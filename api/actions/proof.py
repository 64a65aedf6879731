"""What records say of somebody who should be silent: questions to the record store, for `sight` to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import polars as pl

from api.actions import sight
from api.actions.sight import Judgement, Seen
from api.records.span import Span, asked, grouped, moment
from api.sensors.sites import sensors_of
from api.times import NANOSECONDS
from collector.store import GROUPS, IDENTITY, PAGE_ROWS, Filter, Order, Query
from sensor.drops import LOSSES
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.actions.schemas import Silence
    from api.actions.sight import Window
    from api.services import Services

WRITES: Final[Mapping[str, Filter]] = {
    "modbus": Filter("modbus.access", "in", ["write", "read_write"]),
    "opcua_item": Filter("opcua.kind", "in", ["write", "call", "node_management"]),
}
"""Records of writes and calls, by table."""

READABLE: Final = ("modbus", "opcua")
"""Protocols of which it is read who writes what."""

VENDORS: Final = Filter("modbus.access", "=", "other")
"""Calls of Modbus of which only the vendor knows what they do."""

HARMLESS: Final = ("dns", "mdns", "llmnr", "netbios_ns", "netbios_dgm", "ntp", "ptp", "dhcp", "ssdp", "syslog", "lldp", "cdp")
"""Protocols by which nobody writes to a process."""

LOST: Final = (*LOSSES, "spool_expired", "interface_away")
"""Counters of a sensor that say that it missed something."""

DAYS: Final = (1, 30)
"""How far back is looked, before the action, for the sensors that saw the acts: the nearer time first."""

EARLIER_SECONDS: Final = 3_600
"""Records may be this much older than the batch that they came in; conversations, which are as old as their begin, more."""

SHOWN: Final = 20
"""Records that are named."""


def look(services: Services, site: str, silence: Silence, executed: int, now: int) -> Judgement:
    """What the records of a site show since an action was carried out (nanoseconds since 1970).

    Raises Problem `query_too_long`, `records_missing`, `baseline_unknown`.
    """
    sensors, span = sensors_of(services, site), silence.minutes * 60 * NANOSECONDS
    looking = _Looking(services, silence, sensors)
    begin = now - span - sight.LATE_NANOSECONDS - 2 * sight.PAUSE_NANOSECONDS
    reports = {name: looking.reports(name, begin) for name in looking.witnesses(executed)}
    window = sight.window(reports, executed, now, span)
    watched = {name: sight.covering(frame, window.since) for name, frame in reports.items()}
    runs = {name: frame.row(0, named=True) for name, frame in watched.items() if frame.height}
    seen = Seen(
        looking.acts(window, runs),
        reports,
        [name for name, run in runs.items() if looking.is_lossy(name, run, watched[name], window)],
        bool(runs) and looking.is_out_of_sight(runs),
        looking.unreadable(window, runs),
    )
    return sight.judge(seen, executed, now, span)


class _Looking:
    """The questions, all about the same hosts and sensors.

    Conversations are kept under the time at which they began, and told anew each minute as long as they go on. So those that went
    on after a time are found by what came in after a report of that time: by the number of its batch.
    """

    def __init__(self, services: Services, silence: Silence, sensors: Sequence[str]) -> None:
        self._store = services.records
        self._seconds = services.settings.query_seconds
        self._sensors = sensors
        self._silence = silence
        self._pair = [Filter("client.ip", "=", silence.client)]
        self._turned = [Filter("server.ip", "=", silence.client)]
        if silence.server is not None:
            self._pair.append(Filter("server.ip", "=", silence.server))
            self._turned.append(Filter("client.ip", "=", silence.server))

    def witnesses(self, executed: int) -> list[str]:
        """The sensors that saw the acts before the action was carried out."""
        questions = [("flow", [*self._pair]), ("flow", [*self._turned])]
        if self._silence.kind == "silent_writer":
            questions = [(table, [condition, *self._pair]) for table, condition in WRITES.items()]
        for days in DAYS:
            before = Span(max(0, executed - days * 86_400 * NANOSECONDS), executed, self._seconds, self._sensors)
            found: set[str] = set()
            for table, filters in questions:
                found.update(grouped(self._store, table, ["sensor"], before, filters=filters)[0]["sensor"])
            if found:
                return sorted(found)
        return []

    def reports(self, sensor: str, since: int) -> pl.DataFrame:
        """What a sensor said of itself from a time on, as `sight.REPORTS`, in order of time."""
        columns = ["ts", "sensor.packets", "sensor.drops"]
        rows = self._rows("sensor", [Filter("sensor", "=", sensor)], columns, since=since)
        cause = pl.element().struct.field("name").str.split(":").list.first()
        lost = pl.col("sensor.drops").list.eval(pl.element().filter(cause.is_in(LOST)).struct.field("count")).list.sum()
        found = rows.select(
            at=pl.col("ts").dt.epoch("ns"), epoch=pl.col("epoch"), sequence=pl.col("sequence"), packets=pl.col("sensor.packets"),
            lost=lost.fill_null(0),
        )  # fmt: skip
        return found.cast(sight.REPORTS).sort("at", "sequence")

    def acts(self, window: Window, runs: Mapping[str, Mapping[str, object]]) -> list[str]:
        """Records that show that it was not silent in a window, or after."""
        if self._silence.kind == "silent_writer":
            found = [
                self._rows(table, [condition, *self._pair], ["ts"], since=window.since, limit=SHOWN)
                for table, condition in WRITES.items()
            ]
        else:
            found = [
                *self._conversations([*self._pair, Filter("flow.packets_out", ">", 0)], window, runs),
                *self._conversations([*self._turned, Filter("flow.packets_in", ">", 0)], window, runs),
            ]
        return _identities(found)

    def unreadable(self, window: Window, runs: Mapping[str, Mapping[str, object]]) -> list[str]:
        """Conversations and calls in a window of which nobody can read whether something was written."""
        if self._silence.kind != "silent_writer":
            return []
        sent = [*self._pair, Filter("flow.bytes_out", ">", 0)]
        others = [Filter("network.application", "!=", each) for each in (*READABLE, *HARMLESS)]
        unheard = Filter("flow.bytes_out", "=", 0)
        encrypted = [*self._pair, Filter("opcua.encrypted", "=", True)]
        return _identities(
            [
                *self._conversations([*sent, *others], window, runs),
                *self._conversations([*sent, Filter("network.application", "is_null")], window, runs),
                *self._conversations([*self._pair, Filter("flow.state", "=", "one_sided"), unheard], window, runs),
                self._rows("opcua", encrypted, ["ts"], since=window.since, limit=SHOWN),
                self._rows("modbus", [*self._pair, VENDORS], ["ts"], since=window.since, limit=SHOWN),
            ]
        )

    def is_out_of_sight(self, runs: Mapping[str, Mapping[str, object]]) -> bool:
        """Whether the other side is known, and no sensor has seen any conversation of it since: its line may not be watched."""
        server = self._silence.server
        if server is None:
            return False
        return not any(
            self._rows("flow", [Filter(side, "=", server), *_after(name, run)], ["ts"], limit=1).height
            for name, run in runs.items()
            for side in ("server.ip", "client.ip")
        )

    def is_lossy(self, sensor: str, run: Mapping[str, object], reports: pl.DataFrame, window: Window) -> bool:
        """Whether batches between the first and the last of a sensor's reports are not in the store."""
        last = reports.filter(pl.col("epoch") == run["epoch"])["sequence"].item(-1)
        between = [*_after(sensor, run), Filter("sequence", "<=", last)]
        held = pl.Series([], dtype=pl.Int64)
        for table in TABLES:
            since = 0 if table == "flow" else max(0, window.since - EARLIER_SECONDS * NANOSECONDS)
            ever = Span(since, 2**62, self._seconds)
            rows, more = grouped(self._store, table, ["sequence"], ever, filters=between, limit=GROUPS)
            if more:
                return True
            held = pl.concat([held, rows["sequence"]]).unique()
        return held.len() < last - cast("int", run["sequence"])

    def _conversations(
        self, filters: Sequence[Filter], window: Window, runs: Mapping[str, Mapping[str, object]]
    ) -> list[pl.DataFrame]:
        """Conversations that began in a window or went on into it."""
        columns = ["ts", "flow.duration"]
        began = self._rows("flow", filters, columns, since=window.since, limit=SHOWN)
        earlier = [*filters, Filter("ts", "<", window.since)]
        went_on = [self._rows("flow", [*earlier, *_after(name, run)], columns) for name, run in runs.items()]
        last = pl.col("ts").dt.epoch("ns") + pl.col("flow.duration").dt.total_nanoseconds()
        return [began, *(rows.filter(last >= window.since) for rows in went_on)]

    def _rows(
        self, table: str, filters: Sequence[Filter], columns: Sequence[str], since: int | None = None, limit: int = PAGE_ROWS
    ) -> pl.DataFrame:
        """The newest records that meet conditions."""
        whose = [Filter("sensor", "in", list(self._sensors))] if self._sensors else []
        query = Query(
            table, [*whose, *filters], since=None if since is None else moment(max(0, since)), columns=columns,
            order=Order("ts", descending=True), limit=limit, seconds=self._seconds,
        )  # fmt: skip
        return asked(lambda: self._store.query(query)).rows


def _after(sensor: str, run: Mapping[str, object]) -> list[Filter]:
    """What a sensor sent after one of its reports."""
    return [
        Filter("sensor", "=", sensor),
        Filter("epoch", "=", cast("str", run["epoch"])),
        Filter("sequence", ">", cast("int", run["sequence"])),
    ]


def _identities(found: Sequence[pl.DataFrame]) -> list[str]:
    """Who the records are, each once."""
    named = [pl.Series([], dtype=pl.String), *(rows.select(pl.concat_str(IDENTITY, separator="/")).to_series() for rows in found)]
    return pl.concat(named).unique(maintain_order=True).head(SHOWN).to_list()
