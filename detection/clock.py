"""Whether a sensor's clock went back: records whose last packet lies before what the sensor had seen already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordBatch

ANSWERED: Final[Mapping[str, str]] = {"modbus": "modbus.response_time", "opcua": "opcua.response_time"}
"""Tables whose rows come with a packet, the answer, and the column that says how long after `ts` it came. Rows of other tables,
and requests that nobody answered, may come long after their last packet."""


def gone_back(batches: Sequence[RecordBatch], allowance_ns: int) -> tuple[int, int]:
    """Records of a cut whose answer came further before the cut's start than the allowance, and by how much at most, nanoseconds.

    A cut starts where the one before it ended, at the highest time of any packet: an answer in it is no earlier, unless the
    clock went back. Such records count as of the cut's start.
    """
    records = farthest = 0
    for batch in batches:
        column = ANSWERED.get(batch.header.table)
        if column is None or not batch.rows.height:
            continue
        answered = batch.rows.get_column("ts").to_numpy() + batch.rows.get_column(column).to_numpy()
        behind = batch.header.cut_start - answered[~np.isnat(answered)].view(np.int64)
        records += int((behind > allowance_ns).sum())
        farthest = max(farthest, int(behind.max(initial=0)))
    return records, farthest
