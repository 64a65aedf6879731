"""All detectors in a row, over whole cuts: records in, alert upserts out. Pure."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import polars as pl

from detection.alerts import Alert, AlertState, OpenAlert, group
from detection.rules import RuleDetector, RuleState
from detection.sigma.rule import load, rules_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.store import RecordBatch
    from detection.sigma.rule import Rule
    from detection.site import Site


@dataclass(frozen=True, slots=True)
class State:
    """What detection remembers between steps."""

    rules: RuleState = field(default_factory=RuleState)
    alerts: AlertState = field(default_factory=AlertState)

    def to_json(self) -> str:
        """The state as text."""
        rows = {name: _encode(frame) for name, frame in sorted(self.rules.rows.items())}
        held = {key: asdict(alert) for key, alert in self.alerts.open.items()}
        return json.dumps({"rows": rows, "forgotten": self.rules.forgotten, "open": held}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> State:
        """The state that `to_json` wrote. Raises ValueError for any other text."""
        try:
            content = cast("dict[str, Any]", json.loads(text))
            rows = {name: _decode(encoded) for name, encoded in content["rows"].items()}
            held = {key: _open_alert(fields) for key, fields in content["open"].items()}
            return cls(RuleState(rows, int(content["forgotten"])), AlertState(held))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a state of detection") from error


def _open_alert(fields: dict[str, Any]) -> OpenAlert:
    tuples: dict[str, Any] = {name: tuple(fields[name]) for name in ("cause", "records_first", "records_last")}
    related: dict[str, Any] = {name: tuple(numbers) for name, numbers in fields["related"].items()}
    whole: dict[str, Any] = {**fields, **tuples, "related": related}
    return OpenAlert(**whole)


def _encode(frame: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="zstd")
    return base64.b64encode(buffer.getvalue()).decode()


def _decode(text: str) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(base64.b64decode(text)))


class Pipeline:
    """Detection for one site: the rules of some folders, made alerts.

    Raises:
        RuleError: a rule cannot be loaded.
    """

    def __init__(self, site: Site, rules: Sequence[Path] = ()) -> None:
        self.site = site
        self.detector = RuleDetector(load(rules or [rules_folder()]), site)

    @classmethod
    def of(cls, rules: Sequence[Rule], site: Site) -> Self:
        """A pipeline of rules that are loaded already."""
        pipeline = cls.__new__(cls)
        pipeline.site = site
        pipeline.detector = RuleDetector(rules, site)
        return pipeline

    def step(self, state: State, batches: Sequence[RecordBatch]) -> tuple[State, list[Alert]]:
        """Take the batches of whole cuts in, in order; returns the alerts that are new or have grown."""
        rules, findings = self.detector.step(state.rules, batches)
        alerts, upserts = group(state.alerts, findings, self.detector.rules, self.site)
        return State(rules, alerts), upserts
