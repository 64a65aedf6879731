"""What is asked of a sensor from outside, followed: packets pinned, evidence handed out.

Requests come as control records in a spool beside the sensor's own, which detection on the same machine writes, or whatever
brings them from elsewhere. Answers lie in the folder `outbox` of the data folder, until whoever carries them has taken them away:

    ID.pcapng      the packets
    ID.json        their manifest
    ID.answer      what became of the request, written last: as soon as it is there, all of it is

A request is followed again after a crash and has the same outcome; one that has its answer is not followed again.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
from typing import TYPE_CHECKING, Final

from sensor import packets
from sensor.control_records import EvidenceRequest, Refused, requests_of
from sensor.packets import MIB, Asked, EvidenceError, NoPackets, Statement
from sensor.spool_files import replace_file
from sensor.spool_format import DamagedFrame, SpoolError
from sensor.spool_reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTROL: Final = "control"
"""Folder of the spool of control records in a data folder."""

OUTBOX: Final = "outbox"
"""Folder of the answers in a data folder."""

POLL_SECONDS: Final = 0.5
"""How long to wait for requests before looking whether to stop."""

DELAY_SECONDS: Final = 12.0
"""How long a request waits whose packets may still be on their way to the disk, or to come."""

OUTBOX_BYTES: Final = 512 * MIB
"""Most bytes of answers that wait to be taken away; what would be more is refused."""

OUTBOX_ANSWERS: Final = 4096
"""Most answers that wait; with so many, requests are not answered at all."""

Request = Statement | EvidenceRequest


class Requests:
    """Follows the requests of a stream of control records: the sensor's end of it.

    Where it stands is kept beside the answers, once they are made: the stream holds other records too and is never cut here.

    Args:
        data: the data folder.
        ring: folder and quota in bytes of the ring of packets; None where none are kept.
        sensor: name of the sensor.
        say: is called with one line for each request that cannot be followed.
    """

    def __init__(
        self, data: Path, ring: tuple[Path, int] | None, sensor: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.refused = 0
        """Requests that could not be followed."""
        self._reader: Final = SpoolReader(data / CONTROL)
        self._outbox: Final = data / OUTBOX
        self._ring: Final = ring
        self._sensor: Final = sensor
        self._say: Final = say
        self._waiting: list[tuple[float, int, Request]] = []
        self._count = 0
        self._trouble = ""
        self._settling = threading.Event()
        self._settled = threading.Event()

    def settled(self) -> bool:
        """Whether all that has been asked for is done; from the first call on nothing is waited for."""
        if not self._settling.is_set():
            self._settled.clear()
            self._settling.set()
        return self._settled.is_set()

    def run(self, stop: threading.Event) -> None:
        """Follow what is asked for until `stop` is set."""
        number = kept = self._position()
        with self._reader:
            while not stop.is_set():
                is_last = self._settling.is_set()
                before = number
                number = self._take(number)
                worked = self._work(everything=is_last, stop=stop)
                if not self._waiting and number != kept and self._keep(number):
                    kept = number
                if is_last and number == before and not self._waiting:
                    self._settled.set()
                elif number != before or worked:
                    self._settled.clear()
                if number == before and not worked:
                    stop.wait(POLL_SECONDS if not is_last else POLL_SECONDS / 10)

    def _take(self, number: int) -> int:
        """Take the requests from batch `number` on; returns the number behind them."""
        try:
            for batch in self._reader.read(number):
                number = batch.number + 1
                for request in requests_of(batch.data):
                    if isinstance(request, Refused):
                        self._refuse(request.reason)
                    else:
                        self._meet(request)
        except DamagedFrame as damage:
            self._refuse(str(damage))
            return damage.resume
        except (SpoolError, OSError) as error:
            # It is tried again and again, and said once.
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._refuse(self._trouble)
        return number

    def _meet(self, request: Request) -> None:
        """Do at once what can be done at once; the rest waits."""
        if isinstance(request, EvidenceRequest) and request.sensor != self._sensor:
            return
        statement = request.statement if isinstance(request, EvidenceRequest) else request
        there = time.time_ns() - int(DELAY_SECONDS * 1e9)
        if statement.end <= there:
            self._follow(request)
            return
        if isinstance(request, Statement) and request.start < there:
            self._follow(Statement(request.start, there, request.flows, request.pairs, request.alert))
        self._count += 1
        heapq.heappush(self._waiting, (time.monotonic() + DELAY_SECONDS, self._count, request))

    def _work(self, *, everything: bool, stop: threading.Event) -> bool:
        """Follow what is due."""
        worked = False
        while self._waiting and not stop.is_set() and (everything or self._waiting[0][0] <= time.monotonic()):
            worked = True
            self._follow(heapq.heappop(self._waiting)[2])
        return worked

    def _follow(self, request: Request) -> None:
        try:
            if isinstance(request, EvidenceRequest):
                self._answer(request)
            elif self._ring is not None:
                packets.pin(self._ring[0], request, Asked("system", time.time_ns(), self._sensor), self._ring[1])
        except (EvidenceError, OSError) as error:
            # A full disk: the ring still holds the packets for a while.
            self._refuse(str(error))

    def _answer(self, request: EvidenceRequest) -> None:
        """Put the answer to a request into the outbox. Raises OSError."""
        self._outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path(request, ".answer").exists():
            return
        if sum(1 for _ in self._outbox.glob("*.answer")) >= OUTBOX_ANSWERS:
            self._refuse(
                f"{self._outbox}: holds {OUTBOX_ANSWERS} answers that nobody has taken away: request {request.id} is dropped"
            )
            return
        outcome: dict[str, object] = {"request": request.id, "sensor": self._sensor, "by": request.by}
        try:
            outcome |= {"status": "answered", **self._take_packets(request)}
        except NoPackets as error:
            outcome |= {"status": "no_packets", "reason": str(error)}
        except EvidenceError as error:
            outcome |= {"status": "refused", "reason": str(error)}
            self._refuse(f"request {request.id} for evidence: {error}")
        outcome["answered_at"] = packets.moment(time.time_ns())
        replace_file(self._path(request, ".answer"), json.dumps(outcome, ensure_ascii=False, indent=1).encode())

    def _take_packets(self, request: EvidenceRequest) -> dict[str, object]:
        """Put the packets and their manifest into the outbox; what the answer says of them. Raises EvidenceError, OSError."""
        if self._ring is None:
            raise EvidenceError("this sensor keeps no packets: start it with --packets-quota")
        asked = Asked(request.by, time.time_ns(), self._sensor, request.mask_values, request.limit_bytes)
        found = packets.take(self._ring[0], request.statement, asked)
        held = sum(path.stat().st_size for path in self._outbox.iterdir())
        if held + len(found.file) > OUTBOX_BYTES:
            raise EvidenceError(f"{self._outbox}: {held} bytes of answers wait to be taken away, which leaves no room")
        replace_file(self._path(request, ".pcapng"), found.file)
        replace_file(self._path(request, ".json"), json.dumps(found.manifest, ensure_ascii=False, indent=1).encode())
        told = ("packets", "bytes", "sha256", "limited")
        return {"file": f"{request.id}.pcapng", "manifest": f"{request.id}.json", **{name: found.manifest[name] for name in told}}

    def _path(self, request: EvidenceRequest, ending: str) -> Path:
        return self._outbox / f"{request.id}{ending}"

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self._say(reason)

    # Where it stands

    def _position(self) -> int:
        try:
            number = int(json.loads((self._outbox / "position.json").read_bytes())["number"])
        except (OSError, ValueError, KeyError, TypeError):
            # From the beginning: what is pinned already is not copied again, what is answered not answered again.
            return 0
        # A stream that ends before it is another one.
        return number if number <= self._reader.end else 0

    def _keep(self, number: int) -> bool:
        try:
            self._outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._outbox / "position.json", json.dumps({"number": number}).encode())
        except OSError as error:
            self._refuse(f"{self._outbox}: cannot be written ({error.strerror or error})")
            return False
        return True
