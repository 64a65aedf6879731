"""Alerts about detection itself: rules that cannot be used, and facts of the site that name what there is not.

They come on the stream of alerts like any other, so that whoever works through alerts learns what is not looked for.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from detection.alerts import Alert
from detection.sigma.rule import Texts
from detection.texts import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detection.sigma.rule import Fault

SEVERITY: Final = "medium"
WEIGHT: Final = 4.0
"""Weight of that severity in the rank (`grouping.WEIGHTS`)."""

NOT_LOADED: Final = "rule_not_loaded"
NOT_RELOADED: Final = "rules_not_reloaded"
OVERRIDE_UNFIT: Final = "rule_override_unfit"

TEXTS: Final[Mapping[str, Mapping[str, Texts]]] = {
    NOT_LOADED: {
        "en": Texts(
            title="A rule is not in use",
            summary="Rule {rule} of {path} does not detect anything: {reason}.",
            expected="Every rule is loaded, its fields are known, and a record of its own fires it.",
            observed="{reason}",
            next_steps=(
                "Run `icsight rules check` on the file, and correct what it says.",
                "Until then watch by other means for what the rule should find.",
            ),
        ),
        "zh-CN": Texts(
            title="有规则未生效",
            summary="{path} 中的规则 {rule} 无法检测：{reason}。",
            expected="每条规则均已加载、字段已知，并能由自身的样例记录触发。",
            observed="{reason}",
            next_steps=("对该文件运行 `icsight rules check` 并按提示修改。", "在此之前请以其他方式关注该规则应发现的行为。"),
        ),
    },
    NOT_RELOADED: {
        "en": Texts(
            title="Changed rules are not taken over",
            summary="Files of rules have changed and cannot be used; the version before holds on. {path}: {rule}: {reason}.",
            expected="Files that are changed hold rules that can be used.",
            observed="{count} faults, the first: {reason}",
            next_steps=(
                "Run `icsight rules check` on the folder, and correct what it says.",
                "The rules are read again when a file changes.",
            ),
        ),
        "zh-CN": Texts(
            title="规则更新未被采用",
            summary="规则文件已更改但无法使用，继续沿用先前版本。{path}：{rule}：{reason}。",
            expected="更改后的文件包含可用的规则。",
            observed="共 {count} 处错误，第一处：{reason}",
            next_steps=("对该文件夹运行 `icsight rules check` 并按提示修改。", "文件再次更改后会重新读取规则。"),
        ),
    },
    OVERRIDE_UNFIT: {
        "en": Texts(
            title="A site's setting of a rule has no effect",
            summary="The site sets something of rule {rule} that cannot be set: {reason}.",
            expected="Settings under rules: name rules, and thresholds of rules that have one.",
            observed="{reason}",
            next_steps=("Correct section rules: of the site's file; `icsight rules list` prints the rules.",),
        ),
        "zh-CN": Texts(
            title="现场对规则的设置无效",
            summary="现场对规则 {rule} 的设置无法生效：{reason}。",
            expected="rules: 一节只引用已有规则，以及具有阈值的规则的阈值。",
            observed="{reason}",
            next_steps=("修改现场文件的 rules: 一节；`icsight rules list` 可列出规则。",),
        ),
    },
}
"""What these alerts say, by kind and language."""


def own_alerts(kind: str, faults: Iterable[Fault], at: int) -> list[Alert]:
    """One alert for each fault, the same for the same fault.

    Args:
        kind: one of TEXTS.
        faults: what is wrong.
        at: since when, nanoseconds since 1970.
    """
    return [_alert(kind, fault, at, 1) for fault in faults]


def not_reloaded(faults: list[Fault], at: int) -> Alert:
    """One alert for all that is wrong with files that have changed."""
    return _alert(NOT_RELOADED, faults[0], at, len(faults))


def _alert(kind: str, fault: Fault, at: int, count: int) -> Alert:
    fields: dict[str, Any] = {"rule": fault.rule or "–", "path": fault.path.name, "reason": fault.text, "count": count}
    # A fault that comes back after it was corrected is another alert.
    cause = "\x1f".join((kind, fault.path.name, fault.rule, fault.text, str(at)))
    return Alert(
        id=hashlib.blake2b(cause.encode(), digest_size=16).hexdigest(),
        revision=1,
        rule=kind,
        severity=SEVERITY,
        confidence=1.0,
        rank=WEIGHT,
        first_seen=at,
        last_seen=at,
        count=count,
        client_ip=None,
        server_ip=None,
        body={
            "texts": {language: written(texts, fields) for language, texts in TEXTS[kind].items()},
            "target": {"rule.name": fault.rule},
            "techniques": [],
            "technique_aliases": [],
            "records": [],
            "related": [],
            "part_of": None,
            "posture": False,
            "story": None,
        },
    )
