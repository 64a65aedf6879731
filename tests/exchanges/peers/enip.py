"""Asks an EtherNet/IP controller who it is, and for a tag (pycomm3)."""

import pycomm3

print(pycomm3.CIPDriver.list_identity("10.99.0.2"))
with pycomm3.LogixDriver("10.99.0.2", init_tags=False, init_program_tags=False) as controller:
    print(controller.read("LEVEL"))
