"""The physics: a water works and a boiler house as difference equations, stepped by whoever reads them.

Values are floats in engineering units; `registers` scales them as the controller's map does. Set-points come back from the
controller's registers, so that a write on the wire moves the process. The three parts of the water works hang together: the
intake pumps what the treatment asks for, and the treatment loses what the distribution takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

if TYPE_CHECKING:
    import numpy as np

DAY_SECONDS: Final = 86_400
PUMP_M3H: Final = 130.0
"""What one pump moves."""


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
class Intake:
    """Three raw-water pumps lift from a well as much as the treatment asks for; the river fills the well."""

    noise: np.random.Generator
    well_m: float = 5.0
    flow_m3h: float = PUMP_M3H
    turbidity_ntu: float = 3.0
    asked_m3h: float = 200.0
    pumps: int = 1
    SETPOINTS: ClassVar[tuple[int, int, int]] = (390, 120, 60)
    """Most flow (m³/h), lowest well level (cm), delay between two starts (s)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        most, lowest_m = setpoints[0], setpoints[1] / 100
        wanted = min(self.asked_m3h, most)
        self.pumps = 0 if self.well_m < lowest_m else min(3, math.ceil(wanted / PUMP_M3H - 0.1))
        self.flow_m3h += (self.pumps * PUMP_M3H - self.flow_m3h) * min(1.0, seconds / 8)
        river_m3h = 250 + 10 * math.sin(2 * math.pi * clock / DAY_SECONDS)
        self.well_m = _within(self.well_m + (river_m3h - self.flow_m3h) * seconds / 3600 / 300, 0.0, 6.0)
        drift = (3.0 - self.turbidity_ntu) * min(1.0, seconds / 3600)
        self.turbidity_ntu = max(0.2, self.turbidity_ntu + drift + 0.01 * _gauss(self.noise))

    def registers(self) -> list[int]:
        """Well level (mm), flow (0.1 m³/h), turbidity (0.01 NTU), pump currents (0.1 A), flow asked for (m³/h)."""
        currents = [410 if number < self.pumps else 0 for number in range(3)]
        return [
            *_words(self.well_m * 1000, self.flow_m3h * 10, self.turbidity_ntu * 100),
            *currents,
            int(self.asked_m3h),
            0,
            0,
            0,
        ]

    def coils(self) -> list[bool]:
        """Pumps 1 to 3, then the alarm of the well's low level."""
        return [*(number < self.pumps for number in range(3)), self.well_m < 1.2]


