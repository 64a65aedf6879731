"""The terminal on an ordinary day: tanks, pumps, drives and meters of other vendors than the virtual plant's, and who asks them.

A SCADA server reads blocks of 120 registers each second and writes a heartbeat, the time of the day's plan and outputs all the
while. A controller asks drives by function 23. A logger opens a connection for each of its questions. Serial instruments are
behind a gateway that speaks serial frames over TCP on port 4001, meters on port 5020. A control centre talks IEC 104, a package
unit S7. An OPC UA server without security on port 48030 serves the MES, another one, encrypted, the historian.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

from tests.evaluation.terminal.net import SECOND, Device, Master, Net, read, write
from tests.plant.frames import HOP_NS, Host, Talk
from tests.plant.opcua.client import Client
from tests.plant.opcua.server import STATIONS, VARIABLES, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCADA: Final = Host("192.168.77.11", "00:50:56:a1:11:0b")
STANDBY: Final = Host("192.168.77.12", "00:50:56:a1:11:0c")
HISTORIAN: Final = Host("192.168.77.21", "00:50:56:a1:11:15")
ENGINEER: Final = Host("192.168.77.31", "3c:52:82:0e:77:1f")
BACKUP: Final = Host("192.168.77.41", "00:50:56:a1:11:29")
MANAGEMENT: Final = Host("192.168.77.51", "00:50:56:a1:11:33")
DIRECTORY: Final = Host("192.168.77.2", "00:50:56:a1:11:02")
OPERATOR: Final = Host("192.168.77.61", "3c:52:82:0e:77:3d")
MES: Final = Host("172.20.1.8", "00:50:56:a1:22:08")
CENTRE: Final = Host("172.20.9.4", "00:50:56:a1:29:04")
OFFICE_PC: Final = Host("172.20.5.77", "f8:b1:56:31:05:4d")

TANKS: Final = Host("10.44.3.101", "00:80:f4:21:03:65")
PUMPS: Final = Host("10.44.3.102", "00:80:f4:21:03:66")
LOADING: Final = Host("10.44.3.103", "00:80:f4:21:03:67")
DRIVER: Final = Host("10.44.3.105", "00:30:de:44:03:69")
DRIVES: Final = tuple(Host(f"10.44.3.{number}", f"00:1c:01:0d:03:{number:02x}") for number in (151, 152, 153))
SERIAL: Final = Host("10.44.3.60", "00:90:e8:77:03:3c")
METERS: Final = Host("10.44.3.71", "00:50:c2:19:03:47")
SAFETY: Final = Host("10.44.3.110", "40:41:01:02:03:6e")
PACKAGE: Final = Host("10.44.3.120", "28:63:36:9a:03:78")
RTU: Final = Host("10.44.3.130", "00:60:e9:12:03:82")
OPEN_SERVER: Final = Host("10.44.3.90", "00:0c:29:50:03:5a")
SECURE_SERVER: Final = Host("10.44.3.91", "00:0c:29:50:03:5b")
ROUTER: Final = Host("10.44.3.1", "00:00:5e:00:01:14")
STRANGER: Final = Host("10.44.3.233", "b8:27:eb:9c:33:e9")
OFFICE_STRANGER: Final = Host("172.20.5.201", "f8:b1:56:31:05:c9")
OUTSIDE: Final = Host("185.12.64.9", "00:00:5e:00:01:14")

START: Final = 1_760_335_200 * SECOND
"""Monday 2025-10-13 06:00:00 UTC."""

SERIAL_UNITS: Final = tuple(range(1, 21))
PORT: Final = 48_030
SEGMENT_BYTES: Final = 1_460
USERS: Final = {"hist": "T3rm-Hist", "maint": "Maint#77"}
WATCHED: Final = tuple(f"{station}.{name}" for station in STATIONS for name in VARIABLES)
SECURITY: Final[dict[str, Any]] = {"policy": "Aes128_Sha256_RsaOaep", "mode": 3}


class Line:
    """A client's TCP connection to an OPC UA server, with a clock that each message moves on."""

    def __init__(self, net: Net, client: Host, server: Host, moment: int) -> None:
        self.talk: Talk = net.talk(client, server, PORT)
        self.clock = self.talk.open(moment)
        self.random = net.random

    def now(self) -> int:
        """The time, nanoseconds since 1970."""
        return self.clock

    def wait(self, moment: int) -> None:
        """Let time pass until then."""
        self.clock = max(self.clock, moment)

    def send(self, data: bytes) -> None:
        """Data from the client."""
        for at in range(0, len(data), SEGMENT_BYTES):
            self.talk.send(self.clock, data[at : at + SEGMENT_BYTES])
            self.clock += HOP_NS

    def receive(self, data: bytes) -> None:
        """Data from the server, some time later, and the client's acknowledgment."""
        self.clock += int(3_000_000 * self.random.uniform(0.5, 2.0))
        for at in range(0, len(data), SEGMENT_BYTES):
            self.talk.receive(self.clock, data[at : at + SEGMENT_BYTES])
            self.clock += HOP_NS
        self.talk.acknowledge(self.clock)
        self.clock += HOP_NS

    def close(self) -> int:
        """End the connection in order; returns when that is done."""
        self.clock = self.talk.close(self.clock)
        return self.clock


