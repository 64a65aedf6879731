"""Asks an Omron controller for its memory (fins); nobody answers."""

import fins.udp

client = fins.udp.UDPFinsConnection()
client.connect("10.99.0.2", 9600)
client.memory_area_read(b"\x82", b"\x00\x64\x00", 4)
