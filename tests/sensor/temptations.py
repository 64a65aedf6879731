"""Frames that a system answers, or speaks after, on an interface that is not kept silent: ARP, neighbours, MLD, IGMP, echo.

They are sent to the interface's hardware address and to everybody, and ask for the interface's own addresses, for one that the
system has on another interface (Linux answers for it unless it is told not to), and for one that is nobody's.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils6 import in6_getnsma, in6_getnsmac

ASKER_MAC: Final = "02:00:00:00:be:ef"
ASKER: Final = "192.0.2.77"
ASKER6: Final = "fe80::beef"
NOBODY: Final = "192.0.2.250"
ALL_NODES: Final = ("33:33:00:00:00:01", "ff02::1")
QUICK_MS: Final = 100
"""Within this time a listener has to report what it listens to."""


def link_local(mac: str) -> str:
    """The address that an interface gives itself (RFC 4291, appendix A)."""
    first, *rest = (int(part, 16) for part in mac.split(":"))
    a, b, c, d, e, f = (first ^ 2, *rest)
    return f"fe80::{a:02x}{b:02x}:{c:02x}ff:fe{d:02x}:{e:02x}{f:02x}"


def frames(mac: str, addresses: tuple[str, ...] = ()) -> dict[str, bytes]:
    """One of each by name, for an interface with this hardware address; `addresses` are those of IPv4 that its system has."""
    made: dict[str, Any] = {}
    everybody = "ff:ff:ff:ff:ff:ff"
    for address in (*addresses, NOBODY):
        for receiver in (everybody, mac):
            asked = ARP(op="who-has", hwsrc=ASKER_MAC, psrc=ASKER, pdst=address)
            made[f"ARP for {address} to {receiver}"] = Ether(src=ASKER_MAC, dst=receiver) / asked
        to_it: Any = Ether(src=ASKER_MAC, dst=mac) / IP(src=ASKER, dst=address)
        made[f"echo to {address}"] = to_it / ICMP() / Raw(b"icsight" * 8)
        made[f"SYN to {address}"] = to_it / TCP(sport=40_000, dport=9, flags="S")
        made[f"datagram to {address}"] = to_it / UDP(sport=40_000, dport=9) / Raw(b"anybody?")
    made["echo to everybody"] = Ether(src=ASKER_MAC, dst=everybody) / IP(src=ASKER, dst="255.255.255.255") / ICMP()
    igmp_query = bytes.fromhex("1101eefe00000000")  # membership query, RFC 2236, 2, to be answered within 100 ms
    made["IGMP query"] = (
        Ether(src=ASKER_MAC, dst="01:00:5e:00:00:01") / IP(src=ASKER, dst="224.0.0.1", proto=2, ttl=1) / Raw(igmp_query)
    )
    own = link_local(mac)
    for address in (own, "fe80::dead"):
        multicast = in6_getnsma(IPv6Address(address).packed)
        solicited = {"src": ASKER6, "dst": str(IPv6Address(multicast)), "hlim": 255}
        made[f"neighbour solicitation for {address}"] = (
            Ether(src=ASKER_MAC, dst=in6_getnsmac(multicast))
            / IPv6(**solicited)
            / ICMPv6ND_NS(tgt=address)
            / ICMPv6NDOptSrcLLAddr(lladdr=ASKER_MAC)
        )
    six: Any = Ether(src=ASKER_MAC, dst=ALL_NODES[0]) / IPv6(src=ASKER6, dst=ALL_NODES[1], hlim=255)
    made["router advertisement"] = (
        six / ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=ASKER_MAC) / ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
    )
    alert: Any = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    once: Any = Ether(src=ASKER_MAC, dst=ALL_NODES[0]) / IPv6(src=ASKER6, dst=ALL_NODES[1], hlim=1)
    made["MLD query, version 1"] = once / alert / ICMPv6MLQuery(mrd=QUICK_MS)
    made["MLD query, version 2"] = once / alert / ICMPv6MLQuery2(mrd=QUICK_MS)
    made["IPv6 echo to all nodes"] = six / ICMPv6EchoRequest(data=b"icsight")
    made["IPv6 echo to its own address"] = (
        Ether(src=ASKER_MAC, dst=mac) / IPv6(src=ASKER6, dst=own) / ICMPv6EchoRequest(data=b"icsight")
    )
    return {name: bytes(frame) for name, frame in made.items()}