class Terminal(Net):
    """The terminal. Everything of an ordinary day goes on from its start."""

    def __init__(self, start: int, seed: int) -> None:
        super().__init__(start, seed)
        self.tanks, self.pumps, self.loading = (Device(host) for host in (TANKS, PUMPS, LOADING))
        self.drives = [Device(host, size=64, response_ns=1_500_000) for host in DRIVES]
        self.serial = Device(SERIAL, SERIAL_UNITS, 4_001, framing="rtu", size=64, response_ns=38_000_000)
        self.meters = Device(METERS, (10, 11), 5_020, size=128)
        self.alter: dict[str, Callable[[bytes], bytes]] = {}
        """What somebody makes of a device's answers to the SCADA server, by the device's address."""
        self.paused: dict[str, int] = {}
        """Until when the SCADA server cannot reach a device, by address."""
        self.stopped = False
        """Whether the SCADA server is down: the standby has taken over."""
        self.masters: dict[str, Master] = {}
        phase = self.random.uniform(0, 6.28)
        self._level = [300 + 400 * self.random.random() for _ in range(12)]
        self._phase = phase
        self.open_server = Server(f"opc.tcp://{OPEN_SERVER.ip}:{PORT}/terminal", self._value)
        self.secure_server = Server(
            f"opc.tcp://{SECURE_SERVER.ip}:{PORT}/store",
            self._value,
            policies=(("None", 1), (SECURITY["policy"], SECURITY["mode"])),
            users=USERS,
        )
        for number, steps in enumerate(self._ordinary()):
            self.happen(start + number * 137_000_000, steps)

    def opcua(self, host: Host, server: Host, now: int, application: str, **security: Any) -> tuple[Line, Client]:
        """A new OPC UA client."""
        line = Line(self, host, server, now)
        return line, Client(line, self.open_server if server == OPEN_SERVER else self.secure_server, application, **security)

    def level(self, now: int, number: int) -> int:
        """A tank's level in millimetres."""
        hours = (now - self.start) / SECOND / 3_600
        return round(
            2_000 + 10 * self._level[number] + 900 * math.sin(self._phase + number + hours / 3) + self.random.gauss(0, 2)
        )

    def _value(self, name: str, now: int) -> float:
        seconds = (now - START) / SECOND
        return round(20 + 7 * len(name) % 60 + 5 * math.sin(seconds / 500 + len(name)) + self.random.gauss(0, 0.05), 3)

    def _ordinary(self) -> Iterator[Iterator[int]]:
        now = self.start
        yield self._physics(now)
        for device, blocks in (
            (self.tanks, ((3, 0, 120), (3, 120, 40))),
            (self.pumps, ((3, 0, 100), (1, 0, 48))),
            (self.loading, ((4, 0, 60), (3, 400, 20), (2, 0, 16))),
        ):
            yield self._scada(now, device, blocks)
        yield self._heartbeat(now)
        yield self._outputs(now)
        yield self._serial(now)
        for drive in self.drives:
            yield self._drive(now, drive)
        yield self._logger(now)
        yield self._standby(now)
        yield self._historian(now)
        yield self._mes(now)
        yield self._store(now)
        yield self._iec104(now)
        yield self._s7(now)
        yield self._network(now)
        yield self._office(now)

    def _physics(self, now: int) -> Iterator[int]:
        counter, flow = 4_000_000, 200.0
        while True:
            for number in range(12):
                level = self.level(now, number)
                self.tanks.registers[1][10 * number : 10 * number + 4] = [
                    level, 150 + level // 40, *struct.unpack("!HH", struct.pack("!f", level / 1000))]  # fmt: skip
            flow += self.random.gauss(0, 3)
            flow = min(400.0, max(80.0, flow))
            counter += round(flow)
            words = self.pumps.registers[1]
            words[0:4] = [round(flow), round(flow * 0.7 + self.random.gauss(0, 2)), *divmod(counter, 65_536)]
            words[10:14] = [round(230 + self.random.gauss(0, 1)), 1_480, 0x27 if self.pumps.coils[1][0] else 0x21, 65]
            self.loading.registers[1][0:6] = [round(flow / 4), 22, *divmod(counter // 3, 65_536), 1, 750]
            for place, drive in enumerate(self.drives):
                drive.registers[1][0:4] = [0x0637, max(0, drive.registers[1][20] + self.random.randrange(-4, 5)), 410 + place, 0]
            for unit in self.serial.units:
                self.serial.registers[unit][0:4] = [200 + unit + self.random.randrange(-2, 3), 1_013, 0, unit]
            for unit in self.meters.units:
                self.meters.registers[unit][0:6] = [
                    2_301 + self.random.randrange(-9, 9),
                    512,
                    499,
                    *divmod(counter // 7, 65_536),
                    93,
                ]
            now += SECOND
            yield now

    def _scada(self, now: int, device: Device, blocks: tuple[tuple[int, int, int], ...]) -> Iterator[int]:
        master = self.masters[device.host.ip] = Master(self, SCADA, device)
        while True:
            at = now
            if not self.stopped and at >= self.paused.get(device.host.ip, 0):
                for block in blocks:
                    at = master.ask(at, 1, read(*block), self.alter.get(device.host.ip)) + 3_000_000
            now += SECOND + self.random.randrange(-8_000_000, 30_000_000)
            yield max(now, at)

    def _heartbeat(self, now: int) -> Iterator[int]:
        """A counter that watches the line, and the set-points of the day's plan, written whether they changed or not."""
        number = 0
        while True:
            number += 1
            if not self.stopped:
                for device in (self.tanks, self.pumps, self.loading):
                    master = self.masters.get(device.host.ip)
                    if master is not None and master.talk is not None and now >= self.paused.get(device.host.ip, 0):
                        now = master.ask(now, 1, write(900, number % 1_000)) + 5_000_000
                        if number % 5 == 0:
                            slot = (now // SECOND // 600) % 4
                            now = master.ask(now, 1, write(910, 500 + 10 * slot, 620, 40, 3)) + 5_000_000
            now += 2 * SECOND
            yield now

    def _outputs(self, now: int) -> Iterator[int]:
        """The control program in the server starts and stops pumps."""
        while True:
            now += int(self.random.uniform(25, 70) * SECOND)
            yield now
            master = self.masters[PUMPS.ip]
            if not self.stopped and master.talk is not None and now >= self.paused.get(PUMPS.ip, 0):
                at = self.random.randrange(4)
                master.ask(now, 1, struct.pack("!BHHBB", 15, at, 1, 1, 1 - self.pumps.coils[1][at]))

    def _serial(self, now: int) -> Iterator[int]:
        master = Master(self, SCADA, self.serial)
        while True:
            for unit in SERIAL_UNITS:
                if not self.stopped:
                    now = master.ask(now, unit, read(4, 0, 8))
                now += 60_000_000
                yield now

    def _drive(self, now: int, drive: Device) -> Iterator[int]:
        master = Master(self, DRIVER, drive)
        speed = 1_200
        while True:
            speed = min(1_500, max(900, speed + self.random.randrange(-3, 4)))
            pdu = struct.pack("!BHHHHB2H", 23, 0, 4, 20, 2, 4, speed, 0x047F)
            now = max(now, master.ask(now, 1, pdu)) + 490_000_000
            yield now

    def _logger(self, now: int) -> Iterator[int]:
        """A script that connects anew each time."""
        while True:
            now += 15 * SECOND
            yield now
            master = Master(self, HISTORIAN, self.meters)
            at = master.connect(now)
            for unit in self.meters.units:
                at = master.ask(at, unit, read(4, 0, 40))
            master.close(at)

    def _standby(self, now: int) -> Iterator[int]:
        """The standby server looks now and then whether the controllers answer it."""
        masters = [Master(self, STANDBY, device) for device in (self.tanks, self.pumps, self.loading)]
        number = 0
        while True:
            number += 1
            for master in masters:
                if self.stopped:
                    now = master.ask(now, 1, read(3, 0, 100)) + 4_000_000
                    now = master.ask(now, 1, write(900, number % 1_000)) + 4_000_000
                elif number % 15 == 1:
                    now = master.ask(now, 1, read(3, 900, 1)) + 4_000_000
            now += SECOND
            yield now

    def _historian(self, now: int) -> Iterator[int]:
        line, client = self.opcua(HISTORIAN, OPEN_SERVER, now, "hist")
        client.start()
        while True:
            now += 10 * SECOND
            yield now
            line.wait(now)
            client.read(WATCHED[:12])

    def _mes(self, now: int) -> Iterator[int]:
        line, client = self.opcua(MES, OPEN_SERVER, now, "mes-gateway")
        client.start()
        client.subscribe(WATCHED, 2_000.0)
        number = 0
        while True:
            now += 4 * SECOND
            yield now
            line.wait(now)
            client.publish()
            number += 1
            if number % 20 == 0:
                client.write("Intake.Setpoint", 40.0 + number % 3)

    def _store(self, now: int) -> Iterator[int]:
        line, client = self.opcua(HISTORIAN, SECURE_SERVER, now, "hist", **SECURITY, client_certificate="mes")
        client.start("hist", USERS["hist"])
        while True:
            now += 20 * SECOND
            yield now
            line.wait(now)
            client.read(WATCHED[:8])

    def _iec104(self, now: int) -> Iterator[int]:
        """The control centre: the start of transfer, an interrogation, then measured values as they come."""
        talk = self.talk(CENTRE, RTU, 2404)
        now = talk.open(now)
        talk.send(now, bytes.fromhex("680407000000"))
        talk.receive(now + 5_000_000, bytes.fromhex("68040b000000"))
        talk.send(now + 9_000_000, bytes.fromhex("680e0000000064010600010000000014"))
        number = 0
        while True:
            now += 5 * SECOND
            yield now
            value = struct.pack("<f", 50 + self.random.gauss(0, 0.02))
            head = struct.pack("<BBHH", 0x68, 0x12, number << 1 & 0xFFFE, 2)
            talk.receive(now, head + bytes.fromhex("0d010300010001") + b"\x40\x00" + value + b"\0")
            number += 1
            if number % 8 == 0:
                talk.send(now + 20_000_000, struct.pack("<BBHH", 0x68, 4, 1, number << 1 & 0xFFFE))

    def _s7(self, now: int) -> Iterator[int]:
        """The SCADA server reads a data block of the package unit (S7 Read Var)."""
        talk = self.talk(SCADA, PACKAGE, 102)
        now = talk.open(now)
        talk.send(now, bytes.fromhex("0300001611e00000000100c0010ac1020100c2020102"))
        talk.receive(now + 4_000_000, bytes.fromhex("0300001611d00001000100c0010ac1020100c2020102"))
        talk.send(now + 8_000_000, bytes.fromhex("0300001902f08032010000000000080000f0000001000101e0"))
        talk.receive(now + 12_000_000, bytes.fromhex("0300001b02f080320300000000000800000000f0000001000100f0"))
        number = 1
        while True:
            now += 2 * SECOND
            yield now
            if self.stopped:
                continue
            number = number % 60_000 + 1
            item = bytes.fromhex("12 0a 10 02 0010 0001 84 000000")
            talk.send(now, bytes.fromhex("0300001f02f080 3201 0000") + struct.pack("!HHH", number, 14, 0) + b"\x04\x01" + item)
            data = bytes.fromhex("ff040080") + struct.pack("!8H", *(100 + self.random.randrange(5) for _ in range(8)))
            head = struct.pack("!HHHBB", number, 2, len(data), 0, 0) + b"\x04\x01"
            body = bytes.fromhex("02f080 3203 0000") + head + data
            talk.receive(now + 6_000_000, struct.pack("!BBH", 3, 0, 4 + len(body)) + body)

    def _network(self, now: int) -> Iterator[int]:
        """ARP, time and SNMP."""
        devices = (TANKS, PUMPS, LOADING, SERIAL, METERS, PACKAGE, RTU, OPEN_SERVER)
        number = 0
        while True:
            for host in devices:
                self.who_has(now, ROUTER, host.ip)
                self.arp(now + 300_000, host, host.ip, ROUTER)
                self.datagram(now + 1_000_000, host, DIRECTORY, (123, 123), bytes.fromhex("1b") + bytes(47))
                self.datagram(now + 2_000_000, DIRECTORY, host, (123, 123), bytes.fromhex("1c020300") + bytes(44))
                number += 1
                asked = bytes.fromhex("302602010104067075626c6963a01902") + struct.pack("!BI", 4, number)
                asked += bytes.fromhex("020100020100300b300906052b060102010500")
                ports = 52_001, 161
                self.datagram(now + 3_000_000, MANAGEMENT, host, ports, asked)
                self.datagram(now + 5_000_000, host, MANAGEMENT, (ports[1], ports[0]), asked.replace(b"\xa0\x19", b"\xa2\x19"))
                now += 200_000_000
            now += 58 * SECOND
            yield now

    def _office(self, now: int) -> Iterator[int]:
        """Operators' screens ask the SCADA server, and names are looked up."""
        number = 0
        while True:
            now += int(self.random.uniform(8, 20) * SECOND)
            yield now
            number += 1
            self.datagram(now, OPERATOR, DIRECTORY, (51_000 + number % 500, 53), question(number, b"scada.terminal.example"))
            talk = self.talk(OPERATOR, SCADA, 80)
            at = talk.open(now + 4_000_000)
            talk.send(at, b"GET /screens/overview.json HTTP/1.1\r\nHost: scada\r\n\r\n")
            talk.receive(at + 9_000_000, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + bytes(900))
            talk.close(at + 12_000_000)


def question(number: int, name: bytes) -> bytes:
    """A question for an address (RFC 1035, 4.1)."""
    labels = b"".join(bytes((len(part),)) + part for part in name.split(b".")) + b"\0"
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\1\0\1"
