"""uvicorn's HTTP protocol with limits on request line and headers, which uvicorn does not have."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recbole_longinterest.service.problems import HEAD_TOO_LARGE

MOST_BYTES = 64 * 1024  # maximum size of request line and headers
SECONDS = 10.0  # time limit for them to arrive


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers are too long or too slow."""

    _head: int | None = 0  # bytes so far; None while a body is read
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn narrows the type
        """Start the time limit for the first request."""
        super().connection_made(transport)
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
