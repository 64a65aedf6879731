"""Looks for EtherCAT slaves as a master does (SOEM); there are none."""

import pysoem

master = pysoem.Master()
master.open("port0")
print(master.config_init())
