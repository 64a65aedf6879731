"""What the routes work with, put together once by `create_app`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fastapi import Request  # noqa: TC002  FastAPI reads the annotation at run time

from api.live.hub import Hub
from api.metrics import Metrics
from api.security.attempts import Attempts  # noqa: TC001  FastAPI reads the annotations of a dependency's result
from api.status import Status

if TYPE_CHECKING:
    from api.database import Database
    from api.settings import Settings
    from collector.store import RecordStore
    from detection.pipeline import State


class Detection(Protocol):
    """Detection, where it runs in this process."""

    @property
    def state(self) -> State:
        """What it remembers now."""
        ...


@dataclass(slots=True)
class Services:
    """Everything that a request may need.

    Attributes:
        settings: the settings.
        database: the SQL database.
        records: the record store.
        detection: what detects in this process; None where nothing does.
        status: how the parts of the system are doing that run in this process.
    """

    settings: Settings
    database: Database
    records: RecordStore
    attempts: Attempts
    hub: Hub = field(default_factory=Hub)
    metrics: Metrics = field(default_factory=Metrics)
    status: Status = field(default_factory=Status)
    detection: Detection | None = None


def services(request: Request) -> Services:
    """The services of the application that answers a request."""
    return request.app.state.services
