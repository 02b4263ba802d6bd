"""uvicorn's HTTP protocol with limits on request line and headers, and responses sent in one piece."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recbole_longinterest.service.problems import HEAD_TOO_LARGE

MOST_BYTES = 64 * 1024  # maximum size of request line and headers
SECONDS = 10.0  # time limit for them to arrive


class Together:
    """A transport that collects the data written in one turn of the event loop and sends it with one system call.

    uvicorn writes the head and the body of a response separately, as two packets, which wake up the client twice.

    Args:
        transport: the transport that sends; calls of other methods are passed to it.
        loop: the event loop.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:  # noqa: ANN401 - uvicorn narrows it
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep data until the end of this turn of the event loop."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send the waiting data, then close the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method
        return getattr(self._transport, name)

    def _flush(self) -> None:
        data, self._parts = b"".join(self._parts), []
        if data and not self._transport.is_closing():  # the client may have disconnected in this turn
            self._transport.write(data)


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers are too long or too slow, and sends responses in one piece."""

    _head: int | None = 0  # bytes so far; None while a body is read
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn narrows the type
        """Start the time limit for the first request."""
        together: Any = Together(transport, self.loop)
        super().connection_made(together)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, and close the connection if its head is too large."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_BYTES and not self.transport.is_closing():
                kind = HEAD_TOO_LARGE
                self.transport.write(f"HTTP/1.1 {kind.status} {kind.title}\r\nconnection: close\r\n\r\n".encode())
                self._close()

    def on_message_begin(self) -> None:
        """Start the time limit at the beginning of a request."""
        super().on_message_begin()
        self._begin()

    def on_headers_complete(self) -> None:
        """Cancel the time limit when the headers are complete."""
        self._end()
        self._head = None
        super().on_headers_complete()

    def _begin(self) -> None:
        self._head = 0
        self._end()
        self._slow = self.loop.call_later(SECONDS, self._close)

    def _end(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _close(self) -> None:
        self._end()
        if not self.transport.is_closing():
            self.transport.close()
