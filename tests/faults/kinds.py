"""The kinds of fault: what each does to a run, and whether it is the real thing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults import deliveries, storage
from tests.faults.ground import OwnGround
from tests.faults.system import DELIVERY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.disk import Disk
    from tests.faults.run import Run
    from tests.services.process import Service

DAY_NS: Final = 86_400 * 10**9

CLOCKS: Final = {"a second back": -(10**9), "a day back": -DAY_NS, "a day ahead": DAY_NS, "a year ahead": 366 * DAY_NS}


def _nothing(run: Run) -> None:
    del run


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: its name on the command line.
        told: what is done, and what of it is simulated.
        do: does it to a run that has begun, and puts right what a person would.
        before: prepares the run, before it begins.
        of_services: whether it needs services of its own.
    """

    name: str
    told: str
    do: Callable[[Run], None]
    before: Callable[[Run], None] = _nothing
    of_services: bool = False


# Our own processes


def _kill_sensor(run: Run) -> None:
    run.wait_for_moment(most=1.6)
    run.restart(run.sensor, is_at_work=run.sensor.runs())


def _kill_uplink(run: Run) -> None:
    run.wait_for_moment()
    run.restart(run.uplink, is_at_work=run.shipped < len(run.wanted))


SHARED: Final = "one of two that share"


def _choose_collector(run: Run) -> None:
    """The one into files or the one into Elasticsearch, which another may begin to share with while the sensor begins."""
    run.outcome.what = run.random.choice(["into files", "into Elasticsearch", SHARED])
    if run.outcome.what == SHARED:
        run.system.share()
        run.stack.callback(run.system.share_no_more)


def _kill_collector(run: Run) -> None:
    """The one that the seed says; of two that share, partitions move as the other begins and may move as one is away."""
    system = run.system
    commands = {"into files": [system.files], "into Elasticsearch": [system.cluster], SHARED: [system.cluster, system.other]}
    command = run.random.choice(commands[run.outcome.what])
    run.wait_for_moment(most=2.5)
    run.restart(command, is_at_work=not run.is_stored())


def _kill_worker(run: Run) -> None:
    run.wait_for_moment(most=2.5)
    run.restart(run.system.worker, is_at_work=not run.has_alerts())


def _serve(run: Run) -> None:
    """The run has an API."""
    run.serves = True
    run.system.api()


def _kill_api(run: Run) -> None:
    run.wait_for_moment(most=3.0)
    run.restart(run.system.api(), is_at_work=not run.has_database())


def _set_clock(run: Run) -> None:
    """The clock of all our processes, but not of the services; it is set right again a while later."""
    name = run.random.choice(sorted(CLOCKS))
    run.outcome.what = name
    run.wait_for_moment()
    run.outcome.met_work = not run.is_stored()
    run.system.faults.set(clock_ns=CLOCKS[name])
    run.stack.callback(run.system.faults.set, clock_ns=0)
    time.sleep(run.random.uniform(0.5, 4.0))
    run.system.faults.set(clock_ns=0)


# Services


def _own(run: Run) -> OwnGround:
    ground = run.system.ground
    assert isinstance(ground, OwnGround), "this kind needs services of its own"
    return ground


def _away(run: Run, service: Service, least: float, most: float) -> None:
    """Kill a service, and start it again after so long."""
    run.wait_for_moment()
    run.outcome.met_work = not run.is_stored()
    service.kill()
    time.sleep(run.random.uniform(least, most))
    service.start()


def _kill_kafka(run: Run) -> None:
    _away(run, run.system.ground.kafka, 0.0, 2.0)


def _kafka_away(run: Run) -> None:
    _away(run, run.system.ground.kafka, DELIVERY_SECONDS + 1.0, DELIVERY_SECONDS + 5.0)


def _kill_elasticsearch(run: Run) -> None:
    _away(run, run.system.ground.elasticsearch, 0.0, 2.0)


def _kill_postgres(run: Run) -> None:
    run.wait_for_moment(most=3.0)
    run.outcome.met_work = not run.has_database()
    run.system.ground.postgres.kill()
    time.sleep(run.random.uniform(0.0, 2.0))
    run.system.ground.postgres.start()


