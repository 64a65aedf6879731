"""A proxy for any protocol over TCP, whose network can be cut, frozen or slowed while connections are at work."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")

CHUNK_BYTES: Final = 16 * 1024


class Proxy:
    """Passes connections on to another port of this machine, until `close`.

    Args:
        target: the port that it passes connections on to.
        port: the port that it listens on itself; 0 takes a free one.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target: Final = target
        self._loop: Final = asyncio.new_event_loop()
        self._writers: Final[set[asyncio.StreamWriter]] = set()
        self._passes = asyncio.Event()
        self._delay_seconds = 0.0
        self._is_cut = False
        threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy").start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port: Final = int(self._server.sockets[0].getsockname()[1])
        self.mend()

    def cut(self) -> None:
        """End all connections, and each new one at once, until `mend`."""
        self._do(self._change(is_cut=True))

    def freeze(self) -> None:
        """Let nothing through, and tell nobody, until `mend`."""
        self._do(self._change(passes=False))

    def slow(self, delay_seconds: float) -> None:
        """Let each piece of at most `CHUNK_BYTES` wait so long, until `mend`."""
        self._do(self._change(delay_seconds=delay_seconds))

    def mend(self) -> None:
        """Let everything through, at once."""
        self._do(self._change())

    def close(self) -> None:
        """End it and all its connections."""
        self._do(self._change(is_cut=True))
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, what: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _change(self, *, is_cut: bool = False, passes: bool = True, delay_seconds: float = 0.0) -> None:
        self._is_cut, self._delay_seconds = is_cut, delay_seconds
        if passes:
            self._passes.set()
        else:
            self._passes.clear()
        if is_cut:
            for writer in list(self._writers):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            # Nobody listens there: whoever asked sees his connection end, as without a proxy.
            writer.transport.abort()
            return
        self._writers.update((writer, back))
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for each in (writer, back):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                await self._passes.wait()
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
        except OSError:
            # One side was reset: the other learns of it, as without a proxy.
            sink.transport.abort()
