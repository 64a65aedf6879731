"""Asks a Mitsubishi controller for words (pymcprotocol); nobody answers."""

import pymcprotocol

client = pymcprotocol.Type3E()
client.soc_timeout = 1
client.connect("10.99.0.2", 5007)
client.batchread_wordunits("D100", 4)
