"""`s7.py serve|program|operate`: a controller, a programming device and an operator panel of S7 (python-snap7)."""

import sys
import time

import snap7
from snap7.type import SrvArea

ADDRESS = "10.99.0.2"


def serve() -> None:
    """Answer until killed."""
    server = snap7.server.Server()
    server.register_area(SrvArea.DB, 1, bytearray(64))
    server.start(102)
    while True:
        time.sleep(1)


def program() -> None:
    """Look who it is, upload a block, stop the controller and start it again."""
    client = snap7.client.Client()
    client.connect(ADDRESS, 0, 2)
    for action in (client.get_cpu_info, lambda: client.full_upload("DB", 1), client.plc_stop, client.plc_hot_start):
        try:
            print(action())
        except Exception as error:  # noqa: BLE001 - a simulated controller may refuse
            print("refused", error)
    client.disconnect()


def operate() -> None:
    """Read and write values over an operator panel's connection."""
    client = snap7.client.Client()
    client.set_connection_type(2)
    client.connect(ADDRESS, 0, 2)
    for value in range(5):
        client.db_write(1, 0, bytearray([value]))
        print(client.db_read(1, 0, 8))
        time.sleep(0.2)
    client.disconnect()


{"serve": serve, "program": program, "operate": operate}[sys.argv[1]]()
