"""The physics: a water works and a boiler house as difference equations, stepped by whoever reads them.

Values are floats in engineering units; `registers` scales them as the controller's map does. Set-points come back from the
controller's registers, so that a write on the wire moves the process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

if TYPE_CHECKING:
    import numpy as np

DAY_SECONDS: Final = 86_400


class Process(Protocol):
    """A part of the plant under one controller."""

    SETPOINTS: ClassVar[tuple[int, int, int]]
    """Set-points at the start, as the controller's registers."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """Go on for so many seconds; `clock` is the time of day in seconds, `setpoints` the controller's set-point registers."""
        ...

    def registers(self) -> list[int]:
        """Measured values as the controller's registers."""
        ...

    def coils(self) -> list[bool]:
        """States of pumps, valves and alarms."""
        ...


@dataclass
class WaterWorks:
    """Raw-water pumps fill a clear-water tank, demand empties it, chlorine is dosed by flow, pressure follows the pumps."""

    noise: np.random.Generator
    level_m: float = 3.2
    chlorine_mg: float = 0.6
    pressure_bar: float = 4.2
    inflow_m3h: float = 0.0
    demand_m3h: float = 0.0
    pumps: list[bool] = field(default_factory=lambda: [True, False])
    SETPOINTS: ClassVar[tuple[int, int, int]] = (320, 60, 420)
    """Level (cm), chlorine (0.01 mg/l), pressure (0.01 bar)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        wanted_level, wanted_chlorine, wanted_pressure = setpoints[0] / 100, setpoints[1] / 100, setpoints[2] / 100
        self.demand_m3h = 180 + 90 * math.sin(2 * math.pi * (clock / DAY_SECONDS - 0.3)) + 6 * float(self.noise.standard_normal())
        if self.level_m < wanted_level - 0.25:
            self.pumps = [True, True]
        elif self.level_m < wanted_level:
            self.pumps = [True, False]
        elif self.level_m > wanted_level + 0.25:
            self.pumps = [False, False]
        self.inflow_m3h = 190.0 * sum(self.pumps)
        self.level_m = min(6.0, max(0.0, self.level_m + (self.inflow_m3h - self.demand_m3h) * seconds / 3600 / 400))
        self.chlorine_mg += (wanted_chlorine - self.chlorine_mg) * min(1.0, seconds / 600) + 0.002 * float(
            self.noise.standard_normal()
        )
        self.pressure_bar += (wanted_pressure - self.pressure_bar) * min(1.0, seconds / 30) + 0.01 * float(
            self.noise.standard_normal()
        )

    def registers(self) -> list[int]:
        """Level (mm), inflow, demand (0.1 m³/h), chlorine (µg/l), pressure (mbar), and derived values."""
        values = (
            self.level_m * 1000,
            self.inflow_m3h * 10,
            self.demand_m3h * 10,
            self.chlorine_mg * 1000,
            self.pressure_bar * 1000,
        )
        return [*(max(0, min(65_535, round(value))) for value in values), *(1450 if on else 0 for on in self.pumps), 0, 0, 0]

    def coils(self) -> list[bool]:
        """Pumps, then alarms: level low, level high."""
        return [*self.pumps, self.level_m < 1.0, self.level_m > 5.5]


@dataclass
class BoilerHouse:
    """A burner makes steam, feed water holds the drum level, a safety valve opens above 11 bar."""

    noise: np.random.Generator
    drum_mm: float = 0.0
    pressure_bar: float = 8.0
    feed_th: float = 6.0
    burner: float = 0.55
    valve_open: bool = False
    SETPOINTS: ClassVar[tuple[int, int, int]] = (800, 500, 600)
    """Steam pressure (0.01 bar), drum level (mm above the lowest, 500 is the middle), feed (0.01 t/h)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        wanted_pressure, wanted_level = setpoints[0] / 100, setpoints[1] - 500
        load = 6.0 + 1.5 * math.sin(2 * math.pi * (clock / DAY_SECONDS - 0.2)) + 0.05 * float(self.noise.standard_normal())
        self.burner = min(1.0, max(0.1, self.burner + 0.02 * (wanted_pressure - self.pressure_bar) * min(1.0, seconds)))
        steam = 11.0 * self.burner
        self.valve_open = self.pressure_bar > 11.0
        loss = 4.0 if self.valve_open else 0.0
        self.pressure_bar = max(0.0, self.pressure_bar + (steam - load - loss) * min(seconds, 10) * 0.01)
        self.feed_th = min(12.0, max(0.0, load + 0.02 * (wanted_level - self.drum_mm)))
        self.drum_mm += (self.feed_th - load) * min(seconds, 10) * 0.5 + 0.4 * float(self.noise.standard_normal())

    def registers(self) -> list[int]:
        """Pressure (mbar), drum level (mm + 500), feed (kg/h), burner (0.1 %), flue gas (°C)."""
        values = (self.pressure_bar * 1000, self.drum_mm + 500, self.feed_th * 1000, self.burner * 1000, 140 + 60 * self.burner)
        return [*(max(0, min(65_535, round(value))) for value in values), 0, 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """Burner on, feed pump, safety valve, low water."""
        return [self.burner > 0.1, self.feed_th > 0.1, self.valve_open, self.drum_mm < -150]


@dataclass
class Meters:
    """Energy and flow meters on serial lines behind the gateway: counters that only rise."""

    noise: np.random.Generator
    count: float = 10_000.0
    SETPOINTS: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        del clock, setpoints
        self.count = (self.count + seconds * (0.5 + 0.1 * abs(float(self.noise.standard_normal())))) % 65_536

    def registers(self) -> list[int]:
        """The counter and the present power."""
        return [int(self.count), 230, 231, 229, 50, 0, 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """In order."""
        return [True, False, False, False]
