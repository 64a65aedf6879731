"""Topics and rights on a cluster as `deploy/kafka/topics.toml` declares them: what differs, and making it so.

What is there and not declared is left alone; nothing is ever removed, and a topic's partitions only grow: a site would change its
place with them, so that this is told as what it is.
"""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from kafka import errors
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    NewPartitions,
    NewTopic,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from sensor.kafka_client import KafkaUnusable, arguments, probe
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.kafka_settings import KafkaSettings

DECLARATION: Final = Path(__file__).parents[2] / "deploy" / "kafka" / "topics.toml"
"""The declaration that comes with the product."""

_IN_SYNC: Final = "min.insync.replicas"


class DeclarationError(ValueError):
    """The declaration cannot be used. The text says in one line what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is declared."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """What a principal may do with what has a name, or a name that begins so."""

    principal: str
    kind: str
    """`topic`, `group` or `transactional_id`."""
    name: str
    operation: str
    is_beginning: bool = False

    def __str__(self) -> str:
        what = f"{self.kind.replace('_', ' ')} {self.name}{'*' if self.is_beginning else ''}"
        return f"{self.principal} may {self.operation.replace('_', ' ')} {what}"


@dataclass(frozen=True, slots=True)
class Declared:
    """Topics and rights."""

    topics: Sequence[Topic]
    rights: Sequence[Right]


@dataclass(slots=True)
class Plan:
    """What is to be done to a cluster.

    Attributes:
        create: topics that are not there.
        grow: topics with too few partitions, and how many they have.
        configure: settings of topics that are others, with what they are now; None for the broker's own.
        allow: rights that are not given.
        notes: what differs and is left as it is.
    """

    create: list[Topic] = field(default_factory=list[Topic])
    grow: list[tuple[Topic, int]] = field(default_factory=list[tuple[Topic, int]])
    configure: list[tuple[Topic, dict[str, tuple[str | None, str]]]] = field(
        default_factory=list[tuple[Topic, dict[str, tuple[str | None, str]]]]
    )
    allow: list[Right] = field(default_factory=list[Right])
    notes: list[str] = field(default_factory=list[str])

    @property
    def is_empty(self) -> bool:
        """Whether the cluster is as it is declared."""
        return not (self.create or self.grow or self.configure or self.allow)

    def lines(self) -> list[str]:
        """The plan for people, a line for each change."""
        told = [f"+ topic {topic.name}: {topic.partitions} partitions, {topic.replication} copies" for topic in self.create]
        told += [
            f"~ topic {topic.name}: {before} -> {topic.partitions} partitions; sites change their place: end uplinks, let "
            "collectors and detection catch up, and stop detection first"
            for topic, before in self.grow
        ]
        for topic, changes in self.configure:
            told += [
                f"~ topic {topic.name}: {name} {'(default)' if before is None else before} -> {after}"
                for name, (before, after) in changes.items()
            ]
        return [*told, *(f"+ {right}" for right in self.allow), *(f"! {note}" for note in self.notes)]


def services(path: Path = DECLARATION) -> frozenset[str]:
    """Principals of the services that a file declares; no sensor may have such a name. Raises DeclarationError."""
    return frozenset(right.principal for right in declared(path, "").rights)


def declared(path: Path, prefix: str, replication: int | None = None) -> Declared:
    """What a file declares, with the names of a system. Raises DeclarationError.

    Args:
        path: the file.
        prefix: what the names of the system's topics begin with.
        replication: copies of each partition, in place of the declared ones.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DeclarationError(f"{path}: not TOML: {error}") from error
    try:
        defaults = dict(content.get("defaults", {}))
        copies = int(defaults.pop("replication", 3)) if replication is None else replication
        defaults.pop("replication", None)
        topics = {
            name: _topic(_name(prefix, name), dict(told), defaults, copies) for name, told in content.get("topics", {}).items()
        }
        rights = [right for role in content.get("roles", {}).values() for right in _rights(prefix, dict(role), topics)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DeclarationError(f"{path}: {error}") from error
    return Declared(list(topics.values()), sorted(set(rights)))


def plan(settings: KafkaSettings, wanted: Declared) -> Plan:
    """How a cluster differs from what is declared. Raises KafkaUnusable."""
    probe(settings)
    admin = KafkaAdminClient(**arguments(settings))
    try:
        return _plan(admin, wanted)
    except errors.KafkaError as error:
        raise KafkaUnusable(f"{settings.bootstrap}: {type(error).__name__}: {error}") from error
    finally:
        admin.close()


def apply(settings: KafkaSettings, wanted: Declared) -> None:
    """Make a cluster as it is declared, and wait until it shows it.

    Raises KafkaUnusable; what was done before stays, and the next time has the rest.
    """
    probe(settings)
    admin = KafkaAdminClient(**arguments(settings))
    try:
        _do(settings, admin, _plan(admin, wanted))
        until = time.monotonic() + settings.connect_seconds
        # What a broker has taken is not at once what it answers with.
        while not (left := _plan(admin, wanted)).is_empty:
            if time.monotonic() > until:
                raise KafkaUnusable(f"{settings.bootstrap}: done, but not as declared yet: {left.lines()[0]}. Do it again.")
            time.sleep(0.1)
    except errors.KafkaError as error:
        raise KafkaUnusable(f"{settings.bootstrap}: {type(error).__name__}: {error}") from error
    finally:
        admin.close()


def _do(settings: KafkaSettings, admin: Any, changes: Plan) -> None:
    if changes.create:
        admin.create_topics(
            [
                NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.configs))
                for topic in changes.create
            ]
        )
    if changes.grow:
        admin.create_partitions({topic.name: NewPartitions(topic.partitions) for topic, _ in changes.grow})
    if changes.configure:
        admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, topic.name, {name: after for name, (_, after) in told.items()})
                for topic, told in changes.configure
            ]
        )
    if changes.allow:
        failed = cast("dict[str, Any]", admin.create_acls([_acl(right) for right in changes.allow])).get("failed")
        if failed:
            raise KafkaUnusable(f"{settings.bootstrap}: rights are not taken: {failed[0]}")


