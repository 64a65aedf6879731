"""New facts, and rare ones, as rows of table `deviation`: what was expected, what was seen, when last, and how rare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection import deviation
from detection.baseline.acts import FIRST
from detection.baseline.kinds import HOUR, KINDS, WEIGHT
from detection.baseline.learning import STRANGER_NS
from sensor.tables import APPLICATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.baseline.kinds import Kind
    from detection.baseline.normality import Normality

SHOWN: Final = 8
"""Things that a deviation names as normal in its place."""

TRUST: Final = {"provisional": 0.7, "proposed": 0.85, "enforced": 1.0}
"""Confidence in normality of a phase, were nothing still new at the end of learning."""

RARE_TRUST: Final = 0.6
"""Confidence in what is told only because it was rare while learning."""

TWO_WEEKS_NS: Final = 14 * 24 * 3_600 * 1_000_000_000
"""The shape of a week is known when two have been learned."""

WEEK_HOURS: Final = 7 * 24

SETTLED_NS: Final = 60 * 1_000_000_000
"""A provisional baseline of less says who talks, writes and programs; what is asked, and where, takes a while to show."""

HEARD_SHARE: Final = 2
"""A provisional baseline that heard something over less than half of its time says nothing: as in captures that were joined."""

SLOW_KINDS: Final = ("written_point", "operation", "block")
"""The kinds of facts that take a while to show."""

COMMON_PROTOCOLS: Final = ("dns", "mdns", "llmnr", "netbios_ns", "netbios_dgm", "ntp", "ptp", "dhcp", "ssdp", "syslog")
"""Protocols in which every host asks or tells something; that a controller does says nothing of its role."""

CONTROL_PROTOCOLS: Final = tuple(APPLICATIONS[: APPLICATIONS.index("mrp")])
"""Protocols in which controllers and their gateways are asked."""

ONCE_SHARE: Final = 0.2
"""A client has a weekly shape where at most this share of its hours of the week was seen in one hour only."""

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

NOTHING: Final = pl.DataFrame(schema={**deviation.IDENTITY, **deviation.DEVIATION.schema})


@dataclass(frozen=True, slots=True)
class Strangers:
    """Who is a stranger for a day though it was learned that he talks to a server.

    Attributes:
        since: who talks to the server since then only, and it was there before; nanoseconds since 1970.
        accepted: condition on conversations that people took as normal: nobody is a stranger in these.
    """

    since: int
    accepted: pl.Expr


def deviations(new: pl.DataFrame, normal: Normality, strangers: Strangers | None = None) -> pl.DataFrame:
    """New facts as rows in order of their records: of one record the weightiest only.

    Args:
        new: facts that are not normal.
        normal: what is.
        strangers: who is one though it is normal that he talks; None: nobody.
    """
    learned = normal.normal
    if new.is_empty() or not knows(normal):
        # Where nothing was learned, everything is new, and nothing can be said of it.
        return NOTHING
    told = [
        _with_normal(part, KINDS[str(part.item(0, "kind"))], learned, normal)
        for part in new.partition_by("kind", maintain_order=True)
        if KINDS[str(part.item(0, "kind"))].told
    ]
    told = [part for part in told if part.height]
    if not told:
        return NOTHING
    order = pl.col("kind").replace_strict(WEIGHT, return_dtype=pl.Int8)
    weightiest = (
        pl.concat(told)
        .with_columns(order=order)
        .sort(*FIRST, "order", "client", "server", "point", nulls_last=True)
        .unique(list(FIRST), keep="first", maintain_order=True)
        .filter(pl.lit(normal.phase != "provisional" or normal.learned_ns >= SETTLED_NS) | ~pl.col("kind").is_in(SLOW_KINDS))
    )
    none = {name: pl.lit(None, pl.Int64) for name in ("things", "number")}
    return _rows(weightiest.with_columns(fact="kind", **none), learned, strangers)


def knows(normal: Normality) -> bool:
    """Whether enough was heard to say what is new."""
    learned = normal.facts.filter("learned")
    if learned.is_empty() or normal.phase != "provisional":
        return not learned.is_empty()
    first, last = learned.select(pl.col("event").min(), pl.col("last").max()).row(0)
    return HEARD_SHARE * int(last - first) >= normal.learned_ns


def _answering_only(learned: pl.DataFrame) -> pl.Series:
    """Hosts that answered while normality was learned and asked nobody, as controllers do."""
    talks = learned.filter(pl.col("kind") == "conversation", ~pl.col("protocol").is_in(COMMON_PROTOCOLS))
    return talks.filter(~pl.col("server").is_in(talks.get_column("client").implode())).get_column("server").unique()


def rare_rows(rare: pl.DataFrame, normal: Normality, known_at: int) -> pl.DataFrame:
    """What was rare while learning, as rows; it could be known at `known_at`, event time in nanoseconds since 1970."""
    if rare.is_empty() or not knows(normal):
        return NOTHING
    learned = normal.normal
    parts = [
        _with_normal(part, KINDS[str(part.item(0, "kind"))], learned, normal)
        for part in rare.partition_by("kind", maintain_order=True)
    ]
    rows = pl.concat(parts).with_columns(
        fact="kind",
        kind=pl.lit("rare_in_learning"),
        access=pl.col("access").fill_null("other"),
        number="count",
        confidence=pl.lit(RARE_TRUST),
        **{"client.ip": pl.col("client"), "server.ip": pl.when(pl.col("server").is_not_null()).then("server")},
    )
    return _rows(rows, learned).with_columns(event=pl.lit(known_at, pl.Int64)).sort(FIRST, maintain_order=True)


def overflow_row(first: Mapping[str, Any], normal: Normality) -> pl.DataFrame:
    """One row that says that more is new than is looked at, from the first fact that was passed over.

    It names no address: they may all be made up.
    """
    row = {
        **{name: first[name] for name in FIRST},
        "ts": first["event"],
        "deviation.kind": "overflow",
        "deviation.phase": normal.phase,
        "deviation.protocol": first["protocol"] or ANY,
        "deviation.operation": first["kind"],
        "deviation.newcomer": False,
        "deviation.acquainted": False,
        "deviation.answered_only": False,
        "deviation.server_controls": False,
        "deviation.period": normal.learned_ns,
        "deviation.rarity": 0.0,
        "deviation.confidence": 1.0,
    }
    return pl.DataFrame([row]).select(
        pl.col(name).cast(kind) if name in row else pl.lit(None, kind).alias(name) for name, kind in NOTHING.schema.items()
    )


ANY: Final = "any"
"""Protocol of a deviation that is of none."""


def _with_normal(new: pl.DataFrame, kind: Kind, learned: pl.DataFrame, normal: Normality) -> pl.DataFrame:
    """New facts of one kind with what is normal in their place, without those that are told only where something is."""
    same = learned.filter(pl.col("kind") == kind.name)
    if kind is HOUR:
        new, same = _unusual_hours(new, same, normal)
    known = (
        same.sort("count", *FIRST, descending=[True, False, False, False])
        .group_by(kind.peers, maintain_order=True)
        .agg(known=pl.col(kind.shown).unique(maintain_order=True).head(SHOWN).str.join(", "), last_normal=pl.col("last").max())
    )
    records = int(learned.filter(pl.col("kind") == "conversation").get_column("count").sum())
    once = same.filter(pl.col("count") == 1).height
    assets = dict(normal.assets)
    phase = (
        pl.col("server").replace_strict(assets, default=normal.phase, return_dtype=pl.String) if assets else pl.lit(normal.phase)
    )
    told = new.join(known, on=list(kind.peers), how="left", nulls_equal=True, maintain_order="left").with_columns(
        phase=phase,
        period=pl.lit(normal.learned_ns, pl.Int64),
        rarity=pl.lit(min(1.0, (once + 1) / (records + 1))),
    )
    trust = pl.col("phase").replace_strict(TRUST, return_dtype=pl.Float64)
    told = told.with_columns(confidence=trust * (1 - normal.novelty()[kind.name]))
    return told.filter(pl.col("known").is_not_null()) if kind.needs_peers else told


def _unusual_hours(new: pl.DataFrame, same: pl.DataFrame, normal: Normality) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours at which, and beside which, a client with a weekly shape was never seen; and the shapes, hours in words."""
    if normal.learned_ns < TWO_WEEKS_NS:
        return new.clear(), same.clear()
    steady = same.group_by("client").agg(once=(pl.col("hours") <= 1).mean()).filter(pl.col("once") <= ONCE_SHARE)
    shapes = same.join(steady.select("client"), on="client", how="semi")
    hour = pl.col("point").cast(pl.Int64)
    beside = pl.concat(
        shapes.select("client", point=((hour + shift) % WEEK_HOURS).cast(pl.String)) for shift in (-1, 0, 1)
    ).unique()
    unusual = new.join(shapes.select("client").unique(), on="client", how="semi").join(beside, on=["client", "point"], how="anti")
    names = {str(number): f"{DAYS[number // 24]} {number % 24:02d}:00 UTC" for number in range(WEEK_HOURS)}
    named = pl.col("point").replace_strict(names, return_dtype=pl.String)
    return unusual.sort(FIRST).with_columns(named), shapes.with_columns(named)


