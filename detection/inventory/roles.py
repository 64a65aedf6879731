"""What devices are for, inferred from what they do and from what they say; each role with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.inventory.addresses import Addresses

GATEWAY_UNITS: Final = 3
"""Modbus units behind one address from which on it is a gateway."""

POLLS: Final = 10
"""Equal reads from which on there is a period."""

OPERATOR_SECONDS: Final = 20.0
"""Longest period, in seconds, at which a person would still look at values; who only reads and is slower keeps them."""

ENGINEERING: Final = (20, 21, 90)
"""Modbus functions of programming tools: file records and UMAS."""

TAKING: Final = ("Read", "Publish", "HistoryRead")
"""OPC UA services that bring values."""

CHANGING: Final = ("Write", "Call")
"""OPC UA services by which a process is operated."""

SHAPING: Final = ("AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences")
"""OPC UA services that change what a server has."""

CONTROLLERS: Final = ("modbus", "s7comm", "s7comm_plus", "enip", "fins", "slmp", "ads", "codesys", "srtp")
"""Protocols that controllers answer."""

TELECONTROL: Final = ("iec104", "dnp3")
"""Protocols that remote terminal units answer."""

SAFETY: Final = r"(?i)\b(tricon(ex)?|trident|guardlogix|hima(x|trix)?|safety manager|safety controller)\b|CPU ?\d{3,4}[A-Z]*F\b"
"""Product names of safety controllers."""

SWITCH: Final = r"(?i)\bscalance x|\bhirschmann\b|\bstratix\b|\bethernet switch\b|\bcisco ie-?\d{4}\b"
"""Product names of switches: some announce themselves as no more than a station."""

SAID: Final[Mapping[str, str]] = {
    "bridge": "switch",
    "router": "router",
    "plc": "plc",
    "hmi": "hmi",
    "profinet controller": "plc",
    "profinet supervisor": "engineering_station",
    "profinet device": "io_device",
    "remote input and output": "io_device",
    "drive": "drive",
    "wireless access point": "access_point",
    "domain controller": "domain_controller",
    "safety input and output": "safety_controller",
}
"""Role of a device that says this of itself."""

DONE: Final[Mapping[str, str]] = {
    "transfers S7 blocks": "engineering_station",
    "starts or stops an S7 controller": "engineering_station",
    "S7 operator panel": "hmi",
    "IEC 104 controlling station": "control_centre",
    "IEC 104 controlled station": "rtu",
    "DNP3 master": "control_centre",
    "DNP3 outstation": "rtu",
}
"""Role of a device whose messages are those of one (what sources of facts call it)."""

PUBLISHED: Final = ("goose", "sv")
"""Protocols by which devices of substations publish."""

CYCLIC_PORT: Final = 2222
"""UDP port of cyclic data of EtherNet/IP (CIP Networks Library volume 2, 2-5)."""

REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "server": "answers {}",
        "rtu": "answers telecontrol: {}",
        "gateway": "answers Modbus requests to {} units",
        "operator": "reads from {} server(s) every {} s",
        "keeper": "only reads, from {} server(s) every {} s",
        "tool": "uses functions of programming tools ({}) on {} server(s)",
        "writer": "writes to {} server(s) without reading regularly",
        "taker": "only takes values, from {} server(s), by {}",
        "acting": "takes values, by {}, and writes or calls methods on {} server(s)",
        "changer": "writes or calls methods on {} server(s) without taking values regularly",
        "shaper": "changes what {} server(s) have ({})",
        "client": "asks {} server(s) in {}",
        "routes": "sends for {} addresses that are not its own",
        "said": "says that it is one: {} ({})",
        "product": "its product is one: {}",
        "done": "its messages are those of one: {} ({})",
        "cyclic": "exchanges cyclic data with {} device(s) to which it connected in EtherNet/IP",
        "publishes": "publishes {}",
    },
    "zh-CN": {
        "server": "应答 {}",
        "rtu": "应答远动协议：{}",
        "gateway": "应答发往 {} 个单元的 Modbus 请求",
        "operator": "从 {} 个服务器读取，周期 {} 秒",
        "keeper": "只读取：{} 个服务器，周期 {} 秒",
        "tool": "使用编程工具的功能（{}），涉及 {} 个服务器",
        "writer": "写入 {} 个服务器，但不周期性读取",
        "taker": "只获取数值：{} 个服务器，通过 {}",
        "acting": "通过 {} 获取数值，并对 {} 个服务器写入或调用方法",
        "changer": "对 {} 个服务器写入或调用方法，但不周期性获取数值",
        "shaper": "修改 {} 个服务器的节点（{}）",
        "client": "访问 {} 个服务器，协议 {}",
        "routes": "转发 {} 个不属于自己的地址",
        "said": "自述：{}（{}）",
        "product": "产品型号：{}",
        "done": "其报文具有该角色的特征：{}（{}）",
        "cyclic": "通过 EtherNet/IP 连接 {} 个设备并与之交换周期数据",
        "publishes": "发布 {}",
    },
}
"""Why a role is inferred, by language; the places take what was seen."""


def roles(records: Mapping[str, pl.DataFrame], facts: pl.DataFrame, addresses: Addresses, language: str) -> pl.DataFrame:
    """All roles that something speaks for: device, role, confidence, reason.

    `records` has tables flow, modbus and opcua; `facts` is what devices said of themselves, each placed. A role for which several
    things speak is told once, with the surest.
    """
    reasons, flow = REASONS[language], records["flow"]
    conversations = _placed(
        flow.filter((pl.col("flow.packets_in") > 0) & (pl.col("network.transport").cast(pl.String) != "ethernet")), addresses
    ).with_columns(application=pl.col("network.application").cast(pl.String))
    requests = _placed(records["modbus"], addresses)
    dialogues = conversations.filter(~_is_cyclic())
    found = pl.concat(
        [
            *_servers(dialogues, requests, reasons),
            *_clients(dialogues, requests, reasons),
            *_opcua_clients(_placed(records["opcua"], addresses), reasons),
            _routers(addresses, reasons),
            _said(facts, reasons),
            _products(facts, reasons),
            _scanners(conversations, reasons),
            _publishers(flow, addresses, reasons),
        ]
    )
    return found.sort("confidence", descending=True).unique(["device", "role"], keep="first", maintain_order=True)


def _placed(rows: pl.DataFrame, addresses: Addresses) -> pl.DataFrame:
    """The rows with columns `client` and `server`: their devices."""
    owners = addresses.owners
    sides = rows.with_columns(pl.col("client.ip").cast(pl.String), pl.col("server.ip").cast(pl.String))
    return sides.join(owners.rename({"node": "client.ip", "device": "client"}), on="client.ip", how="left").join(
        owners.rename({"node": "server.ip", "device": "server"}), on="server.ip", how="left"
    )


def _role(rows: pl.DataFrame, role: str | pl.Expr, confidence: float, reason: str, *seen: str | pl.Expr) -> pl.DataFrame:
    """device, role, confidence, reason for the devices of these rows."""
    named = pl.lit(role) if isinstance(role, str) else role
    return rows.select("device", role=named.cast(pl.String), confidence=pl.lit(confidence), reason=pl.format(reason, *seen))


def _servers(conversations: pl.DataFrame, requests: pl.DataFrame, reasons: Mapping[str, str]) -> list[pl.DataFrame]:
    # Who takes a connection and says nothing on it answers nothing.
    answered = conversations.filter(pl.col("server").is_not_null() & (pl.col("flow.bytes_in") > 0)).rename({"server": "device"})
    # Exceptions 10 and 11 are a gateway's own: the unit behind it did not answer.
    by_unit = (
        requests.filter(
            pl.col("server").is_not_null()
            & pl.col("modbus.pairing").cast(pl.String).is_in(["both", "response"])
            & ~pl.col("modbus.exception_code").is_in([10, 11]).fill_null(value=False)
            & ~pl.col("modbus.unit_id").is_in([0, 255])
        )
        .group_by(device="server")
        .agg(units=pl.col("modbus.unit_id").n_unique())
    )
    controlling = (
        answered.filter(pl.col("application").is_in(CONTROLLERS))
        .group_by("device")
        .agg(pl.col("application").unique().sort().str.join(", "))
    )
    remote = (
        answered.filter(pl.col("application").is_in(TELECONTROL))
        .group_by("device")
        .agg(pl.col("application").unique().sort().str.join(", "))
    )
    gateways = by_unit.filter(pl.col("units") >= GATEWAY_UNITS)
    plcs = controlling.join(gateways, on="device", how="anti")
    opcua = answered.filter(pl.col("application") == "opcua").unique("device")
    return [
        _role(plcs, "plc", 0.6, reasons["server"], "application"),
        _role(remote, "rtu", 0.7, reasons["rtu"], "application"),
        _role(gateways, "gateway", 0.8, reasons["gateway"], "units"),
        _role(opcua, "opcua_server", 0.9, reasons["server"], pl.lit("OPC UA")),
    ]


def _clients(conversations: pl.DataFrame, requests: pl.DataFrame, reasons: Mapping[str, str]) -> list[pl.DataFrame]:
    asked = requests.filter(pl.col("client").is_not_null() & pl.col("modbus.pairing").cast(pl.String).is_in(["both", "request"]))
    access = pl.col("modbus.access").cast(pl.String)
    code = pl.col("modbus.function_code")
    writes = access.is_in(["write", "read_write"])
    clients = asked.group_by(device="client").agg(
        servers=pl.col("server").n_unique(),
        written=pl.col("server").filter(writes).n_unique(),
        tooled=pl.col("server").filter(code.is_in(ENGINEERING)).n_unique(),
        tools=code.filter(code.is_in(ENGINEERING)).unique().sort().cast(pl.String).str.join(", "),
    )
    same = ["client", "server", "modbus.unit_id", "modbus.function_code", "modbus.address"]
    periods = (
        asked.filter(access == "read")
        .sort("ts")
        .group_by(same)
        .agg(count=pl.len(), period=pl.col("ts").diff().median().dt.total_milliseconds() / 1_000)
        .filter(pl.col("count") >= POLLS)
        .group_by(device="client")
        .agg(pl.col("period").median(), polled=pl.col("server").n_unique())
        .with_columns(pl.col("period").round(1))
    )
    clients = clients.join(periods, on="device", how="left")
    polls, is_slow = pl.col("period").is_not_null(), pl.col("period") > OPERATOR_SECONDS
    tools = pl.col("tooled") > 0
    others = (
        conversations.filter(
            pl.col("client").is_not_null()
            & pl.col("application").is_in([*CONTROLLERS, *TELECONTROL])
            & (pl.col("application") != "modbus")
        )
        .group_by(device="client")
        .agg(servers=pl.col("server").n_unique(), application=pl.col("application").unique().sort().str.join(", "))
    )
    opcua = (
        conversations.filter(pl.col("client").is_not_null() & (pl.col("application") == "opcua"))
        .group_by(device="client")
        .agg(servers=pl.col("server").n_unique())
    )
    operators = clients.filter(polls & ~tools & (~is_slow | (pl.col("written") > 0)))
    keepers = clients.filter(polls & ~tools & is_slow & (pl.col("written") == 0))
    writers = clients.filter(~polls & ~tools & (pl.col("written") > 0))
    return [
        _role(operators, "hmi", 0.6, reasons["operator"], "polled", "period"),
        _role(keepers, "historian", 0.6, reasons["keeper"], "polled", "period"),
        _role(clients.filter(tools), "engineering_station", 0.8, reasons["tool"], "tools", "tooled"),
        _role(writers, "engineering_station", 0.5, reasons["writer"], "written"),
        _role(others, "control_client", 0.4, reasons["client"], "servers", "application"),
        _role(opcua, "opcua_client", 0.4, reasons["client"], "servers", pl.lit("OPC UA")),
    ]


def _opcua_clients(calls: pl.DataFrame, reasons: Mapping[str, str]) -> list[pl.DataFrame]:
    """What clients of OPC UA are for, by the services that they call; what encryption hides tells nothing."""
    service, server = pl.col("opcua.service").cast(pl.String), pl.col("server")
    clients = (
        calls.filter(pl.col("client").is_not_null())
        .group_by(device="client")
        .agg(
            taken=service.is_in(TAKING).sum(),
            asked=server.filter(service.is_in(TAKING)).n_unique(),
            by=service.filter(service.is_in(TAKING)).unique().sort().str.join(", "),
            changed=server.filter(service.is_in(CHANGING)).n_unique(),
            shaped=server.filter(service.is_in(SHAPING)).n_unique(),
            shapes=service.filter(service.is_in(SHAPING)).unique().sort().str.join(", "),
        )
    )
    takes, changes, shapes = pl.col("taken") >= POLLS, pl.col("changed") > 0, pl.col("shaped") > 0
    return [
        _role(clients.filter(shapes), "engineering_station", 0.7, reasons["shaper"], "shaped", "shapes"),
        _role(clients.filter(takes & changes & ~shapes), "hmi", 0.6, reasons["acting"], "by", "changed"),
        _role(clients.filter(takes & ~changes & ~shapes), "historian", 0.5, reasons["taker"], "asked", "by"),
        _role(clients.filter(~takes & changes & ~shapes), "engineering_station", 0.45, reasons["changer"], "changed"),
    ]


def _routers(addresses: Addresses, reasons: Mapping[str, str]) -> pl.DataFrame:
    return _role(addresses.routers.filter(pl.col("carried") >= 2), "router", 0.8, reasons["routes"], "carried")


def _said(facts: pl.DataFrame, reasons: Mapping[str, str]) -> pl.DataFrame:
    found: list[pl.DataFrame] = []
    for words, reason in ((SAID, "said"), (DONE, "done")):
        said = facts.filter((pl.col("attribute") == "role") & pl.col("value").is_in(list(words)))
        role = pl.col("value").replace_strict(words, return_dtype=pl.String)
        told = pl.format(reasons[reason], "value", "source")
        found.append(said.select("device", role=role, confidence="confidence", reason=told))
    return pl.concat(found)


def _products(facts: pl.DataFrame, reasons: Mapping[str, str]) -> pl.DataFrame:
    """Roles that the name of a product tells."""
    products = facts.filter(pl.col("attribute") == "product")
    families = {"safety_controller": SAFETY, "switch": SWITCH}
    return pl.concat(
        [
            _role(products.filter(pl.col("value").str.contains(name)), role, 0.7, reasons["product"], "value")
            for role, name in families.items()
        ]
    )


def _is_cyclic() -> pl.Expr:
    """Whether a conversation is cyclic data of EtherNet/IP, in which nobody asks and nobody answers."""
    has_port = (pl.col("client.port") == CYCLIC_PORT) | (pl.col("server.port") == CYCLIC_PORT)
    return (pl.col("network.transport").cast(pl.String) == "udp") & has_port


def _scanners(conversations: pl.DataFrame, reasons: Mapping[str, str]) -> pl.DataFrame:
    """Who exchanges cyclic data with devices to which it connected itself: a controller with its inputs and outputs."""
    enip = conversations.filter(pl.col("application") == "enip").drop_nulls(["client", "server"])
    cyclic = enip.filter(_is_cyclic()).select("client", "server")
    asked = enip.filter(~_is_cyclic()).select("client", "server").unique()
    both = pl.concat([cyclic, cyclic.select(client="server", server="client")]).unique()
    scanned = asked.join(both, on=["client", "server"])
    scanners = scanned.group_by(device="client").agg(servers=pl.col("server").n_unique())
    return _role(scanners, "plc", 0.6, reasons["cyclic"], "servers")


def _publishers(flow: pl.DataFrame, addresses: Addresses, reasons: Mapping[str, str]) -> pl.DataFrame:
    """Who publishes events and samples of IEC 61850: protection relays, bay controllers, merging units."""
    application = pl.col("network.application").cast(pl.String)
    sent = flow.filter(application.is_in(PUBLISHED)).select(node=pl.col("client.mac").cast(pl.String), word=application)
    placed = sent.join(addresses.owners, on="node")
    by_device = placed.group_by("device").agg(pl.col("word").unique().sort().str.join(", "))
    return _role(by_device, "ied", 0.6, reasons["publishes"], "word")
