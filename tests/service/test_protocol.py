"""Responses are sent in one piece."""

import asyncio

from recbole_longinterest.service.protocol import Together


class Transport:
    """Remembers what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def test_head_and_body_are_sent_together() -> None:
    async def run() -> None:
        transport = Transport()
        together = Together(transport, asyncio.get_running_loop())
        together.write(b"head ")
        together.write(b"body")
        assert transport.sent == []
        await asyncio.sleep(0)
        assert transport.sent == [b"head body"]
        together.write(b"last")
        together.close()
        assert transport.sent == [b"head body", b"last"]
        assert together.is_closing()

    asyncio.run(run())


def test_nothing_is_sent_to_a_client_that_has_gone() -> None:
    async def run() -> None:
        transport = Transport()
        Together(transport, asyncio.get_running_loop()).write(b"answer")
        transport.closed = True
        await asyncio.sleep(0)
        assert transport.sent == []

    asyncio.run(run())
