"""The table of metrics in the guide for operators is what the code declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.metrics import Metrics
from collector import metrics as store_metrics
from detection import metrics as detection_metrics
from sensor import metrics, recorder_metrics, uplink_metrics
from sensor.metrics import Measure

if TYPE_CHECKING:
    from types import ModuleType

GUIDE: Final = Path(__file__).parents[2] / "deploy" / "docs" / "operations.md"

DECLARING: Final[tuple[tuple[str, tuple[ModuleType, ...]], ...]] = (
    ("each consumer", (metrics,)),
    ("recorder, told by `icsight sensor uplink`", (recorder_metrics,)),
    ("`icsight sensor uplink`", (uplink_metrics,)),
    ("`icsight collect`, `icsight run`", (store_metrics,)),
    ("`icsight detect`, `icsight run`", (detection_metrics,)),
)


def table() -> list[str]:
    """The rows: name, kind, labels, what it means."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    seen: set[str] = set()
    for process, modules in DECLARING:
        rows.append(f"| *{process}* | | | |")
        found = [each for module in modules for each in vars(module).values() if isinstance(each, Measure)]
        for measure in found:
            if measure.name not in seen:
                seen.add(measure.name)
                rows.append(f"| `{measure.name}` | {measure.kind} | {', '.join(measure.labels)} | {measure.meaning} |")
    rows.append("| *`icsight serve`, `icsight run`* | | | |")
    families = Metrics().registry.collect()
    return rows + [f"| `{family.name}` | {family.type} | | {family.documentation} |" for family in families]


def test_the_guide_has_all_metrics_as_the_code_declares_them() -> None:
    wanted = "\n".join(table())
    assert wanted in GUIDE.read_text(), f"put this into {GUIDE.name}:\n{wanted}"