def _cut_network(run: Run) -> None:
    """To the broker or to the node; connections are ended, or nothing comes through any more and nobody is told."""
    ground = _own(run)
    name, proxy = run.random.choice([("to Kafka", ground.kafka_proxy), ("to Elasticsearch", ground.elasticsearch_proxy)])
    how, cut = run.random.choice([("cut", proxy.cut), ("silent", proxy.freeze)])
    run.outcome.what = f"{name}, {how}"
    run.wait_for_moment()
    run.outcome.met_work = not run.is_stored()
    run.stack.callback(proxy.mend)
    cut()
    time.sleep(run.random.uniform(0.5, 5.0))
    proxy.mend()


def _slow_network(run: Run) -> None:
    """Each piece of 16 KiB, to and from either service, waits."""
    ground = _own(run)
    delay_seconds = run.random.uniform(0.02, 0.5)
    run.outcome.what = f"{delay_seconds * 1000:.0f} ms"
    run.wait_for_moment()
    run.outcome.met_work = not run.is_stored()
    for proxy in (ground.kafka_proxy, ground.elasticsearch_proxy):
        run.stack.callback(proxy.mend)
        proxy.slow(delay_seconds)
    time.sleep(run.random.uniform(2.0, 8.0))
    for proxy in (ground.kafka_proxy, ground.elasticsearch_proxy):
        proxy.mend()


def _fill_service(run: Run, service: Service, disk: Disk) -> None:
    """Fill the disk of a service for a while; then a person makes room and starts it anew."""
    run.wait_for_moment()
    run.outcome.met_work = not run.is_stored()
    run.stack.callback(disk.empty)
    disk.fill()
    time.sleep(run.random.uniform(1.0, 5.0))
    disk.empty()
    service.stop()
    service.start()


def _fill_kafka(run: Run) -> None:
    _fill_service(run, run.system.ground.kafka, _own(run).kafka_disk)


def _fill_elasticsearch(run: Run) -> None:
    _fill_service(run, run.system.ground.elasticsearch, _own(run).elasticsearch_disk)


def _fill_postgres(run: Run) -> None:
    _fill_service(run, run.system.ground.postgres, _own(run).postgres_disk)


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("sensor killed", "kill -9 of the process that records; real", _kill_sensor),
        Kind("uplink killed", "kill -9 of `icsight sensor uplink`; real", _kill_uplink),
        Kind("collector killed", "kill -9 of `icsight collect`, also of one of two that share; real", _kill_collector,
             _choose_collector),
        Kind("worker killed", "kill -9 of `icsight detect --worker`; real", _kill_worker),
        Kind("API killed", "kill -9 of `icsight serve`; real", _kill_api, _serve),
        Kind("clock set", "the date of our processes, by a preloaded library: simulated", _set_clock),
        Kind("delivery repeated", "batches sent again from further back, by the harness as uplink: simulated", deliveries.repeat,
             deliveries.by_hand),
        Kind("bit flipped", "one bit of what waits in the spool, changed in its file: simulated", storage.flip_bit),
        Kind("spool disk full", "a file system in memory, full to the last byte: real ENOSPC", storage.fill_spool,
             storage.small_disk),
        Kind("Kafka killed", "kill -9 of the broker, one without copies; real", _kill_kafka, of_services=True),
        Kind("Kafka away", "the same, for longer than the uplink's delivery timeout; real", _kafka_away, of_services=True),
        Kind("Elasticsearch killed", "kill -9 of the node, one without copies; real", _kill_elasticsearch, of_services=True),
        Kind("PostgreSQL killed", "kill -9 of the server; real", _kill_postgres, _serve, of_services=True),
        Kind("network cut", "connections ended, or silent, by a proxy: simulated", _cut_network, of_services=True),
        Kind("network slow", "each piece held back by a proxy: simulated", _slow_network, of_services=True),
        Kind("Kafka disk full", "a file system in memory under the broker's log: real ENOSPC", _fill_kafka, of_services=True),
        Kind("Elasticsearch disk full", "the same under the node's data: real ENOSPC", _fill_elasticsearch, of_services=True),
        Kind("PostgreSQL disk full", "the same under the database: real ENOSPC", _fill_postgres, _serve, of_services=True),
    )
}  # fmt: skip
"""The kinds by name. A killed process is no power cut: the machine goes on and keeps what it has in its page cache."""
