"""What the routes work with, put together once by `create_app`.

What differs between a system on one machine and one on several is behind `learned`, `leave`, `decided` and `packets`: the routes
do not know which it is.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fastapi import Request  # noqa: TC002  FastAPI reads the annotation at run time

from api.live.hub import Hub
from api.metrics import Metrics
from api.oidc.provider import Provider  # noqa: TC001  FastAPI reads the annotations of a dependency's result
from api.places import Places
from api.security.attempts import Attempts  # noqa: TC001  FastAPI reads the annotations of a dependency's result
from api.security.rate import Rate  # noqa: TC001  as above
from api.sensors.reports import Reports
from api.situation.kept import PLANS, Kept
from api.status import Status
from detection.ruleset import RuleFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from api.database import Database
    from api.notifications.channels import Channel
    from api.settings import Settings
    from collector.store import RecordStore
    from detection.inbox import Entry
    from detection.remembered import Learned
    from detection.ruleset import Ruleset
    from sensor.packets import Asked, Evidence, Statement


class Packets(Protocol):
    """Where the packets behind alerts are."""

    def take(self, statement: Statement, asked: Asked) -> Evidence:
        """The packets of a statement that the sensor named in `asked` holds.

        Raises:
            NoPackets: it holds none.
            EvidenceError: they cannot be read.
            Problem: `evidence_busy`, `evidence_waits`.
        """
        ...


@dataclass(slots=True)
class Services:
    """Everything that a request may need.

    Attributes:
        settings: the settings.
        database: the SQL database.
        records: the record store.
        packets: where the packets behind alerts are.
        learned: what was learned of each sensor's records, by site. Raises CheckpointError where it cannot be read.
        leave: leaves a decision about a site for detection; durable on return. Raises InboxError.
        decided: is set where there is a decision to be left, by somebody else then; None: whoever decides leaves it himself.
        ruleset: the rules that are in use at a site. Raises RuleError where they cannot be read.
        rate: how often a caller may ask.
        jobs: is set where there is a job to be carried out.
        site: the one site of this system; None where it serves several.
        status: how the parts of the system are doing that run in this process.
        reports: what sensors say of themselves over Kafka.
        provider: the OpenID provider that people sign in through; None where there is none.
        channels: the ways out of notices, by name.
        outbox: is set where there is a message to be sent.
        kept: answers about the situation that are kept a while.
        plans: plans of zones, which never change; beside `kept`, so that questions about the past put none of them out.
        documents: places for documents that are made.
        readings: places for evidence that is read from end to end.
        watched: each tells what of a part does not work, and why, by the part's name; asked for readiness.
    """

    settings: Settings
    database: Database
    records: RecordStore
    attempts: Attempts
    rate: Rate
    packets: Packets
    learned: Callable[[], Mapping[str, Sequence[Learned]]]
    leave: Callable[[Entry, str], None]
    ruleset: Callable[[str], Ruleset] = lambda _: RuleFiles().read()
    decided: threading.Event | None = None
    site: str | None = None
    jobs: threading.Event = field(default_factory=threading.Event)
    hub: Hub = field(default_factory=Hub)
    metrics: Metrics = field(default_factory=Metrics)
    status: Status = field(default_factory=Status)
    reports: Reports = field(default_factory=Reports)
    provider: Provider | None = None
    channels: Mapping[str, Channel] = field(default_factory=dict[str, "Channel"])
    outbox: threading.Event = field(default_factory=threading.Event)
    kept: Kept = field(default_factory=Kept)
    plans: Kept = field(default_factory=lambda: Kept(PLANS))
    documents: Places = field(default_factory=lambda: Places(3, 8, "documents_busy"))
    readings: Places = field(default_factory=lambda: Places(2, 8, "evidence_read_busy"))
    watched: list[Callable[[], Mapping[str, str]]] = field(default_factory=list["Callable[[], Mapping[str, str]]"])


async def services(request: Request) -> Services:
    """The services of the application that answers a request, for what no caller's sites limit."""
    return request.app.state.services
