"""What is outside and rare enough, as rows of table `anomaly`: expected, observed, last normal, how rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly import members, order
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.history import BLOCKS_A_DAY
from detection.anomaly.hours import WEEK
from detection.anomaly.state import AT_END
from detection.anomaly.table import ANOMALY, DRIFT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.anomaly.history import History
    from detection.anomaly.state import AnomalyState

IDENTITY: Final = {"event": pl.Int64(), "sequence": pl.Int64(), "row": pl.Int64()}
"""Columns that rows have besides: which record of the run showed it, and when it could be known."""

TRUST: Final = {"provisional": 0.7, "proposed": 0.85, "enforced": 1.0}
"""Confidence in what was learned, by phase."""

SCHEMA: Final = pl.Schema({**IDENTITY, **ANOMALY.schema})

_PLACE: Final = ("unit", "function", "address")


def judged(model: str, outside: pl.DataFrame, history: History, most: float) -> pl.DataFrame:
    """The rows that a model found outside with a p-value of at most `most`."""
    if "score before" in outside.columns:
        # What goes on is told when it becomes rare enough, and not again each minute.
        before, _ = history.p_values(model, outside.get_column("score before"))
        outside = outside.filter(before > most)
    p, extrapolated = history.p_values(model, outside.get_column("score"))
    at_end = model in AT_END
    rare = outside.with_columns(p, extrapolated, model=pl.lit(model), block=(pl.col("event") - at_end) // WINDOW_NS).filter(
        pl.col("p_value") <= most
    )
    if "slot" not in rare.columns:
        return rare
    # An hour of the week and one of the day are the same hour.
    return rare.sort("score", descending=True, maintain_order=True).unique(
        ["event", "client", "server"], keep="first", maintain_order=True
    )


def with_usual(rows: pl.DataFrame, learned: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Rows of one model; unusual transitions and members with what is usual in their place."""
    match model := str(rows.item(0, "model")):
        case "order":
            usual, on = order.usual(learned[model], rows.get_column("left").unique()), "left"
        case "members" | "decimals":
            usual, on = members.usual(learned[model], rows.get_column("key").unique()), "key"
        case _:
            return rows
    return rows.join(usual, on=on, how="left", maintain_order="left")


def rows(found: list[pl.DataFrame], state: AnomalyState) -> pl.DataFrame:
    """Rows that were judged as rows of table `anomaly`, in order of their records."""
    if not found:
        return pl.DataFrame(schema=SCHEMA)
    parts = [_worded(part, str(part.item(0, "model"))) for part in found]
    phase = pl.col("server").cast(pl.String).replace_strict(dict(state.assets), default=state.phase, return_dtype=pl.String)
    said = {
        "ts": pl.col("ts").cast(pl.Datetime("ns", "UTC")),
        "client.ip": pl.col("client"),
        "server.ip": pl.col("server"),
        "anomaly.model": pl.col("model"),
        "anomaly.phase": phase,
        "modbus.unit_id": pl.col("unit"),
        "anomaly.subject": pl.col("subject"),
        "anomaly.observed": pl.col("observed"),
        "anomaly.value": pl.col("value"),
        "anomaly.expected": pl.col("expected"),
        "anomaly.last_normal": pl.col("last").cast(pl.Datetime("ns", "UTC")),
        "anomaly.score": pl.col("score").round_sig_figs(4),
        "anomaly.p_value": pl.col("p_value").round_sig_figs(4),
        "anomaly.rate": (pl.col("p_value") * BLOCKS_A_DAY).round_sig_figs(2),
        "anomaly.extrapolated": pl.col("extrapolated"),
        "anomaly.history": pl.lit(state.history.blocks * WINDOW_NS, pl.Int64).cast(pl.Duration("ns")),
        "anomaly.confidence": phase.replace_strict(TRUST, return_dtype=pl.Float64),
    }
    return (
        pl.concat(parts)
        .sort("event", "sequence", "row", "model", "subject")
        .select(
            *(pl.col(name).cast(kind) for name, kind in IDENTITY.items()),
            *(expr.cast(ANOMALY.schema[name]).alias(name) for name, expr in said.items()),
        )
    )


_WORDS: Final = {
    "value": ("{} … {}", ""),
    "step": ("≤ {}", ""),
    "steady": ("≤ {} s", " s"),
    "readers": ("≤ {} %", " %"),
    "interval": ("≤ {} s", " s"),
    "volume": ("{} … {} / min", " / min"),
    "response": ("≤ {} ms", " ms"),
    "hours": ("{} … {} / h", " / h"),
    "rate": ("{} … {} / 5 min", " / 5 min"),
    "level": ("{} … {}", ""),
    "spread": ("{} … {}", ""),
    "low_bits": ("{} … {} bit", " bit"),
    "repeats": ("≤ {} × 8", " × 8"),
    "together": ("≤ {}", ""),
}
"""How a model says what was expected (least and greatest, or the greatest) and the unit of what was seen."""

