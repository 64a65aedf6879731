"""`iec104.py serve|control`: a controlled and a controlling station of IEC 60870-5-104 (c104)."""

import sys
import time

import c104


def serve() -> None:
    """Answer until killed."""
    server = c104.Server(ip="10.99.0.2", port=2404)
    station = server.add_station(common_address=47)
    point = station.add_point(io_address=11, type=c104.Type.M_ME_NC_1)
    station.add_point(io_address=12, type=c104.Type.C_RC_TA_1)
    point.value = 12.5
    server.start()
    while True:
        time.sleep(1)


def control() -> None:
    """Connect, interrogate, leave."""
    client = c104.Client()
    connection = client.add_connection(ip="10.99.0.2", port=2404)
    station = connection.add_station(common_address=47)
    station.add_point(io_address=11, type=c104.Type.M_ME_NC_1)
    client.start()
    while not connection.is_connected:
        time.sleep(0.1)
    connection.unmute()
    connection.interrogation(common_address=47)
    time.sleep(1)
    client.stop()


{"serve": serve, "control": control}[sys.argv[1]]()
