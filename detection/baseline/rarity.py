"""What was rare while normality was learned: an attack in that time stands out against what its peers do, and is told.

Three things are rare. A client changed a program or a controller's state in fewer than three hours of the clock: what engineers
do again and again is told apart from what was done once. A client wrote in one short burst and never again, while others write
to the same server all the time, or while a whole day was learned. A client looked once at many addresses, or at many controllers,
within minutes, while its peers look at the same ones again and again.
"""

from __future__ import annotations

from typing import Final

import polars as pl

PROGRAM_HOURS: Final = 3
"""Hours of the clock in which an operation on programs must have been seen to be normal."""

BURST_NS: Final = 60 * 1_000_000_000
"""Writes of a client that all lie so close together are one burst."""

BURST_WRITES: Final = 10
"""Most writes of a burst that counts as rare."""

OTHERS_TIMES: Final = 10
"""How many times as much others write to the same server."""

LONG_NS: Final = 24 * 3_600 * 1_000_000_000
"""So long must have been learned for a burst to be rare without others to compare with."""

SWEEP: Final = 20
"""Least number of addresses, or of controllers, that make a sweep."""

SWEEP_NS: Final = 300 * 1_000_000_000
"""Within so long."""

SWEEP_TIMES: Final = 2
"""Most records for each."""

AGAIN: Final = 3
"""How often its peers look at the same thing, in the median."""

CONTROL: Final = (
    "modbus", "opcua", "s7comm", "s7comm_plus", "mms", "iec104", "dnp3", "enip", "bacnet", "profinet_cm", "synchrophasor",
    "hart_ip", "fins", "slmp", "ads", "codesys", "srtp", "fox", "knx", "opc_classic",
)  # fmt: skip
"""Protocols that controllers speak: a browser meets twenty new servers in a minute, a controller's client does not."""


def apart(facts: pl.DataFrame, learned_ns: int) -> pl.DataFrame:
    """The facts, with those set apart that were rare while normality was learned."""
    return facts.with_columns(apart=pl.col("learned") & pl.col("key").is_in(rare(facts, learned_ns).implode()))


def rare(facts: pl.DataFrame, learned_ns: int) -> pl.Series:
    """Keys of the facts that were rare while they were learned, against all that was learned.

    Args:
        facts: all facts.
        learned_ns: how long those were learned that are asked about, nanoseconds.
    """
    learned = facts.filter("learned")
    return pl.concat([_programs(learned), _bursts(learned, learned_ns), _sweeps(learned)])


def _programs(learned: pl.DataFrame) -> pl.Series:
    rare = (pl.col("kind") == "program") & (pl.col("hours") < PROGRAM_HOURS)
    return learned.filter(rare).get_column("key")


def _bursts(learned: pl.DataFrame, learned_ns: int) -> pl.Series:
    """Writers whose writes, to whichever server, are one short burst."""
    writers = learned.filter(pl.col("kind") == "writer")
    own, there = ["client", "protocol"], ["server", "protocol"]
    writes = pl.col("count").sum()
    burst = (pl.col("last").max() - pl.col("event").min()).over(own) <= BURST_NS
    few = writes.over(own) <= BURST_WRITES
    others = writes.over(there) - writes.over([*own, "server"])
    return writers.filter(burst & few & ((others >= OTHERS_TIMES * writes.over(own)) | pl.lit(learned_ns >= LONG_NS))).get_column(
        "key"
    )


def _sweeps(learned: pl.DataFrame) -> pl.Series:
    """What was looked at once, together with many others, while peers look again and again."""
    blocks = learned.filter(pl.col("kind") == "block")
    talks = learned.filter(pl.col("kind") == "conversation", pl.col("protocol").is_in(CONTROL))
    return pl.concat(
        [
            _swept(blocks, ["client", "server", "protocol", "operation"], ["protocol", "operation"]),
            _swept(talks, ["client", "protocol"], ["protocol"]),
        ]
    )


def _swept(facts: pl.DataFrame, who: list[str], peers: list[str]) -> pl.Series:
    """Facts of a client that are part of a sweep.

    Args:
        facts: facts of one kind.
        who: columns that name the client, and where it looked.
        peers: columns that those share with it whom it is compared with.
    """
    within = SWEEP - 1
    once = facts.filter(pl.col("count") <= SWEEP_TIMES).sort("event", "sequence", "row")
    # A fact is part of a sweep where so many, itself among them, lie close together.
    full = once.with_columns(full=(pl.col("event").shift(-within) - pl.col("event") <= SWEEP_NS).over(who).fill_null(value=False))
    swept = full.with_columns(
        swept=pl.col("full").cast(pl.Int8).rolling_max(SWEEP, min_samples=1).over(who).cast(pl.Boolean)
    ).filter("swept")
    if swept.is_empty():
        return swept.get_column("key")
    mine = swept.select(who).unique()
    others = facts.join(mine, on=who, how="anti").group_by(peers).agg(again=pl.col("count").median())
    return swept.join(others, on=peers, how="inner").filter(pl.col("again") >= AGAIN).get_column("key")


def told(facts: pl.DataFrame) -> pl.DataFrame:
    """One fact for each rare thing: each program operation, each writer's burst at a server, each sweep.

    `count` is the number of records of all; `things` that of facts.
    """
    rare = facts.filter("apart")
    sweeps = pl.col("kind").is_in(["block", "conversation"])
    alone = rare.filter(~sweeps).with_columns(things=pl.lit(1, pl.Int64))
    groups = ["kind", "client", pl.when(pl.col("kind") == "block").then("server").alias("at"), "protocol", "operation"]
    summed = (
        rare.filter(sweeps)
        .sort("event", "sequence", "row")
        .group_by(groups, maintain_order=True)
        .agg(
            pl.exclude("count", "last", "seen", "kind", "client", "protocol", "operation").first(),
            pl.col("count").sum(),
            pl.col("last", "seen").max(),
            things=pl.len().cast(pl.Int64),
        )
        .select([*rare.columns, "things"])
    )
    return pl.concat([alone, summed])