_COMMON: Final = (*IDENTITY, "ts", "client", "server", "model", "last", "score", "p_value", "extrapolated")


def _worded(part: pl.DataFrame, model: str) -> pl.DataFrame:
    """One model's rows with subject, expected and observed as text."""
    lacking = {"last": pl.Int64, "extrapolated": pl.Boolean}
    part = part.with_columns(pl.lit(None, kind).alias(name) for name, kind in lacking.items() if name not in part.columns)
    part = part.with_columns(pl.col("extrapolated").fill_null(value=False), pl.col("score", "p_value").cast(pl.Float64))
    common = [pl.col(name) for name in _COMMON]
    if model in {"members", "decimals"}:
        return _of_members(part, common, model)
    if model == DRIFT:
        return part.select(
            *common,
            unit=pl.lit(None, pl.UInt8),
            subject=pl.lit(None, pl.String),
            observed=pl.format("{} / {} h", "alarms", "hours"),
            value=pl.lit(None, pl.Float64),
            expected=pl.format("≤ {} / 24 h", _number(pl.col("promised"))),
        )
    if model == "order":
        return part.select(
            *common,
            unit=pl.col("unit"),
            subject=operation("{} before"),
            observed=operation("{}"),
            value=pl.lit(None, pl.Float64),
            expected=pl.format("{} ({} %)", operation("{} usual"), (pl.col("share") * 100).round(1)),
        )
    form, unit = _WORDS[model]
    scale = {"response": 1_000.0, "readers": 100.0}.get(model, 1.0)
    limits = ["low", "high"] if form.count("{}") == 2 else ["high"]
    subject = pl.lit(None, pl.String)
    if "point" in part.columns:
        subject = pl.col("point").cast(pl.String)
    elif "slot" in part.columns:
        subject = hour(pl.col("slot"))
    elif "models" in part.columns:
        subject = pl.col("models").list.join(" + ")
    elif "function" in part.columns:
        subject = operation("{}")
    return part.select(
        *common,
        unit=pl.col("unit") if "unit" in part.columns else _unit(subject),
        subject=subject,
        observed=pl.format("{}" + unit, _number(pl.col("judged") * scale)),
        value=pl.col("judged").cast(pl.Float64),
        expected=pl.format(form, *(_number(pl.col(name) * scale) for name in limits)),
    )


def _of_members(part: pl.DataFrame, common: list[pl.Expr], model: str) -> pl.DataFrame:
    """Rows of what a point takes: values, or multiples of what its values are."""
    subject = pl.col("point").cast(pl.String)
    as_text = pl.element() if model == "members" else pl.lit(10.0).pow(-pl.element())
    usual = pl.col("usual").list.eval(_number(as_text)).list.join(", ")
    shown = _number(pl.col("member") if model == "members" else pl.lit(10.0).pow(-pl.col("member")))
    sign = "" if model == "members" else "× "
    return part.select(
        *common,
        unit=_unit(subject),
        subject=subject,
        observed=pl.format(sign + "{}", shown),
        value="member",
        expected=pl.format(sign + "{}", usual.fill_null("")),
    )


DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""Days of the week as hours of it are told, from Monday on."""


def hour(slot: pl.Expr) -> pl.Expr:
    """An hour of the week or of the day as text, UTC."""
    names = {number: f"{DAYS[number // 24]} {number % 24:02}:00 UTC" for number in range(WEEK)}
    names |= {WEEK + number: f"{number:02}:00 UTC" for number in range(24)}
    return slot.replace_strict(names, return_dtype=pl.String)


def _unit(point: pl.Expr) -> pl.Expr:
    """The unit of a Modbus point."""
    return point.str.extract(r"^(?:coil|discrete|holding|input):\d+@(\d+)$").cast(pl.UInt8)


def _number(value: pl.Expr) -> pl.Expr:
    """A number without needless digits."""
    whole = value.round(0) == value
    return (
        pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.round_sig_figs(5).cast(pl.String))
    )


def operation(pattern: str) -> pl.Expr:
    """An operation as text: function or service, with first address and unit where there are any."""
    unit, function, address = (pl.col(pattern.format(name)) for name in _PLACE)
    return pl.concat_str(
        function.cast(pl.String),
        pl.when(address.is_not_null()).then(pl.format(" {}", address)),
        pl.when(unit.is_not_null()).then(pl.format(" @{}", unit)),
        ignore_nulls=True,
    )
