"""Writes a group address through a KNXnet/IP tunnel (xknx)."""

import asyncio

from xknx import XKNX
from xknx.core import XknxConnectionState
from xknx.dpt import DPTBinary
from xknx.io import ConnectionConfig, ConnectionType
from xknx.telegram import GroupAddress, Telegram
from xknx.telegram.apci import GroupValueWrite


async def write() -> None:
    """Connect, write, leave."""
    config = ConnectionConfig(connection_type=ConnectionType.TUNNELING, gateway_ip="10.99.0.2", local_ip="10.99.0.1")
    async with XKNX(connection_config=config) as knx:
        print(knx.connection_manager.state, XknxConnectionState.CONNECTED)
        await knx.telegrams.put(Telegram(GroupAddress("1/2/3"), payload=GroupValueWrite(DPTBinary(1))))
        await asyncio.sleep(1)


asyncio.run(write())