def _acquainted(told: pl.DataFrame, learned: pl.DataFrame, strangers: Strangers | None) -> pl.Series:
    """Of each fact, whether its client is known to talk to its server in its protocol."""
    pair = ["client", "server", "protocol"]
    talks = learned.filter(pl.col("kind") == "conversation")
    known = pl.col("met").is_not_null()
    if strangers is None:
        talks = talks.select(*pair, met="event")
    else:
        talks = talks.select(*pair, met=pl.when(strangers.accepted).then(pl.lit(0, pl.Int64)).otherwise("event"))
        before = learned.filter(pl.col("kind") == "answers", pl.col("event") < strangers.since).get_column("client")
        apart = (pl.col("met") >= strangers.since) & pl.col("server").is_in(before.unique().implode())
        known = known & ~(apart & (pl.col("event") - pl.col("met") < STRANGER_NS))
    return told.join(talks, on=pair, how="left", maintain_order="left").select(known.fill_null(value=False)).to_series()


def _rows(told: pl.DataFrame, learned: pl.DataFrame, strangers: Strangers | None = None) -> pl.DataFrame:
    """Facts with what is normal as rows of table `deviation`."""
    asks = learned.filter(pl.col("kind") == "asks").select("client").unique()
    answers = learned.filter(pl.col("kind") == "answers").select("client", "protocol").unique()
    controls = answers.filter(pl.col("protocol").is_in(CONTROL_PROTOCOLS)).select(server="client").unique()
    yes = pl.lit(value=True)
    joined = (
        told.with_columns(
            answered_only=pl.col("client").is_in(_answering_only(learned).implode()),
            acquainted=_acquainted(told, learned, strangers),
        )
        .join(asks.with_columns(client_asks=yes), on="client", how="left", maintain_order="left")
        .join(answers.select("client").unique().with_columns(client_answers=yes), on="client", how="left", maintain_order="left")
        .join(asks.select(server="client", server_asks=yes), on="server", how="left", maintain_order="left")
        .join(
            answers.select(server="client").unique().with_columns(server_answers=yes),
            on="server",
            how="left",
            maintain_order="left",
        )
        .join(
            answers.select("protocol", server="client", serves=yes), on=["server", "protocol"], how="left", maintain_order="left"
        )
        .join(controls.with_columns(controls=yes), on="server", how="left", maintain_order="left")
        .with_columns(
            pl.col("client_asks", "client_answers", "server_asks", "server_answers", "serves", "controls").fill_null(False)
        )
    )
    return joined.select(
        *(pl.col(name).cast(kind) for name, kind in deviation.IDENTITY.items()),
        *(expr.cast(deviation.DEVIATION.schema[name]).alias(name) for name, expr in _COLUMNS.items()),
    )