@dataclass
class Treatment:
    """A clear-water tank between intake and distribution; chlorine and lye are dosed by flow."""

    noise: np.random.Generator
    intake: Intake
    level_m: float = 3.2
    chlorine_mg: float = 0.6
    acidity: float = 7.4
    outflow_m3h: float = 180.0
    dose_mlh: float = 0.0
    SETPOINTS: ClassVar[tuple[int, int, int]] = (320, 60, 740)
    """Tank level (cm), chlorine (0.01 mg/l), pH (0.01)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        del clock
        wanted_m, wanted_mg, wanted_acidity = (value / 100 for value in setpoints)
        # More is asked for at once and less only well above the set-point, so that pumps do not start all the time.
        if self.level_m < wanted_m - 0.2:
            self.intake.asked_m3h = 2 * PUMP_M3H
        elif self.level_m > wanted_m + 0.2:
            self.intake.asked_m3h = PUMP_M3H
        self.level_m = _within(self.level_m + (self.intake.flow_m3h - self.outflow_m3h) * seconds / 3600 / 400, 0.0, 6.0)
        self.dose_mlh = max(0.0, self.intake.flow_m3h * wanted_mg * 8)
        self.chlorine_mg += (wanted_mg - self.chlorine_mg) * min(1.0, seconds / 600) + 0.002 * _gauss(self.noise)
        self.acidity += (wanted_acidity - self.acidity) * min(1.0, seconds / 900) + 0.002 * _gauss(self.noise)

    def registers(self) -> list[int]:
        """Level (mm), inflow, outflow (0.1 m³/h), chlorine (µg/l), pH (0.01), dosing (ml/h)."""
        flows = (self.intake.flow_m3h * 10, self.outflow_m3h * 10)
        return [*_words(self.level_m * 1000, *flows, self.chlorine_mg * 1000, self.acidity * 100, self.dose_mlh), 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """Dosing on, lye on, then alarms: level low, level high."""
        return [self.dose_mlh > 0, True, self.level_m < 1.0, self.level_m > 5.5]


@dataclass
class Distribution:
    """Two pumps keep the net's pressure and a water tower full against what the town takes."""

    noise: np.random.Generator
    treatment: Treatment
    tower_m: float = 3.0
    pressure_bar: float = 4.2
    demand_m3h: float = 180.0
    speed: float = 0.7
    SETPOINTS: ClassVar[tuple[int, int, int]] = (420, 300, 290)
    """Pressure (0.01 bar), tower level (cm), most flow (m³/h)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        wanted_bar, wanted_m, most = setpoints[0] / 100, setpoints[1] / 100, setpoints[2]
        part = clock / DAY_SECONDS
        # Two peaks a day, morning and evening.
        self.demand_m3h = 185 + 50 * math.sin(2 * math.pi * (part - 0.3)) + 30 * math.sin(4 * math.pi * (part - 0.2))
        self.demand_m3h += 3 * _gauss(self.noise)
        self.speed = _within(self.demand_m3h / 290 + 0.4 * (wanted_m - self.tower_m), 0.0, 1.0)
        pumped = min(self.speed * 290, most) if self.treatment.level_m > 0.3 else 0.0
        self.treatment.outflow_m3h = pumped
        self.tower_m = _within(self.tower_m + (pumped - self.demand_m3h) * seconds / 3600 / 120, 0.0, 6.0)
        self.pressure_bar += (wanted_bar - self.pressure_bar) * min(1.0, seconds / 30) + 0.01 * _gauss(self.noise)

    def registers(self) -> list[int]:
        """Tower level (mm), flow, demand (0.1 m³/h), pressure (mbar), speed (0.1 %)."""
        flows = (self.treatment.outflow_m3h * 10, self.demand_m3h * 10)
        return [*_words(self.tower_m * 1000, *flows, self.pressure_bar * 1000, self.speed * 1000), 0, 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """Pumps 1 and 2, then alarms: tower low, pressure low."""
        return [self.speed > 0, self.speed > 0.5, self.tower_m < 0.8, self.pressure_bar < 2.5]


@dataclass
class BoilerHouse:
    """A burner makes steam, feed water holds the drum level, a safety valve opens above 11 bar, low water stops the burner."""

    noise: np.random.Generator
    drum_mm: float = 0.0
    pressure_bar: float = 8.0
    feed_th: float = 6.0
    burner: float = 0.55
    valve_open: bool = False
    SETPOINTS: ClassVar[tuple[int, int, int]] = (800, 500, 600)
    """Steam pressure (0.01 bar), drum level (mm above the lowest, 500 is the middle), least feed (0.01 t/h)."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        wanted_bar, wanted_mm = setpoints[0] / 100, setpoints[1] - 500
        load = 6.0 + 1.5 * math.sin(2 * math.pi * (clock / DAY_SECONDS - 0.2)) + 0.05 * _gauss(self.noise)
        step = min(seconds, 10)
        # Load ahead, pressure behind: the burner follows what is taken and corrects what is missing.
        firing = load / 11.0 + 0.5 * (wanted_bar - self.pressure_bar)
        low_water = self.drum_mm < -200
        self.burner += ((0.0 if low_water else _within(firing, 0.1, 1.0)) - self.burner) * min(1.0, step / 20)
        self.valve_open = self.pressure_bar > (10.5 if self.valve_open else 11.0)
        loss = 4.0 if self.valve_open else 0.0
        self.pressure_bar = max(0.0, self.pressure_bar + (11.0 * self.burner - load - loss) * step * 0.004)
        self.feed_th = _within(load + 0.02 * (wanted_mm - self.drum_mm), 0.0, 12.0)
        self.drum_mm += (self.feed_th - load - loss) * step * 0.5 + 0.4 * _gauss(self.noise)

    def registers(self) -> list[int]:
        """Pressure (mbar), drum level (mm + 500), feed (kg/h), burner (0.1 %), flue gas (°C)."""
        values = (self.pressure_bar * 1000, self.drum_mm + 500, self.feed_th * 1000, self.burner * 1000, 140 + 60 * self.burner)
        return [*_words(*values), 0, 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """Burner on, feed pump, safety valve, low water."""
        return [self.burner > 0.05, self.feed_th > 0.1, self.valve_open, self.drum_mm < -150]


@dataclass
class Meters:
    """Energy and flow meters on serial lines behind the gateway: counters that only rise."""

    noise: np.random.Generator
    count: float = 10_000.0
    volts: list[int] = field(default_factory=lambda: [230, 231, 229])
    SETPOINTS: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """See `Process`."""
        del clock, setpoints
        self.count = (self.count + seconds * (0.5 + 0.1 * abs(_gauss(self.noise)))) % 65_536
        phase = int(self.noise.integers(0, 3))
        self.volts[phase] = int(_within(self.volts[phase] + int(self.noise.integers(-1, 2)), 222, 238))

    def registers(self) -> list[int]:
        """The counter, volts of three phases, frequency."""
        return [int(self.count), *self.volts, 50, 0, 0, 0, 0, 0]

    def coils(self) -> list[bool]:
        """In order."""
        return [True, False, False, False]


def _gauss(noise: np.random.Generator) -> float:
    return float(noise.standard_normal())


def _within(value: float, least: float, most: float) -> float:
    return min(most, max(least, value))


def _words(*values: float) -> list[int]:
    """Values as registers, at the ends of the range where they do not fit."""
    return [round(_within(value, 0, 65_535)) for value in values]
