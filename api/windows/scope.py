"""What a window covers, and what none ever hides. Pure.

A window says where work is planned and by whom. That is no reason not to tell what endangers people or the process, what comes
from outside, what blinds this system, or what an attacker does under cover of the work: `told_anyway` says why. That holds for
the findings of other rules that belong to an alert as for its own: nothing else tells them.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from api.alerts import told
from api.alerts.models import SEVERITIES
from detection import own_alerts
from detection.budget import DIGEST
from detection.tuning import within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.alerts.tuning import Seen

Told = Literal["blind", "critical", "safety", "safety_system", "outside", "unnamed", "story"]
"""Why an alert that lies in a window is told all the same."""

REASONS: Final[tuple[Told, ...]] = get_args(Told)

BLIND: Final = frozenset(
    {
        DIGEST, own_alerts.NOT_LOADED, own_alerts.NOT_RELOADED, own_alerts.SITE_NOT_RELOADED, own_alerts.OVERRIDE_UNFIT,
        own_alerts.RECORDS_LATE, own_alerts.CLOCK_WENT_BACK, own_alerts.BATCHES_MISSING, "packets_missing", "records_lost",
        "more_alarms_than_promised", "more_new_than_looked_at",
    }
)  # fmt: skip
"""Rules that say what is not seen; whoever works does not make icsight blind. A digest stands for alerts that are not covered."""

SAFETY_RULES: Final = frozenset({"set_point_out_of_range", "write_to_critical_point", "opcua_method_call_to_critical_object"})
"""Rules about what the site itself has called critical, or has given limits."""

SAFETY_TECHNIQUES: Final = frozenset({"T0837", "T0838", "T0878", "T0879", "T0880"})
"""Loss of protection, changed or suppressed alarms, damage to property, loss of safety."""

CONTROL_TECHNIQUES: Final = frozenset({"T0816", "T0821", "T0843", "T0858", "T0889", "T1693", "T1693.001", "T1693.002"})
"""Restart, tasking, firmware, program download, operating mode, program: hidden only by a window that names the very rules."""

SAFETY_ROLE: Final = "safety_controller"
"""Role of registered assets that keep people from harm."""

CRITICAL: Final = SEVERITIES.index("critical")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an address: the registered asset that has it, the zone that it lies in."""

    asset: str | None = None
    role: str = ""
    zone: str | None = None


UNKNOWN: Final = Known()

Ground = dict[str, Known]
"""What is known of the addresses of a site."""


@dataclass(frozen=True, slots=True)
class Cover:
    """What a window covers. All that it names must hold; a list holds where one of it does.

    Attributes:
        rules: names of rules, patterns allowed; none: any.
        clients: addresses or networks from which the work is done; none: any.
        servers: addresses or networks that are worked on.
        assets: ids of registered assets that are worked on.
        zones: names of zones that are worked on. Without servers, assets and zones: the whole site.
        start: from when, nanoseconds since 1970.
        end: until when, excluded.
    """

    number: int
    rules: Sequence[str]
    clients: Sequence[str]
    servers: Sequence[str]
    assets: frozenset[str]
    zones: frozenset[str]
    start: int
    end: int

    def hides(self, alert: Seen, ground: Ground) -> bool:
        """Whether it hides an alert: that began in its time, lies in it, and need not be told all the same."""
        began = self.start <= alert.first_seen < self.end
        return began and self.fits(alert, ground) and self.told_anyway(alert, ground) is None

    def fits(self, alert: Seen, ground: Ground) -> bool:
        """Whether an alert is about what it covers, whenever it began."""
        named = not self.rules or any(fnmatch.fnmatchcase(alert.rule, pattern) for pattern in self.rules)
        return named and self._by(alert.client_ip) and self._at(alert.server_ip, ground)

    def told_anyway(self, alert: Seen, ground: Ground) -> Told | None:
        """Why an alert that fits is told all the same; None where it need not be."""
        rules = {alert.rule, *told.rules(alert.body)}
        techniques = {*alert.body.get("techniques", ()), *alert.body.get("technique_aliases", ())}
        if rules & BLIND:
            return "blind"
        if told.severity(alert.severity, alert.body) >= CRITICAL:
            return "critical"
        if rules & SAFETY_RULES or techniques & SAFETY_TECHNIQUES:
            return "safety"
        if any(ground.get(address, UNKNOWN).role == SAFETY_ROLE for address in addresses(alert)):
            return "safety_system"
        if any(_is_public(address) for address in (alert.client_ip, alert.server_ip) if address is not None):
            return "outside"
        # Which of its rules has the technique is not known here.
        if techniques & CONTROL_TECHNIQUES and not rules <= set(self.rules):
            return "unnamed"
        return "story" if self._leaves(alert.body.get("story"), ground) else None

    def _by(self, client: str | None) -> bool:
        return not self.clients or within(client, self.clients)

    def _at(self, server: str | None, ground: Ground) -> bool:
        if not (self.servers or self.assets or self.zones):
            return True
        known = ground.get(server or "", UNKNOWN)
        return within(server, self.servers) or known.asset in self.assets or known.zone in self.zones

    def _leaves(self, story: Mapping[str, Any] | None, ground: Ground) -> bool:
        """Whether the course of action that an alert belongs to goes beyond the work."""
        if story is None:
            return False
        return not all(self._at(target, ground) for target in story.get("targets", ())) or not all(
            self._by(actor) for actor in story.get("actors", ())
        )


def addresses(alert: Seen) -> set[str]:
    """The addresses that must be known to say whether a window covers an alert."""
    story: Mapping[str, Any] = alert.body.get("story") or {}
    return {address for address in (alert.client_ip, alert.server_ip, *story.get("targets", ())) if address}


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
