"""`python -m tests.benchmarks.api [ALERTS]`: the API over a million alerts, as ratios to its limits.

The API runs in a process of its own, over SQLite and over PostgreSQL (where its packages can be fetched, `make services`), and is
asked over HTTP. Pages of alerts and their counts are asked for one after the other, while alerts change in between; 200 live
streams listen while 50 alerts a second come in; 16 connections ask for whatever a shift asks for, as fast as they are answered.
Last, in that process, for the situation (`tests.benchmarks.situation`).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import httpx

from api.alerts import upserts
from api.server import keep_loaded
from tests.api.alerts import upsert
from tests.api.conftest import Running, running
from tests.benchmarks import situation
from tests.benchmarks.situation import SITES, fill, over_both

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from api.settings import DatabaseSettings

PAGE_SECONDS: Final = 0.1
"""The 95th percentile of a page, and of the counts."""

DELAY_SECONDS: Final = 0.5
"""The 95th percentile from when an alert comes in to when a listener has it."""

REQUESTS: Final = 500
"""Requests a second."""

CALLS: Final = 60
LISTENERS: Final = 200
RATE: Final = 50
"""Alerts a second."""
SECONDS: Final = 20
CONNECTIONS: Final = 16
NEW: Final = 50_000_000
"""Number of the first alert that comes in while it is measured."""

PAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "first page": {},
    "open, high and critical": {"severity": "high,critical", "state": "!closed"},
    "closed as false": {"state": "closed", "disposition": "false_positive"},
    "of a client": {"client.ip": "10.0.3.11"},
    "of an address": {"ip": "10.0.3.11"},
    "new of an address": {"ip": "10.0.3.11", "state": "new"},
    "of a rule": {"rule": "rule_7"},
    "of a technique": {"technique": "T0836"},
    "of a site, last day": {"site": SITES[0], "since": "-24h"},
    "last seen first": {"sort": "-last_seen"},
    "first seen first": {"sort": "first_seen"},
    "changed last": {"sort": "-updated_at"},
    "told most often": {"sort": "-count"},
    "of an assignee": {"assignee": "wang"},
    "hidden by a window": {"overlay": "suppressed"},
}
"""What pages are asked for, by what it is called."""


def main() -> int:
    """Measure; 1 where a limit is not kept."""
    return over_both("api", measured)


def measured(title: str, folder: Path, database: DatabaseSettings, count: int) -> bool:
    """Print what calls take; whether all limits are kept."""
    folder.mkdir(mode=0o700, parents=True)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(title, folder, database, count, theirs))
    process.start()
    try:
        url, headers = ours.recv()
        kept = pages(title, url, headers, ours)
        kept &= listened(title, url, headers, ours)
        kept &= mixed(title, url, headers)
        ours.send(0)
        kept &= ours.recv()
    finally:
        process.join(60)
        process.kill()
    return kept


def serve(title: str, folder: Path, database: DatabaseSettings, count: int, control: Connection) -> None:
    """The API, in its own process: tells where it is; then lets as many alerts come in as it is asked for, until 0 comes.

    Then it measures the situation, and tells whether that keeps its limit.
    """
    with running(folder, database=database, live_connections=LISTENERS + 10, requests_per_minute=10_000_000) as served:
        keep_loaded()
        fill(served.services, count)
        client = served.signed_in("administrator")
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        control.send((served.url, {"Cookie": cookies, "X-CSRF-Token": client.headers["X-CSRF-Token"]}))
        number = NEW
        while asked := control.recv():
            for turn, _ in enumerate(steadily(asked)):
                come_in(served, number + turn)
            number += asked
            control.send(number)
        control.send(situation.asked(title, served.services))


def steadily(count: int) -> Iterator[float]:
    """So many turns, `RATE` a second; one alone comes at once."""
    began = time.monotonic()
    for turn in range(count):
        time.sleep(max(0.0, began + turn / RATE - time.monotonic()))
        yield time.monotonic()


def come_in(served: Running, number: int) -> None:
    """An alert that is titled by the moment when it comes in."""
    made = upsert(number)
    text = {**made.body["texts"]["en"], "title": str(time.time_ns())}
    with served.services.database.write() as session:
        upserts.apply(session, [upsert(number, body={**made.body, "texts": {"en": text, "zh-CN": text}})], SITES[0])
    served.services.hub.notify()


def pages(title: str, url: str, headers: Mapping[str, str], control: Connection) -> bool:
    """Pages and counts one after the other, an alert coming in before each."""
    kept = True
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        for name, query in PAGES.items():
            kept &= told(title, name, [asked(client, control, "/api/alerts", query) for _ in range(CALLS)])
        cursor = client.get("/api/alerts").json()["next"]
        kept &= told(title, "second page", [asked(client, control, "/api/alerts", {"cursor": cursor}) for _ in range(CALLS)])
        kept &= told(title, "counts", [asked(client, control, "/api/alerts/counts", {}) for _ in range(CALLS)])
    return kept


def asked(client: httpx.Client, control: Connection, path: str, query: Mapping[str, str]) -> float:
    """Seconds of one request, after an alert has come in."""
    control.send(1)
    control.recv()
    began = time.perf_counter()
    answer = client.get(path, params=query)
    took = time.perf_counter() - began
    answer.raise_for_status()
    return took


def told(title: str, name: str, taken: Sequence[float], limit: float = PAGE_SECONDS) -> bool:
    """Print what something took beside its limit; whether that is kept."""
    high = quantiles(taken, n=20)[-1]
    print(
        f"{title}: {name}: median {median(taken) * 1000:.0f} ms, p95 {high * 1000:.0f} ms, "
        f"{high / limit:.2f} × the limit of {limit * 1000:.0f} ms",
        flush=True,
    )
    return high <= limit


def listened(title: str, url: str, headers: Mapping[str, str], control: Connection) -> bool:
    """Live streams while alerts come in: how long until a listener has one, and whether each has all."""
    delays, heard = asyncio.run(_listened(url, headers, control))
    missing = LISTENERS * RATE * SECONDS - heard
    print(f"{title}: {LISTENERS} listeners, {RATE} alerts/s: {heard:,} events, {missing:,} missing", flush=True)
    return told(title, "until a listener has an alert", delays, DELAY_SECONDS) and not missing


async def _listened(url: str, headers: Mapping[str, str], control: Connection) -> tuple[list[float], int]:
    delays: list[float] = []
    heard = 0
    ready = [asyncio.Event() for _ in range(LISTENERS)]
    wanted = RATE * SECONDS

    async def listen(hello: asyncio.Event) -> None:
        nonlocal heard
        reader, writer = await connected(url)
        writer.write(request(url, "/api/live?language=en", headers))
        count = 0
        try:
            while count < wanted:
                line = await reader.readline()
                if line.startswith(b"event: hello"):
                    hello.set()
                elif found := re.search(rb'"title":"(\d+)"', line):
                    delays.append((time.time_ns() - int(found[1])) / 1e9)
                    count += 1
                    heard += 1
                elif not line:
                    return
        finally:
            writer.close()

    tasks = [asyncio.create_task(listen(hello)) for hello in ready]
    await asyncio.gather(*(hello.wait() for hello in ready))
    control.send(wanted)
    _, waiting = await asyncio.wait(tasks, timeout=SECONDS * 4)
    for task in waiting:
        task.cancel()
    await asyncio.to_thread(control.recv)
    return delays, heard


def mixed(title: str, url: str, headers: Mapping[str, str]) -> bool:
    """What a shift asks for, as fast as it is answered."""
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        ids = [item["id"] for item in client.get("/api/alerts", params={"limit": "200"}).json()["items"]]
    taken, seconds = asyncio.run(_mixed(url, headers, ids))
    rate = len(taken) / seconds
    high = quantiles(taken, n=20)[-1]
    reached = f"{rate:,.0f}/s, {rate / REQUESTS:.2f} × the goal of {REQUESTS}/s"
    print(f"{title}: mixed requests over {CONNECTIONS} connections: {reached}, p95 {high * 1000:.0f} ms", flush=True)
    return rate >= REQUESTS


async def _mixed(url: str, headers: Mapping[str, str], ids: Sequence[str]) -> tuple[list[float], float]:
    """Of 20 requests 10 for an alert, 4 for a page, 2 for a history, 2 for who is signed in, 1 to take one on, 1 for counts."""
    taken: list[float] = []
    began = time.perf_counter()

    async def ask(worker: int) -> None:
        reader, writer = await connected(url)
        turn = worker * 7
        while time.perf_counter() - began < SECONDS:
            turn += 1
            kind, one = turn % 20, ids[turn % len(ids)]
            if kind == 0:
                body = json.dumps({"note": "seen"}).encode()
                asking = request(url, f"/api/alerts/{one}/acknowledge", {**headers, "If-Match": "*"}, body)
            elif kind < 11:
                asking = request(url, f"/api/alerts/{one}", headers)
            elif kind < 15:
                asking = request(url, "/api/alerts?" + urlencode({"limit": "20", **PAGES["open, high and critical"]}), headers)
            elif kind < 17:
                asking = request(url, f"/api/alerts/{one}/history", headers)
            elif kind < 19:
                asking = request(url, "/api/session", headers)
            else:
                asking = request(url, "/api/alerts/counts", headers)
            sent = time.perf_counter()
            writer.write(asking)
            status = await answered(reader)
            taken.append(time.perf_counter() - sent)
            if status >= 500:
                raise RuntimeError(f"{status} for {asking[:80]!r}")
        writer.close()

    await asyncio.gather(*(ask(worker) for worker in range(CONNECTIONS)))
    return taken, time.perf_counter() - began


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the server."""
    place = urlsplit(url)
    return await asyncio.open_connection(place.hostname, place.port, limit=4 << 20)


def request(url: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """A request as bytes: a client library would take more of the processor than what is measured."""
    fields: dict[str, Any] = {"Host": urlsplit(url).netloc, **headers}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of an answer, which is read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    if (length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head)) is not None:
        await reader.readexactly(int(length[1]))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
