"""Attacks on the plant's OPC UA servers, as asyncua's structures encode them. `tests.plant.attacks.ATTACKS` names them."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from tests.plant.clients import SECOND
from tests.plant.opcua.server import STATIONS, VARIABLES, node, standard
from tests.plant.opcua.works import BOILER_SERVER, HISTORIAN, SCADA, USERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plant.frames import Host
    from tests.plant.opcua.client import Client
    from tests.plant.opcua.works import Line
    from tests.plant.plant import Plant

STEP: Final = 50_000_000
"""Between two probes, in nanoseconds."""

NESTING: Final = 150
"""How deep a value is nested that breaks decoders: the standard bounds it at 100 (OPC 10000-6, 5.1.5)."""

GUESSES: Final = ("engineer", "boiler", "1234", "admin", "password", "opcua", "Blr-0814")


def _stranger(plant: Plant, server: Host, now: int, **security: Any) -> tuple[Line, Client]:
    from tests.plant.plant import INTRUDER  # noqa: PLC0415

    return plant.opcua.client(INTRUDER, server, now, "UaTool", **security)


def nested(depth: int) -> Any:
    """A value in a value in a value."""
    variant = ua.Variant(1.0, ua.VariantType.Double)
    for _ in range(depth):
        variant = ua.Variant([variant], ua.VariantType.Variant, is_array=True)
    return variant


def browse_sweep(plant: Plant, now: int) -> Iterator[int]:
    """The whole address space is browsed, and names beyond it guessed."""
    line, client = _stranger(plant, SCADA, now)
    client.start()
    names = [*STATIONS, *(f"{station}.{name}" for station in STATIONS for name in VARIABLES), *(f"Area{n}" for n in range(130))]
    for start in (standard(ua.ObjectIds.ObjectsFolder), *(node(name) for name in names)):
        client.browse(start)
        line.wait(line.clock + STEP)
        yield line.clock
    client.leave()
    line.close()


def new_session_write(plant: Plant, now: int) -> Iterator[int]:
    """A session that nobody knows writes what the MES writes."""
    line, client = _stranger(plant, SCADA, now)
    client.start()
    client.read(["Distribution.Speed"])
    line.wait(line.clock + SECOND)
    yield line.clock
    client.write("Distribution.Speed", 100.0)
    line.wait(line.clock + SECOND)
    yield line.clock
    client.leave()
    line.close()


def method_call(plant: Plant, now: int) -> Iterator[int]:
    """The boiler's burner is started by its method."""
    line, client = _stranger(plant, SCADA, now)
    client.start()
    client.call(node("Boiler"), node("Boiler.Start"), ua.Variant(100.0, ua.VariantType.Double))
    yield line.clock
    client.leave()
    line.close()


def channel_flood(plant: Plant, now: int) -> Iterator[int]:
    """Secure channels are opened and left open, until the server has none left."""
    for _ in range(int(plant.vary(90, 50, 200))):
        line, client = _stranger(plant, SCADA, now)
        client.connect()
        now = line.clock + STEP
        yield now


def session_flood(plant: Plant, now: int) -> Iterator[int]:
    """Sessions are created and never used."""
    line, client = _stranger(plant, SCADA, now)
    client.connect()
    for _ in range(int(plant.vary(60, 40, 150))):
        client.sign_in()
        line.wait(line.clock + STEP)
        yield line.clock
    line.close()


def nested_value(plant: Plant, now: int) -> Iterator[int]:
    """A value nested so deep that a careless decoder runs out of stack; the server ends the connection."""
    line, client = _stranger(plant, SCADA, now)
    client.start()
    request = ua.WriteRequest()
    item = ua.WriteValue(node("Boiler.Setpoint"), ua.AttributeIds.Value)
    item.Value = ua.DataValue(nested(NESTING))
    request.Parameters.NodesToWrite = [item]
    client.ask(request, answered=False)
    yield line.clock
    line.talk.reset(line.clock)


def downgrade(plant: Plant, now: int) -> Iterator[int]:
    """The historian's program, given another endpoint by who sits in between, signs in at the boiler house without security."""
    line, client = plant.opcua.client(HISTORIAN, BOILER_SERVER, now, "historian")
    client.start("historian", USERS["historian"])
    yield line.clock
    client.read(["Boiler.Pressure"])
    client.leave()
    line.close()


def sign_in_guessing(plant: Plant, now: int) -> Iterator[int]:
    """A user's password is guessed at the boiler house's server."""
    line, client = _stranger(plant, BOILER_SERVER, now)
    client.connect()
    client.sign_in("engineer", GUESSES[0])
    for password in (*GUESSES[1:], USERS["engineer"]):
        line.wait(line.clock + int(plant.vary(2 * SECOND, SECOND / 2, 8 * SECOND)))
        yield line.clock
        client.activate("engineer", password)
    client.leave()
    line.close()


def history_theft(plant: Plant, now: int) -> Iterator[int]:
    """The history of all variables is copied."""
    line, client = _stranger(plant, SCADA, now)
    client.start()
    for station in STATIONS:
        for name in VARIABLES:
            client.history(f"{station}.{name}", 50)
            line.wait(line.clock + STEP)
            yield line.clock
    client.leave()
    line.close()
