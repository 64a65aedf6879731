"""Checks of Kafka, Elasticsearch and the database: reached, let in, and set up for this version."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, cast

from api.configuration.checks import PATIENCE_SECONDS, Finding, ok, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from api.notification_settings import ChannelSettings
    from api.oidc_settings import OidcSettings
    from api.settings import DatabaseSettings
    from collector.settings import ElasticsearchSettings
    from sensor.kafka_settings import KafkaSettings

NAMED: Final = 3
"""So many differences are named, the others counted."""


def kafka(settings: KafkaSettings) -> Iterator[Finding]:
    """Whether brokers answer and let this process in, and whether topics and rights are as declared.

    Who may not look at rights is told which of the declared topics it sees.
    """
    from kafka import errors  # noqa: PLC0415  comes with an extra, as all that these checks ask
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415

    from collector.stream.kafka_topics import DECLARATION, declared, plan  # noqa: PLC0415
    from sensor.kafka_client import KafkaUnusable, arguments, probe  # noqa: PLC0415

    settings = settings.model_copy(update={"connect_seconds": min(settings.connect_seconds, PATIENCE_SECONDS)})
    try:
        probe(settings)
        yield ok("kafka", f"kafka.in_{settings.security}", bootstrap=settings.bootstrap, username=settings.username)
        with closing(cast("Any", KafkaAdminClient(**arguments(settings)))) as admin:
            brokers, there = len(admin.describe_cluster()["brokers"]), set(admin.list_topics())
        wanted = declared(DECLARATION, settings.prefix)
        if any(topic.replication > brokers for topic in wanted.topics):
            # As `icsight kafka apply --replication` made them: there cannot be more copies than brokers.
            wanted = declared(DECLARATION, settings.prefix, brokers)
        try:
            changes = plan(settings, wanted)
        except KafkaUnusable as error:
            if not isinstance(error.__cause__, errors.AuthorizationError):
                raise
            seen = sorted(topic.name for topic in wanted.topics if topic.name in there)
            if seen:
                yield ok("kafka", "kafka.seen", names=", ".join(seen))
            else:
                yield wrong("kafka", "kafka.unseen")
            return
    except (KafkaUnusable, errors.KafkaError) as error:
        yield wrong("kafka", "reason", reason=error)
        return
    lines = [line for line in changes.lines() if not line.startswith("!")]
    if lines:
        yield wrong("kafka", "kafka.differs", count=len(lines), first="; ".join(lines[:NAMED]))
    else:
        yield ok("kafka", "kafka.declared")
    for note in changes.notes:
        yield warning("kafka", "reason", reason=note)


def elasticsearch(settings: ElasticsearchSettings) -> Iterator[Finding]:
    """Whether the cluster answers, lets this process in, is in health, and has this version's templates. Raises StoreError."""
    from collector.store import elastic_setup as setup  # noqa: PLC0415
    from collector.store.elastic_server import Refused, Server  # noqa: PLC0415
    from collector.store.elastic_templates import FORMAT_VERSION  # noqa: PLC0415

    limits = {"connect_seconds": PATIENCE_SECONDS, "request_seconds": PATIENCE_SECONDS}
    server = Server(settings.model_copy(update=limits))
    with closing(server):
        version = str(server.probe()["version"]["number"])
        yield ok("elasticsearch", "elasticsearch.in", hosts=settings.hosts, version=version)
        try:
            status = str(server.ask("GET", "/_cluster/health")["status"])
        except Refused as error:
            if error.status != 403:
                raise
            yield warning("elasticsearch", "elasticsearch.health_hidden")
        else:
            level = {"green": ok, "yellow": warning}.get(status, wrong)
            yield level("elasticsearch", f"elasticsearch.health_{status}")
        setup.check(server)
        try:
            changes = setup.plan(server)
        except Refused as error:
            if error.status != 403:
                raise
            # Who only stores records need not see all that the set-up made.
            changes = []
        if changes:
            first = ", ".join(change.path for change in changes[:NAMED])
            yield wrong("elasticsearch", "elasticsearch.differs", count=len(changes), first=first)
        else:
            yield ok("elasticsearch", "elasticsearch.set_up", format=FORMAT_VERSION)


