"""Looks at a screen (asyncvnc)."""

import asyncio

import asyncvnc


async def look() -> None:
    """Connect and leave."""
    async with asyncvnc.connect("10.99.0.2", 5907) as client:
        print(client.video)


asyncio.run(look())
