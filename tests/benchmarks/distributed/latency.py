"""From a packet on the wire to its alert on the topic of alerts; needs root.

As `tests.benchmarks.latency`, but the way is the distributed one: `icsight sensor run` in a network name space writes the spool,
`icsight sensor uplink` ships it, `icsight detect --worker` looks at it. The clock of each stranger runs from before his request
is handed to the interface until a reader of the topic of alerts has the alert that names him, committed.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from detection.alerts import decode_alerts
from sensor import kafka_message
from tests.benchmarks.latency import WARM_SECONDS, Latency, plant, timed
from tests.benchmarks.replay import AHEAD
from tests.sensor.recording import Recording

if TYPE_CHECKING:
    from tests.benchmarks.distributed.system import System
    from tests.sensor.network import Network

STRANGERS: Final = 60
STRANGE: Final = "10.77."
"""What strangers' addresses begin with."""
LOOK_MILLISECONDS: Final = 5


class Alerts:
    """Reads the topic of alerts from its end on."""

    def __init__(self, system: System) -> None:
        self._client: Any = KafkaConsumer(
            bootstrap_servers=system.settings.bootstrap, isolation_level="read_committed", enable_auto_commit=False
        )
        topic = system.topics.alerts
        places = [TopicPartition(topic, number) for number in self._client.partitions_for_topic(topic)]
        self._client.assign(places)
        self._client.seek_to_end(*places)
        for place in places:
            self._client.position(place)

    def strangers(self) -> list[str]:
        """The strangers that are named in what has come."""
        found = self._client.poll(timeout_ms=LOOK_MILLISECONDS)
        # Workers also tell what people's decisions did there, which are no alerts.
        told = [each for messages in found.values() for each in messages if kafka_message.decode(each.headers).table == "alert"]
        alerts = [alert for message in told for alert in decode_alerts(message.value)]
        return [alert.client_ip for alert in alerts if alert.client_ip is not None and alert.client_ip.startswith(STRANGE)]

    def close(self) -> None:
        """Let go of it."""
        self._client.close(autocommit=False)


def measure(system: System, network: Network, strangers: int = STRANGERS) -> Latency:
    """Let strangers restart a controller in a plant that is watched."""
    data = system.folder / "sensor"
    data.mkdir()
    sensor = Recording(network, data, "--name", "edge", "--site", "works", "--packets-quota", "256", prefix=AHEAD)
    running = []
    try:
        running = [system.worker("one"), system.uplink(data)]
        alerts = Alerts(system)
        with plant(network), network.listen("gen0") as wire:
            time.sleep(WARM_SECONDS)
            # The first of its kind pays for what is made once.
            timed(wire, alerts.strangers, range(1, 3))
            taken, missing = timed(wire, alerts.strangers, range(3, 3 + strangers))
            sent = network.counted("gen0", "tx_packets")
        alerts.close()
    finally:
        sensor.stop()
        for process in running:
            process.stop()
    return Latency(taken, missing, sent)
