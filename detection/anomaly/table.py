"""Table `anomaly`: what is outside of what a model learned, and so rare that the site's budget of false alarms has room for it.

Models write it, rules turn it into alerts, as with table `deviation`. A row names the record that showed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.columns import COMMON, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS: Final[Mapping[str, str]] = {
    "value": "a point's least and greatest value",
    "step": "the greatest step of a point from one value to the next",
    "steady": "the longest time for which a point that changes stays the same",
    "readers": "the greatest difference between what two clients read of one point within two seconds",
    "interval": "the longest time between two requests of one kind in a conversation",
    "order": "which operation follows which in a conversation",
    "volume": "requests of a conversation in a minute",
    "response": "mean time in which a server answers a client, over a minute",
    "hours": "requests of a conversation in an hour, for each hour of the week and of the day",
    "rate": "how often a point changes in five minutes",
    "level": "mean of what a point changes to in five minutes",
    "spread": "standard deviation of what a point changes to in five minutes",
    "low_bits": "entropy of the lowest bit of a point's changes in five minutes, two that follow each other together",
    "members": "the values of a point that takes few",
    "decimals": "how many decimals, or zeros at the end, a point's values have",
    "repeats": "how many stretches of eight changes of a point come again as they were, in a row",
    "together": "how surprising all models together are in a minute, for one server",
}
"""The models by name, with what each learns."""

MODEL: Final = "anomaly.model"
"""Column that says which model tells it."""

ACCEPTED: Final = (MODEL, "anomaly.subject", "anomaly.observed", "anomaly.value")
"""Columns that name what is accepted as normal with an anomaly."""

DRIFT: Final = "drift"
"""Name under which it is told that the promised rate of false alarms does not hold; it is no model, and has no share in it."""

ANOMALY: Final = Table(
    "anomaly",
    "something outside of what a model learned, rarer than the budget of false alarms",
    (
        *(column for column in COMMON if column.name in {"ts", "client.ip", "server.ip"}),
        Column("anomaly.model", "choice", "the model that tells it", nullable=False, values=(*MODELS, DRIFT)),
        Column(
            "anomaly.phase",
            "choice",
            "how sure normality is, as in column deviation.phase",
            nullable=False,
            values=("provisional", "proposed", "enforced"),
        ),
        Column("modbus.unit_id", "u8", "unit identifier, where the protocol is Modbus and the model looks at one unit"),
        Column("anomaly.subject", "name", "point, operation or pair of operations that it is about"),
        Column("anomaly.observed", "text", "what was seen, with its unit", nullable=False),
        Column("anomaly.value", "f64", "the same as a number, as the model counts: seconds, shares; of decimals their number"),
        Column("anomaly.expected", "text", "what was normal until then: a range, a limit or the usual operation", nullable=False),
        Column("anomaly.last_normal", "timestamp", "when its subject was last seen within that"),
        Column("anomaly.score", "f64", "how far outside, in widths of what is normal, if so much was learned", nullable=False),
        Column(
            "anomaly.p_value",
            "f64",
            "share of minutes of the site's history, this one counted, in which the model saw anything as far outside anywhere",
            nullable=False,
        ),
        Column("anomaly.rate", "f64", "the same as a number of such minutes a day", nullable=False),
        Column(
            "anomaly.extrapolated",
            "bool",
            "whether nothing in history was as far outside, so that p_value goes on from the farthest by a power law",
            nullable=False,
        ),
        Column("anomaly.history", "duration", "how long the history is: minutes scored, then learned from", nullable=False),
        Column("anomaly.confidence", "f64", "0 to 1: how sure normality is; a factor of the rule's own", nullable=False),
    ),
)  # fmt: skip