def postgresql(settings: DatabaseSettings) -> Iterator[Finding]:
    """Whether the server answers, lets this process in, and of which version its tables are."""
    from api.database.migration import UnusableDatabaseError  # noqa: PLC0415  a gateway has none of this
    from api.database.postgresql import PostgreSQL  # noqa: PLC0415

    limit = min(settings.connect_seconds, PATIENCE_SECONDS)
    try:
        back_end = PostgreSQL(settings.model_copy(update={"connect_seconds": limit}))
    except UnusableDatabaseError as error:
        yield wrong("database", "reason", reason=error)
        return
    yield _schema(back_end.reader, back_end.place, back_end.remedy)


def openid(settings: OidcSettings) -> Iterator[Finding]:
    """Whether the OpenID provider answers, and is who the settings say. Raises ConfigurationError."""
    from api.oidc.provider import Provider  # noqa: PLC0415  a gateway has none of this
    from api.problems import Problem  # noqa: PLC0415

    limit = min(settings.timeout_seconds, PATIENCE_SECONDS)
    try:
        Provider(settings.model_copy(update={"timeout_seconds": limit})).check()
    except Problem as problem:
        key = "oidc.untrusted" if problem.code == "oidc_untrusted" else "oidc.away"
        yield wrong("oidc", key, issuer=settings.issuer, reason=problem.values.get("reason", ""))
    else:
        yield ok("oidc", "oidc.in", issuer=settings.issuer)


def channel(name: str, settings: ChannelSettings) -> Iterator[Finding]:
    """Whether the receiver of notices is there, as far as that can be seen without a message. Raises ConfigurationError."""
    from api.notifications.channels import channel_of  # noqa: PLC0415  a gateway has none of this
    from api.notifications.delivery import DeliveryError  # noqa: PLC0415

    limit = min(settings.timeout_seconds, PATIENCE_SECONDS)
    subject = f"notifications.channels.{name}"
    try:
        channel_of(name, settings.model_copy(update={"timeout_seconds": limit})).reach()
    except DeliveryError as error:
        yield wrong(subject, "channel.away", place=settings.place, reason=error)
    else:
        yield ok(subject, "channel.in", place=settings.place)


def sqlite(path: Path) -> Iterator[Finding]:
    """Of which version the tables of a database in a file are; the file is only read."""
    if not path.exists():
        yield ok("database", "database.absent", place=path)
        return
    import sqlalchemy as sa  # noqa: PLC0415  a gateway has none

    query = {"mode": "ro", "uri": "true"}
    if not path.with_name(f"{path.name}-wal").exists():
        # Nobody is at work on it, and nothing is to be made beside it.
        query["immutable"] = "1"
    yield _schema(
        sa.create_engine(sa.URL.create("sqlite", database=path.absolute().as_uri(), query=query)),
        str(path),
        "restore it from a backup, or move it away",
    )


def _schema(engine: sa.Engine, place: str, remedy: str) -> Finding:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from api.database import first_line, migration  # noqa: PLC0415

    try:
        with engine.connect() as connection:
            found = migration.check(connection, place)
    except SQLAlchemyError as error:
        return wrong("database", "reason", reason=f"{place}: cannot be used ({first_line(error)}): {remedy}")
    except migration.UnusableDatabaseError as error:
        return wrong("database", "reason", reason=error)
    finally:
        engine.dispose()
    newest = migration.revisions()[-1]
    if found is None:
        return ok("database", "database.empty", place=place)
    if found == newest:
        return ok("database", "database.current", place=place, revision=found)
    return warning("database", "database.older", place=place, revision=found, newest=newest)
