"""What a sensor counts of that which it did not use: the names in column `sensor.drops`.

The packet core and the recorder give the names; a test holds them against their source. A counter that is 0 is not in the column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DROPS: Final[Mapping[str, str]] = {
    "packet_truncated": "packets too short for their headers",
    "packet_malformed": "headers whose fields contradict one another",
    "packet_nested": "packets nested too deep",
    "link_unknown": "packets of a link type that is not known",
    "network_other": "frames of a network protocol that is not looked at",
    "transport_other": "packets of a transport protocol that is not looked at",
    "fragments_seen": "fragments held or put together",
    "fragments_evicted": "datagrams given up because too many were incomplete",
    "fragments_expired": "datagrams that stayed incomplete",
    "fragments_scattered": "datagrams given up because they came in too many pieces",
    "fragments_refused": "fragments that break the rules, or that the snap length cut",
    "stream_gap_bytes": "bytes of streams that were never seen",
    "stream_buffer_full": "holes declared because a buffer was full",
    "conversation_buffer_full": "holes declared because one conversation held its share of the buffers",
    "segment_out_of_window": "segments far from the place where their stream is",
    "segment_after_gap_bytes": "bytes that came after they had been given up",
    "reset_out_of_window": "resets far from the place where their stream is",
    "syn_ignored": "openings inside an established connection",
    "flow_evicted": "conversations ended before their time to make room",
    "datagram_cut": "datagrams that the snap length cut",
    "modbus_skipped_bytes": "bytes skipped while looking for the next Modbus message",
    "modbus_pending_overflow": "Modbus requests recorded without their answer because too many waited",
    "opcua_skipped_bytes": "bytes skipped while looking for the next OPC UA message",
    "opcua_long_chunk_bytes": "bytes at the ends of OPC UA chunks that are longer than what is kept of one",
    "opcua_pending_overflow": "OPC UA requests recorded without their answer because too many waited",
    "opcua_incomplete": "OPC UA messages given up because their next chunk did not come, or too much was incomplete",
    "opcua_monitored_overflow": "monitored items of OPC UA servers forgotten or not taken in for want of room",
    "pubsub_raw_fields": "OPC UA data sets whose raw fields were not read: their metadata was not announced, or does not fit",
    "pubsub_incomplete": "OPC UA PubSub messages given up because chunks did not come, or too much was incomplete",
    "pubsub_not_decoded": "OPC UA PubSub messages of which only headers are read",
    "pubsub_metadata_overflow": "announced metadata of OPC UA data sets not taken in because it is too large",
    "opcua_forgotten": "names, points, definitions and data sets of OPC UA forgotten to make room for others",
    "points_overflow": "last values of Modbus points forgotten to make room: they are recorded anew when they are seen again",
    "devices_overflow": "facts of devices forgotten to make room: they are recorded anew when they are seen again",
    "fingerprints_limited": "fingerprints not recorded because their device had shown many others",
    "violations_limited": "violations not recorded because a conversation made too many",
    "neighbours_forgotten": "hardware addresses forgotten to make room",
    "packets_not_kept": "packets that are in the records and not in the ring of packets",
    "spool_values": "bulk values dropped from the spool for want of room",
    "spool_reads": "reads dropped from the spool for want of room",
    "spool_records": "records of any kind dropped from the spool for want of room, the oldest first",
    "spool_expired": "records removed from the spool because of their age",
    "spool_waits": "times that the spool took nothing for a while, because the disk was full, read-only or failing",
    "control_refused": "requests from outside that could not be followed",
    "capture_dropped": "packets of an interface that were lost because the sensor was too slow",
    "capture_frozen": "times that the ring of an interface was full",
    "interface_away": "times that an interface was away",
}
"""Names of the counters, and what each counts.

The last three stand in the column once for each interface, with its name behind a colon.
"""

LOSSES: Final = (
    "fragments_evicted",
    "stream_buffer_full",
    "conversation_buffer_full",
    "flow_evicted",
    "opcua_incomplete",
    "opcua_monitored_overflow",
    "pubsub_metadata_overflow",
    "violations_limited",
    "neighbours_forgotten",
    "spool_values",
    "spool_reads",
    "spool_records",
    "capture_dropped",
)
"""Counters that rise when a bound of the sensor bites, so that something that was on the wire is not in the records."""
