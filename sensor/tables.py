"""The record tables: the contract that everything downstream reads.

Each table is declared here once. The packet core builds its Arrow schemas to match (a test compares them), and the field list of
the command line, the rule check, the stores and the documentation are derived from these declarations.

Names follow the Elastic Common Schema where it has a name. Modbus addresses are the protocol's own and start at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor import opcua_tables
from sensor.columns import COMMON, STRUCTURES, Column, Kind, Table, polars_type

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "APPLICATIONS",
    "BATCH_BYTES",
    "BATCH_ROWS",
    "COMMON",
    "LOCAL_SENSOR",
    "METADATA",
    "MODBUS_EXCEPTIONS",
    "MODBUS_FUNCTIONS",
    "SCHEMA_VERSION",
    "STRUCTURES",
    "TABLES",
    "Column",
    "Kind",
    "Table",
    "polars_type",
]

SCHEMA_VERSION: Final = 1
"""Version of the tables below. It rises when a column changes its meaning or type; a new column does not raise it."""

BATCH_ROWS: Final = 65_536
"""Most rows in a batch."""

BATCH_BYTES: Final = 8 * 1024 * 1024
"""Most uncompressed bytes in a batch."""

LOCAL_SENSOR: Final = "local"
"""Name of the sensor that reads captures on this machine, unless it is given another."""

APPLICATIONS: Final = (
    "modbus", "opcua", "s7comm", "s7comm_plus", "mms", "iec104", "dnp3", "enip", "bacnet", "profinet_dcp", "profinet_rt",
    "profinet_cm", "goose", "sv", "synchrophasor", "hart_ip", "fins", "slmp", "ads", "codesys", "srtp", "fox", "ethercat",
    "powerlink", "knx", "mqtt", "opc_classic", "mrp", "ptp", "http", "tls", "ssh", "dcerpc", "smb", "ftp", "telnet", "smtp",
    "dns", "mdns", "llmnr", "netbios_ns", "netbios_dgm", "ntp", "snmp", "dhcp", "tftp", "syslog", "ssdp", "rdp", "vnc", "lldp",
    "cdp",
)  # fmt: skip
"""Protocols that the sensor names, by content first and port second."""

MODBUS_FUNCTIONS: Final = {
    1: "read_coils",
    2: "read_discrete_inputs",
    3: "read_holding_registers",
    4: "read_input_registers",
    5: "write_single_coil",
    6: "write_single_register",
    7: "read_exception_status",
    8: "diagnostics",
    11: "get_comm_event_counter",
    12: "get_comm_event_log",
    15: "write_multiple_coils",
    16: "write_multiple_registers",
    17: "report_server_id",
    20: "read_file_record",
    21: "write_file_record",
    22: "mask_write_register",
    23: "read_write_multiple_registers",
    24: "read_fifo_queue",
    43: "encapsulated_interface_transport",
    90: "umas",
}
"""Function codes with a name (Modbus Application Protocol V1.1b3, 5.1; 90 is Schneider's UMAS)."""

MODBUS_EXCEPTIONS: Final = {
    1: "illegal_function",
    2: "illegal_data_address",
    3: "illegal_data_value",
    4: "server_device_failure",
    5: "acknowledge",
    6: "server_device_busy",
    7: "negative_acknowledge",
    8: "memory_parity_error",
    10: "gateway_path_unavailable",
    11: "gateway_target_device_failed_to_respond",
}
"""Exception codes (Modbus Application Protocol V1.1b3, 7; 7 from the earlier PI-MBUS-300)."""

_FLOW = (
    Column(
        "network.transport",
        "choice",
        "transport protocol; ethernet: frames of a protocol without addresses of a network, client.ip and server.ip are null",
        nullable=False,
        values=("tcp", "udp", "ethernet"),
    ),
    Column("network.application", "choice", "protocol by content first, port second; null: not known", values=APPLICATIONS),
    Column("flow.bytes_out", "u64", "payload bytes from client to server, retransmissions not counted", nullable=False),
    Column("flow.bytes_in", "u64", "payload bytes from server to client", nullable=False),
    Column("flow.packets_out", "u64", "packets from client to server", nullable=False),
    Column("flow.packets_in", "u64", "packets from server to client", nullable=False),
    Column(
        "flow.state",
        "choice",
        "attempt: opening unanswered; refused: opening answered by reset; half_open: answered, handshake never completed; "
        "established: handshake seen; midstream: already running when first seen; one_sided: only one direction seen; "
        "closed: ended in order; reset: ended by reset; expired: ended by silence; datagrams: UDP, and frames of Ethernet",
        nullable=False,
        values=(
            "attempt", "refused", "half_open", "established", "midstream", "one_sided", "closed", "reset", "expired", "datagrams",
        ),
    ),
    Column("flow.retransmissions", "u32", "segments whose bytes had all been seen before", nullable=False),
    Column("flow.gaps", "u32", "holes in the stream that were never filled", nullable=False),
    Column("flow.duration", "duration", "first to last packet so far", nullable=False),
    Column("flow.final", "bool", "true on the last row of a conversation, false on its state each minute", nullable=False),
    Column("tls.server_name", "name", "server that the client of a TLS connection asks for (RFC 6066, 3)"),
)  # fmt: skip

_MODBUS = (
    Column("modbus.transaction_id", "u16", "transaction identifier of the MBAP header; null in RTU framing"),
    Column("modbus.unit_id", "u8", "unit identifier", nullable=False),
    Column("modbus.function_code", "u8", "function code, exception bit removed", nullable=False),
    Column(
        "modbus.function",
        "choice",
        "name of the function; user_defined for 65-72 and 100-110, reserved for the rest",
        nullable=False,
        values=(*MODBUS_FUNCTIONS.values(), "user_defined", "reserved"),
    ),
    Column("modbus.sub_function", "u16", "diagnostics sub-function (FC 8), UMAS function (FC 90)"),
    Column(
        "modbus.access",
        "choice",
        "what the request does to the device",
        nullable=False,
        values=("read", "write", "read_write", "diagnostic", "other"),
    ),
    Column("modbus.address", "u16", "first address read or written, from 0; FIFO pointer (FC 24)"),
    Column("modbus.quantity", "u16", "number of coils, inputs or registers"),
    Column("modbus.values", "list<u16>", "values read or written at `address`; bits as 0 and 1; status words of FC 7, 8, 11, 12"),
    Column("modbus.write_address", "u16", "first address written (FC 23)"),
    Column("modbus.write_quantity", "u16", "number of registers written (FC 23)"),
    Column("modbus.write_values", "list<u16>", "values written (FC 23)"),
    Column("modbus.and_mask", "u16", "AND mask (FC 22)"),
    Column("modbus.or_mask", "u16", "OR mask (FC 22)"),
    Column("modbus.file_records", "list<file_record>", "file records read or written (FC 20, 21)"),
    Column("modbus.mei_type", "u8", "type of encapsulated interface (FC 43): 13 CANopen, 14 device identification"),
    Column("modbus.device_id", "list<device_object>", "identification objects answered (FC 43/14)"),
    Column(
        "modbus.data",
        "binary",
        "what no other column holds: event log, server id, UMAS and user-defined bodies, request bytes first",
    ),
    Column("modbus.exception_code", "u8", "exception code of the answer"),
    Column(
        "modbus.exception",
        "choice",
        "name of the exception; other for a code without a name",
        values=(*MODBUS_EXCEPTIONS.values(), "other"),
    ),
    Column("modbus.response_time", "duration", "end of the request to the start of its response"),
    Column(
        "modbus.pairing",
        "choice",
        "both: request and response; request: no response was seen; response: no request was seen",
        nullable=False,
        values=("both", "request", "response"),
    ),
    Column(
        "modbus.encapsulation",
        "choice",
        "framing on the wire",
        nullable=False,
        values=("tcp", "rtu_over_tcp", "udp"),
    ),
    Column("modbus.bytes", "u32", "bytes of the request's and the response's application data units", nullable=False),
)

_POINT = (
    Column(
        "point.id",
        "name",
        "kind:address@unit for Modbus, as in holding:100@1; node identifier for OPC UA, as in ns=2;s=Tank.Level; "
        "publisher/writer/field for PubSub",
        nullable=False,
    ),
    Column("point.name", "name", "name of an OPC UA node or of a PubSub field, if it was seen"),
    Column("point.number", "f64", "the value", nullable=False),
    Column("point.access", "choice", "how it was seen", nullable=False, values=("read", "write", "notify")),
    Column("point.quality", "choice", "quality that the protocol tells", nullable=False, values=("good", "uncertain", "bad")),
    Column("network.protocol", "choice", "protocol that carried it", nullable=False, values=("modbus", "opcua")),
)

_DEVICE = (
    Column("device.mac", "name", "hardware address of the device"),
    Column("device.ip", "name", "address of the device"),
    Column(
        "device.attribute",
        "choice",
        "what was learned",
        nullable=False,
        values=("vendor", "product", "version", "serial", "name", "role", "protocol", "os", "address", "fingerprint"),
    ),
    Column("device.value", "name", "the attribute's value as the device gave it", nullable=False),
    Column(
        "device.source",
        "name",
        "where it was seen: modbus fc 17, modbus fc 43/14, modbus umas, opcua build info, opcua application description, "
        "mac address, traffic, arp, ndp, lldp, cdp, profinet dcp, profinet connect, enip list identity, s7 szl, s7 connection, "
        "s7 function, iec104 unit, dnp3 link, bacnet, dhcp, dhcpv6, http, ftp, ssh, telnet, tls certificate, tls handshake, mdns,"
        " netbios name, netbios datagram, snmp, tcp stack (its fingerprint is written as p0f 3 writes signatures)",
        nullable=False,
    ),
    Column(
        "device.confidence",
        "f64",
        "how far a value of this source is to be trusted where sources differ, from 0 to 1: 0.9 what a device answers when it is "
        "asked who it is, 0.8 what it announces, 0.6 what software says in passing, 0.5 the card's maker, 0.4 a conclusion, "
        "0.3 the manners of a TCP stack, which many share",
        nullable=False,
    ),
)

_VIOLATION = (
    Column(
        "violation.layer",
        "choice",
        "layer of the broken rule",
        nullable=False,
        values=("capture", "link", "network", "transport", "application"),
    ),
    Column("violation.kind", "name", "what is broken, stable snake case", nullable=False),
    Column("violation.clause", "name", "document and clause that says so", nullable=False),
    Column("violation.detail", "text", "what was expected and what was seen", nullable=False),
    Column("violation.bytes", "binary", "the offending bytes, at most 64", nullable=False),
    Column("network.protocol", "name", "protocol that is broken: modbus, tcp, ip, arp, ndp, …", nullable=False),
)

_SENSOR = (
    Column("sensor.packets", "u64", "packets taken in since the start", nullable=False),
    Column("sensor.bytes", "u64", "bytes on the wire of these packets", nullable=False),
    Column("sensor.drops", "list<counter>", "what was not used, by cause, since the start", nullable=False),
    Column("sensor.flows", "u32", "conversations held now", nullable=False),
    Column("sensor.memory", "u64", "bytes held now in the packet core's buffers and tables", nullable=False),
    Column("sensor.spool_depth", "u64", "batches in the spool not yet shipped; null for a capture file"),
    Column("sensor.clock_offset", "duration", "sensor clock minus packet clock; null for a capture file"),
    Column(
        "sensor.bytes_written",
        "u64",
        "bytes written to the disk since the start, by the spool and the ring of packets; null for a capture file",
    ),
    Column("sensor.version", "name", "version of the packet core", nullable=False),
)

TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table("flow", "a conversation at its end, and its state each minute", COMMON + _FLOW),
        Table("modbus", "one request with its response", COMMON + _MODBUS),
        Table("opcua", "one OPC UA service call with its response, or one transport message", COMMON + opcua_tables.CALL),
        Table("opcua_item", "one operand of an OPC UA service call", COMMON + opcua_tables.ITEM),
        Table("pubsub", "one OPC UA PubSub message: a data set, or a network message without one", COMMON + opcua_tables.PUBSUB),
        Table("point", "an observed value of a process point: when it changes, and once a minute", COMMON + _POINT),
        Table("device", "something seen about a device: when it is first seen, and when it changes", COMMON + _DEVICE),
        Table("violation", "something that breaks a protocol or the network's order", COMMON + _VIOLATION),
        Table("sensor", "a sensor's state every 10 s", COMMON + _SENSOR),
    )
}
"""All record tables by name, in the order in which a cut writes them."""

METADATA: Final[Mapping[str, str]] = {
    "icsight.table": "name of the table",
    "icsight.schema": "SCHEMA_VERSION that wrote it",
    "icsight.site": "site the sensor belongs to",
    "icsight.sensor": "name of the sensor",
    "icsight.epoch": "32 hexadecimal digits: BLAKE3 of a capture file's content, or random for a live source",
    "icsight.sequence": "number of the batch within (sensor, epoch), from 0, without gaps, over all tables",
    "icsight.cut": "number of the cut within (sensor, epoch), rising: the batches of one cut cover the same packets",
    "icsight.cut_start": "packet clock at the end of the cut before, nanoseconds since 1970",
    "icsight.cut_end": "packet clock at the end of this cut: highest packet time so far, nanoseconds since 1970",
    "icsight.cut_last": "1 on the last batch of a cut, otherwise 0",
}
"""Schema metadata of every batch: key → meaning. Values are text."""
