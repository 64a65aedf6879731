"""Alerts about detection itself: rules that cannot be used, facts of the site that name nothing, records late or missing.

They come on the stream of alerts like any other, so that whoever works through alerts learns what is not looked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detection.alerts import Alert, moment
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
SITE_NOT_RELOADED: Final = "site_not_reloaded"
OVERRIDE_UNFIT: Final = "rule_override_unfit"
RECORDS_LATE: Final = "sensor_records_late"
CLOCK_WENT_BACK: Final = "sensor_clock_went_back"
BATCHES_MISSING: Final = "sensor_batches_missing"

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
    RECORDS_LATE: {
        "en": Texts(
            title="A sensor's records come late",
            summary="Records of sensor {sensor} come {seconds} s behind those of the site's other sensors.",
            expected="Sensors of one site are at most {allowed} s apart.",
            observed="{seconds} s behind",
            next_steps=(
                "Look whether the sensor's link, disk or processor is busy, and whether its clock is set.",
                "Nothing is lost: its records are looked at as they come, but not in one order with those of the others.",
            ),
        ),
        "zh-CN": Texts(
            title="传感器记录迟到",
            summary="传感器 {sensor} 的记录比本站点其他传感器晚 {seconds} 秒。",
            expected="同一站点各传感器之间最多相差 {allowed} 秒。",
            observed="晚 {seconds} 秒",
            next_steps=(
                "检查该传感器的链路、磁盘或处理器是否繁忙，以及时钟是否正确。",
                "没有丢失：其记录到达即检测，只是不与其他传感器按同一时间顺序。",
            ),
        ),
    },
    CLOCK_WENT_BACK: {
        "en": Texts(
            title="A sensor's clock went back",
            summary="The clock of sensor {sensor} went back by {seconds} s; until it has made up for that, its records count "
            "as of the time that it had reached.",
            expected="A sensor's clock goes forward; it is set back by at most {allowed} s.",
            observed="{seconds} s back",
            next_steps=(
                "Set the sensor's clock by NTP or PTP, and look at who changed it.",
                "Until then what is counted within a time, such as bursts, may be told too often for this sensor.",
            ),
        ),
        "zh-CN": Texts(
            title="传感器时钟回退",
            summary="传感器 {sensor} 的时钟回退了 {seconds} 秒；在其追上之前，其记录按已到达的时间计。",
            expected="传感器时钟只向前走，回退最多 {allowed} 秒。",
            observed="回退 {seconds} 秒",
            next_steps=(
                "用 NTP 或 PTP 校准传感器时钟，并查明是谁更改的。",
                "在此之前，该传感器按时间计数的结果（如突发）可能偏多。",
            ),
        ),
    },
    BATCHES_MISSING: {
        "en": Texts(
            title="Records of a sensor are missing",
            summary="{count} batches of records of sensor {sensor} between number {first} and {last} have not come: what they "
            "held between {since} and {until} was not looked at.",
            expected="The batches of a sensor's run ({epoch}) come with numbers that have no gaps.",
            observed="{gaps} gaps, {count} batches missing from {first} to {last}",
            next_steps=(
                "Look at the sensor's spool and uplink: batches are removed where the spool is full or the broker is away for "
                "longer than the spool has room, and are passed over where they are damaged.",
                "Look whether the stream keeps records for shorter than detection was away.",
                "What happened on the network in this time must be found by other means, such as packets that were kept.",
            ),
        ),
        "zh-CN": Texts(
            title="传感器记录缺失",
            summary="传感器 {sensor} 编号 {first} 至 {last} 之间有 {count} 批记录未到达："
            "{since} 至 {until} 期间其中的内容未经检测。",
            expected="传感器同一次运行（{epoch}）的批次编号连续无缺。",
            observed="共 {gaps} 处缺口，{first} 至 {last} 之间缺失 {count} 批",
            next_steps=(
                "检查传感器的缓存与上行链路：缓存写满或消息代理中断超过缓存容量时会删除批次，损坏的批次会被跳过。",
                "检查数据流的保留时间是否短于检测停止的时间。",
                "这段时间内网络上发生的情况须以其他方式查明，例如已保存的数据包。",
            ),
        ),
    },
    SITE_NOT_RELOADED: {
        "en": Texts(
            title="The site's changed file is not taken over",
            summary="{path} has changed and cannot be used; the version before holds on: {reason}",
            expected="A site's file that is changed can be used.",
            observed="{reason}",
            next_steps=("Correct the file as the reason says.", "It is read again when it changes."),
        ),
        "zh-CN": Texts(
            title="现场文件的更改未被采用",
            summary="{path} 已更改但无法使用，继续沿用先前版本：{reason}",
            expected="更改后的现场文件可以使用。",
            observed="{reason}",
            next_steps=("按所述原因修改该文件。", "文件再次更改后会重新读取。"),
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
    """One alert for all that is wrong with files of rules that have changed."""
    return _alert(NOT_RELOADED, faults[0], at, len(faults))


HOUR_NS: Final = 3_600_000_000_000


def of_sensor(kind: str, run: tuple[str, str], at: int, behind_ns: int, allowed_ns: int) -> Alert:
    """An alert about the times of a sensor's records, the same within an hour.

    Args:
        kind: RECORDS_LATE or CLOCK_WENT_BACK.
        run: sensor and epoch.
        at: event time, nanoseconds since 1970.
        behind_ns: how far its records are behind.
        allowed_ns: how far they may be.
    """
    fields = {"sensor": run[0], "seconds": round(behind_ns / 1e9), "allowed": f"{allowed_ns / 1e9:g}"}
    cause = "\x1f".join((kind, *run, str(at // HOUR_NS)))
    return _told(kind, fields, cause, at, {"sensor.name": run[0]})


class Hole(NamedTuple):
    """What is missing of a run within an hour.

    Attributes:
        hour: hours since 1970, of the batch behind the first gap.
        gaps: how often the numbers jump.
        batches: how many batches are missing.
        first: number of the first that is missing.
        last: number of the last.
        since: event time at which the batch before the first gap ends, nanoseconds since 1970.
        until: event time at which the batch behind the last gap begins.
    """

    hour: int
    gaps: int
    batches: int
    first: int
    last: int
    since: int
    until: int


def batches_missing(run: tuple[str, str], hole: Hole) -> Alert:
    """An alert about batches of a sensor that did not come, the same within an hour: each further gap is a revision of it."""
    sensor, epoch = run
    fields = {
        "sensor": sensor,
        "epoch": epoch,
        "gaps": hole.gaps,
        "count": hole.batches,
        "first": hole.first,
        "last": hole.last,
        "since": moment(hole.since),
        "until": moment(hole.until),
    }
    cause = "\x1f".join((BATCHES_MISSING, *run, str(hole.hour)))
    alert = _told(BATCHES_MISSING, fields, cause, hole.since, {"sensor.name": sensor, "sensor.epoch": epoch})
    missing = {"sensor": sensor, "epoch": epoch, "first": hole.first, "last": hole.last}
    return replace(alert, revision=hole.gaps, last_seen=hole.until, body={**alert.body, "missing": missing})


def site_not_reloaded(fault: Fault, at: int) -> Alert:
    """One alert for what is wrong with a site's file that has changed."""
    return _alert(SITE_NOT_RELOADED, fault, at, 1)


def _alert(kind: str, fault: Fault, at: int, count: int) -> Alert:
    fields: dict[str, Any] = {"rule": fault.rule or "–", "path": fault.path.name, "reason": fault.text, "count": count}
    # A fault that comes back after it was corrected is another alert.
    cause = "\x1f".join((kind, fault.path.name, fault.rule, fault.text, str(at)))
    return _told(kind, fields, cause, at, {"rule.name": fault.rule})


def _told(kind: str, fields: Mapping[str, Any], cause: str, at: int, target: Mapping[str, str]) -> Alert:
    return Alert(
        id=hashlib.blake2b(cause.encode(), digest_size=16).hexdigest(),
        revision=1,
        rule=kind,
        severity=SEVERITY,
        confidence=1.0,
        rank=WEIGHT,
        first_seen=at,
        last_seen=at,
        count=int(fields.get("count", 1)),
        client_ip=None,
        server_ip=None,
        body={
            "texts": {language: written(texts, fields) for language, texts in TEXTS[kind].items()},
            "target": dict(target),
            "techniques": [],
            "technique_aliases": [],
            "records": [],
            "related": [],
            "part_of": None,
            "posture": False,
            "exception": None,
            "story": None,
            "accept": None,
        },
    )
