"""HTTP load generator over loopback: open loop, which includes queueing time, and closed loop for the highest rate.

Requests are prepared bytes, connections stay open, and responses are read by their Content-Length. So the generator
uses a small part of a core, and can send more requests than one Python server can answer.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Measured:
    """Results of a load.

    Attributes:
        seconds: duration.
        waits: seconds from the time when each request was due (open loop) or sent (closed loop) to its response.
        errors: first lines of responses other than 200.
    """

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.waits) / self.seconds

    def milliseconds(self, percent: float) -> float:
        """A percentile of the waiting times in milliseconds."""
        return 1000 * float(np.percentile(self.waits, percent))


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """The bytes of a POST request with JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def closed_loop(port: int, next_request: Callable[[], bytes], seconds: float, connections: int) -> Measured:
    """Send requests as fast as responses come, on several connections."""
    measured = Measured()

    async def ask(end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.perf_counter()
        while not measured.waits or began < end:  # at least one request
            await _once(reader, writer, next_request(), began, measured)
            began = time.perf_counter()
        writer.close()

    async def all_of_them() -> None:
        began = time.perf_counter()
        await asyncio.gather(*(ask(began + seconds) for _ in range(connections)))
        measured.seconds = time.perf_counter() - began

    asyncio.run(all_of_them())
    return measured


def once_each(port: int, requests: Iterable[bytes], connections: int = 8) -> Measured:
    """Send each request once, as fast as responses come."""
    measured, left = Measured(), iter(requests)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            await _once(reader, writer, request, time.perf_counter(), measured)
        writer.close()

    async def all_of_them() -> None:
        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(connections)))
        measured.seconds = time.perf_counter() - began

    asyncio.run(all_of_them())
    return measured


def kept_up(port: int, next_request: Callable[[], bytes], rate: float, seconds: float) -> tuple[float, Measured]:
    """Find the highest open-loop rate that a server sustains, in steps of 5 %.

    A server sustains a rate if the load with all responses takes at most 5 % longer than planned, without errors. At a
    higher rate, its queue grows for as long as the load lasts.

    Args:
        port: port of the server.
        next_request: returns the bytes of a request.
        rate: initial rate in requests per second.
        seconds: duration of each load.

    Returns:
        The rate, and the results at this rate.
    """
    best = None
    while True:
        measured = open_loop(port, next_request, rate, seconds)
        if measured.seconds <= 1.05 * seconds + 0.1 and not measured.errors:
            best = rate, measured
            rate *= 1.05
        elif best is not None:
            return best
        elif rate < 1:
            raise SystemExit(f"The server does not keep up with {rate:.1f} requests per second.")
        else:
            rate /= 1.3


def open_loop(
    port: int, next_request: Callable[[], bytes], rate: float, seconds: float, connections: int = 64, seed: int = 0
) -> Measured:
    """Send requests at a rate, at random times (a Poisson process), independent of responses."""
    measured = Measured()
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))

    async def all_of_them() -> None:
        free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(connections):
            free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

        async def ask(due: float) -> None:
            pair = await free.get()  # waiting for a free connection counts
            await _once(*pair, next_request(), due, measured)
            free.put_nowait(pair)

        began = due = time.perf_counter()
        asking: set[asyncio.Future[None]] = set()
        for gap in gaps:
            due += gap
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            one = asyncio.ensure_future(ask(due))
            asking.add(one)
            one.add_done_callback(asking.discard)  # there may be a million in an hour
        await asyncio.gather(*asking)
        measured.seconds = time.perf_counter() - began
        while not free.empty():
            free.get_nowait()[1].close()

    asyncio.run(all_of_them())
    return measured


async def _once(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, since: float, measured: Measured
) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    measured.waits.append(time.perf_counter() - since)
    if not head.startswith(b"HTTP/1.1 200 "):
        measured.errors.append(head.partition(b"\r\n")[0].decode("latin-1"))


def in_turn(requests: Sequence[bytes]) -> Callable[[], bytes]:
    """A function that returns the requests in turn, in a cycle."""
    place = -1

    def following() -> bytes:
        nonlocal place
        place = (place + 1) % len(requests)
        return requests[place]

    return following