def _plan(admin: Any, wanted: Declared) -> Plan:
    found = Plan()
    there = set(admin.list_topics())
    found.create = [topic for topic in wanted.topics if topic.name not in there]
    known = [topic for topic in wanted.topics if topic.name in there]
    partitions = {each["name"]: each["partitions"] for each in admin.describe_topics([topic.name for topic in known])}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, None) for topic in known]
    told = cast("dict[str, dict[str, dict[str, Any]]]", admin.describe_configs(resources, config_filter="all")) if known else {}
    configs = next(iter(told.values()), {})
    for topic in known:
        count = len(partitions[topic.name])
        if count < topic.partitions:
            found.grow.append((topic, count))
        elif count > topic.partitions:
            found.notes.append(f"topic {topic.name} has {count} partitions, not {topic.partitions}: they cannot become fewer")
        copies = len(partitions[topic.name][0]["replica_nodes"])
        if copies != topic.replication:
            found.notes.append(f"topic {topic.name} has {copies} copies, not {topic.replication}: reassign its partitions")
        current = {name: each["value"] for name, each in configs[topic.name].items()}
        differing = {name: (current.get(name), value) for name, value in topic.configs.items() if current.get(name) != value}
        if differing:
            found.configure.append((topic, differing))
    try:
        given = _given(admin)
    except errors.SecurityDisabledError:
        if wanted.rights:
            found.notes.append("the cluster knows no rights (no authorizer): everybody may do everything")
    else:
        found.allow = [right for right in wanted.rights if right not in given]
    return found


def _given(admin: Any) -> set[Right]:
    """All rights that are given to single principals."""
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    rules, error = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything))
    if error is not errors.NoError:
        raise error()
    return {
        Right(
            rule.principal.removeprefix("User:"),
            rule.resource_pattern.resource_type.name.lower(),
            rule.resource_pattern.resource_name,
            rule.operation.name.lower(),
            rule.resource_pattern.pattern_type == ACLResourcePatternType.PREFIXED,
        )
        for rule in rules
        if rule.permission_type == ACLPermissionType.ALLOW
    }


def _acl(right: Right) -> Any:
    kind = ACLResourcePatternType.PREFIXED if right.is_beginning else ACLResourcePatternType.LITERAL
    pattern = ResourcePattern(ResourceType[right.kind.upper()], right.name, kind)
    return ACL(f"User:{right.principal}", "*", ACLOperation[right.operation.upper()], ACLPermissionType.ALLOW, pattern)


def _name(prefix: str, name: str) -> str:
    named = getattr(Topics(prefix), name, None)
    if not isinstance(named, str) or name == "prefix":
        raise ValueError(f"topics.{name}: there is no such topic")
    return named


def _topic(name: str, told: dict[str, Any], defaults: Mapping[str, Any], copies: int) -> Topic:
    partitions = int(told.pop("partitions"))
    configs = {key: str(value) for key, value in {**defaults, **told}.items()}
    if _IN_SYNC in configs:
        configs[_IN_SYNC] = str(min(int(configs[_IN_SYNC]), copies))
    return Topic(name, partitions, copies, configs)


def _rights(prefix: str, role: dict[str, Any], topics: Mapping[str, Topic]) -> list[Right]:
    """The rights of a role: what its words mean in Kafka's operations."""
    who = str(role.pop("principal"))
    found: list[Right] = []
    # Who reads a topic may see how it is set: workers look at it before they make what goes with it.
    for word, operations in (("read", ("read", "describe", "describe_configs")), ("write", ("write", "describe"))):
        for name in role.pop(word, ()):
            found += [Right(who, "topic", topics[name].name, operation) for operation in operations]
    reading = ("read", "describe", "describe_configs")
    for word, operations in (("own_topics", (*reading, "write", "create")), ("read_topics", reading)):
        for name in role.pop(word, ()):
            begins = str(name).format(prefix=prefix).removesuffix("*")
            found += [Right(who, "topic", begins, operation, is_beginning=True) for operation in operations]
    for word, kind, operations in (
        ("groups", "group", ("read", "describe")),
        ("transactions", "transactional_id", ("write", "describe")),
    ):
        for name in role.pop(word, ()):
            begins = f"{prefix}{name}".removesuffix("*")
            found += [Right(who, kind, begins, operation, is_beginning=True) for operation in operations]
    if role:
        raise ValueError(f"roles: {', '.join(sorted(role))} is not known")
    return found