_MODBUS: Final = pl.col("protocol") == "modbus"

_COLUMNS: Final = {
    "ts": pl.col("event").cast(pl.Datetime("ns", "UTC")),
    "client.ip": pl.col("client.ip"),
    "server.ip": pl.col("server.ip"),
    "deviation.kind": pl.col("kind"),
    "deviation.fact": pl.col("fact"),
    "deviation.phase": pl.col("phase"),
    "deviation.protocol": pl.col("protocol").fill_null(ANY),
    "modbus.unit_id": pl.when(_MODBUS).then(pl.col("unit")),
    "deviation.operation": pl.col("operation"),
    "deviation.access": pl.col("access"),
    "deviation.point": pl.col("point"),
    "deviation.newcomer": ~(pl.col("client_asks") | pl.col("client_answers")),
    "deviation.acquainted": pl.col("acquainted"),
    "deviation.answered_only": pl.col("answered_only"),
    "deviation.server_role": pl.when(pl.col("server").is_null()).then(pl.lit(None, pl.String))
    .when("serves").then(pl.lit("same")).when("server_answers").then(pl.lit("other"))
    .when("server_asks").then(pl.lit("client")).otherwise(pl.lit("new")),
    "deviation.server_controls": pl.col("controls"),
    "deviation.known": pl.col("known"),
    "deviation.last_normal": pl.col("last_normal").cast(pl.Datetime("ns", "UTC")),
    "deviation.period": pl.col("period").cast(pl.Duration("ns")),
    "deviation.rarity": pl.col("rarity"),
    "deviation.count": pl.col("number"),
    "deviation.things": pl.col("things"),
    "deviation.confidence": pl.col("confidence"),
}  # fmt: skip
