"""What `icsight detect --worker` and `icsight rules publish` do, with Kafka as icsight.toml says."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException  # pyright: ignore[reportUnknownVariableType]  it has no types

from detection.checkpoint import CheckpointError
from detection.forget import forget
from detection.metrics import readings
from detection.published import ALL_SITES, Published, publish_rules, publish_site, withdraw_rules
from detection.quix import QuixException
from detection.scaleout import worker
from detection.settings import DetectionSettings
from detection.sigma.rule import RuleError
from detection.site import SiteError
from sensor.configuration import ConfigurationError, configured
from sensor.kafka_client import KafkaUnusable, knock, probe
from sensor.kafka_settings import KafkaSettings
from sensor.observability import observed
from sensor.terminal import CommandError, say
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Generator

    from detection.ruleset import Ruleset
    from detection.site import Site

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_SHUT_OUT: Final = (
    "fenced by other consumer",
    "fenced by a newer instance",
    "newer producer with the same transactionalId",
    "with an old epoch",
)
"""Words of librdkafka where a worker of the same name has joined the group, or begun a transaction: which of both is noticed
first is chance, and the error's number says no more than that it is the end."""


def work(name: str | None) -> None:
    """Be the worker of this name, or of the machine's, until the process is asked to end. Raises CommandError."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] if name is None else name
    if not _NAME.fullmatch(name):
        raise CommandError(f"{name!r} is no name for a worker: use 1 to 64 letters, digits, '-' and '_'")
    kafka, settings = configured(KafkaSettings), configured(DetectionSettings)
    if not kafka.bootstrap:
        raise CommandError(
            "name a capture to look at; or a broker, as kafka.bootstrap in icsight.toml, to look at records on Kafka"
        )
    topics = Topics(kafka.prefix)
    with _told(name), _folder(settings) as folder:
        probe(kafka, [topics.versions, topics.decisions])
        published = Published(kafka, topics)
        try:
            application, detection = worker(kafka, settings, name, published, folder)
            # Of shares no one is told to be stuck: what a worker left that was killed lies at the end, and looks as if it waited.
            parts = detection.progress, detection.shares.progress
            sources = [lambda: readings(detection.counted()), detection.shares.readings, *(each.readings for each in parts)]
            checks = {"kafka": lambda: knock(kafka)}
            with observed("detect", sources, detection.failures, checks):
                say("worker", f"{name}: looks at {topics.records}", "green")
                application.run()  # pyright: ignore[reportUnknownMemberType]  its annotations are partial
        finally:
            published.close()


def forget_site(site: str) -> str:
    """Throw away what workers remember of a site; a line about it. Raises CommandError."""
    kafka = configured(KafkaSettings)
    with _told():
        if not (parts := forget(kafka, site)):
            raise CommandError(f"nothing is remembered of a site {site!r}")
    return f"{parts} parts of what was remembered of site {site!r} are removed: it begins anew with its next record"


def publish(site: Site | None, ruleset: Ruleset | None) -> list[str]:
    """Publish facts of a site, and rules for it (for all sites where none is given); a line for each. Raises CommandError."""
    kafka = configured(KafkaSettings)
    topics = Topics(kafka.prefix)
    lines: list[str] = []
    with _told():
        probe(kafka, [topics.versions])
        if site is not None:
            publish_site(kafka, topics, site)
            lines.append(f"facts of site {site.site!r}: version {site.version}")
        if ruleset is not None:
            publish_rules(kafka, topics, ruleset, ALL_SITES if site is None else site.site)
            where = "all sites without rules of their own" if site is None else f"site {site.site!r}"
            lines.append(f"{len(ruleset.rules)} rules for {where}: version {ruleset.version}")
    return lines


def withdraw(site: str | None) -> str:
    """Withdraw the published rules of a site, or those of all sites; a line about it. Raises CommandError."""
    kafka = configured(KafkaSettings)
    topics = Topics(kafka.prefix)
    with _told():
        probe(kafka, [topics.versions])
        withdraw_rules(kafka, topics, ALL_SITES if site is None else site)
    if site is not None:
        return f"site {site!r} has no rules of its own any more: those of all sites hold"
    return "sites without rules of their own have those of the product, of the version that runs"


@contextmanager
def _folder(settings: DetectionSettings) -> Generator[Path]:
    """Where a copy of what is remembered is kept. Raises CommandError where it cannot be."""
    if settings.state_folder is None:
        with TemporaryDirectory(prefix="icsight-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    try:
        settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"detection.state_folder {settings.state_folder}: cannot be made ({error.strerror})") from error
    yield settings.state_folder


@contextmanager
def _told(name: str = "") -> Generator[None]:
    """What is wrong as one line; of a worker with its name."""
    try:
        yield
    except (ConfigurationError, KafkaUnusable, CheckpointError, RuleError, SiteError) as error:
        raise CommandError(str(error)) from error
    except (KafkaException, QuixException) as error:  # pyright: ignore[reportUnknownVariableType]  as above
        said = f"{error}"
        if name and any(word in said for word in _SHUT_OUT):
            raise CommandError(
                f"another worker named {name!r} was started, and this one is shut out: what was committed is kept, and the other "
                "goes on from there. Give each worker a name of its own (--worker)"
            ) from error
        raise CommandError(
            f"Kafka cannot be used ({said}): what was committed is kept; where a new start ends alike, look at the brokers and "
            "at the rights of this worker"
        ) from error
