"""The client's side of one connection, without input or output: which requests are open, which
answer belongs to which, what GOAWAY means. protocol/WIRE.md, sections 2, 5, 7.3 and 10.

The blocking and the asyncio connection both drive one of these.
"""

from __future__ import annotations

import random
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from ._frame import (
    CANCEL, CREDIT, FLAG_MORE, GOAWAY, PROGRESS, RESPONSE, EncodedRequest, Frame, FrameReader, cancel_frame,
    compress, credit_frame)
from ._admin import read_progress
from ._read import GoAway, HelloAnswer, read_answer, read_goaway
from ._requests import FEATURE_LZ4, FEATURE_STREAMS, LEAST_CREDIT, Hello, Request
from ._status import STATUSES
from .errors import ConnectionLost, FixRequest, PatronError, Unavailable, fault, malformed

#: A connection that has brought nothing for so long, though an answer is overdue, gets no new
#: requests.
SILENCE_SECONDS = 10.0
_DRAINING = STATUSES["draining"]
_LONGEST_DEADLINE = 0xFFFFFFFF


class Exchange:
    """A request on its way, and what came of it."""

    __slots__ = (
        "request", "encoded", "deadline", "request_id", "frames", "error", "done", "waker", "owed",
        "reports")

    def __init__(
        self, request: Request[Any], encoded: EncodedRequest, deadline: Optional[float]
    ) -> None:
        self.request = request
        self.encoded = encoded
        #: By time.monotonic(); None: none.
        self.deadline = deadline
        self.request_id = 0
        #: One; of a stream, those that nobody has taken yet.
        self.frames: List[Frame] = []
        self.error: Optional[PatronError] = None
        self.done = False
        #: What the driver wakes the caller with.
        self.waker: Any = None
        #: Bytes of a stream that were taken and not yet given back to the server as credit.
        self.owed = 0
        #: What the server has told of its progress and the caller does not know yet.
        self.reports: List[Any] = []

    @property
    def is_ready(self) -> bool:
        """Whether there is something for the caller: the answer, of a stream the next frame, or a
        word about progress."""
        return self.done or bool(self.reports) or (self.request.streams and bool(self.frames))

    def report(self) -> None:
        """Tells the caller what there is to tell; for the caller's thread."""
        reports, self.reports = self.reports, []
        for progress in reports:
            if self.request.progress is not None:
                self.request.progress(progress)

    def take(self, frame: Frame) -> bool:
        """Whether this was the last frame of the answer."""
        self.frames.append(frame)
        return not (self.request.streams and frame.flags & FLAG_MORE)

    def answer(self) -> Any:
        """The answer; raises the error in its place, MalformedAnswer where it cannot be read."""
        if self.error is not None:
            raise self.error
        found = read_answer(self.frames[0], self.request)
        if isinstance(found, PatronError):
            raise found
        return found


def remaining(deadline: Optional[float]) -> Optional[float]:
    """Seconds; DeadlinePassed where none are left."""
    if deadline is None:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise passed()
    return seconds


def passed() -> PatronError:
    return fault(
        "deadlinePassed", "no answer before the deadline",
        hint="allow more time, or ask for less")


class Session:
    """Open requests of one connection. Not thread-safe: its driver sees to that."""

    def __init__(self, maximum_frame_bytes: int) -> None:
        self.reader = FrameReader()
        self.open: Dict[int, Exchange] = {}
        #: Requests that nobody waits for any more; they are open for the server.
        self.abandoned: Set[int] = set()
        self.hello: Optional[HelloAnswer] = None
        self.going_away: Optional[GoAway] = None
        #: A request was refused with `draining`: new ones go elsewhere.
        self.retired = False
        #: Why the connection has ended.
        self.error: Optional[PatronError] = None
        self.last_received = time.monotonic()
        self._own_frame_bytes = maximum_frame_bytes
        self._next_id = 1

    @property
    def load(self) -> int:
        return len(self.open) + len(self.abandoned)

    @property
    def has_room(self) -> bool:
        return self.hello is None or self.load < max(1, self.hello.maximum_in_flight)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go here."""
        if self.error is not None or self.going_away is not None or self.retired:
            return False
        silent = time.monotonic() - self.last_received > SILENCE_SECONDS
        return not (silent and self.abandoned)

    @property
    def is_finished(self) -> bool:
        """Whether a connection that takes nothing new has nothing that somebody waits for."""
        return not self.open and not self.is_usable

    def start(self, exchange: Exchange) -> bytes:
        """The frame to send. The exchange is open from here on."""
        if self.error is not None:
            raise self.error
        # Only what would be taken plain: compression makes no larger requests possible.
        limit = self.reader.maximum_length if self.hello is None else self.hello.maximum_frame_bytes
        if exchange.encoded.length > limit:
            raise RequestTooLarge(exchange.encoded.length, limit)
        streams = exchange.request.streams
        if streams and not self.has_streams:
            raise fault(
                "unsupportedFeature", "this server does not stream customers",
                hint="a newer server does")
        # A stream without a deadline has all the time there is, not the server's default.
        milliseconds = _LONGEST_DEADLINE if streams else 0
        seconds = remaining(exchange.deadline)
        if seconds is not None:
            # 0 would mean that there is no deadline.
            milliseconds = min(_LONGEST_DEADLINE, max(1, int(seconds * 1000)))
        number = self._next_id
        while number in self.open or number in self.abandoned:
            number = number % 0xFFFFFFFF + 1
        self._next_id = number % 0xFFFFFFFF + 1
        exchange.request_id = number
        self.open[number] = exchange
        encoded = compress(exchange.encoded) if self.reader.decompresses else exchange.encoded
        return encoded.frame(number, milliseconds)

    def answer(self, exchange: Exchange) -> Any:
        """The answer of a settled exchange; raises the error in its place.

        After MalformedAnswer the driver closes the connection: bytes that cannot be read leave
        nothing of the stream to be trusted.
        """
        try:
            return exchange.answer()
        except Unavailable as error:
            self.retired = self.retired or error.status == _DRAINING
            raise

    def greeted(self, answer: HelloAnswer) -> None:
        self.hello = answer
        self.reader.maximum_length = self._own_frame_bytes
        self.reader.decompresses = bool(answer.active_features & FEATURE_LZ4)

    @property
    def has_streams(self) -> bool:
        return self.hello is not None and bool(self.hello.active_features & FEATURE_STREAMS)

    def abandon(self, exchange: Exchange) -> bytes:
        """Nobody waits for the answer any more. Returns what tells the server, if it can be told."""
        was_open = self.open.pop(exchange.request_id, None) is not None
        exchange.done = True
        exchange.frames = []
        if not was_open:
            return b""
        self.abandoned.add(exchange.request_id)
        # A server without streams does not know CANCEL: it would answer it.
        return cancel_frame(exchange.request_id) if self.has_streams else b""

    def take(self, exchange: Exchange) -> Tuple[Optional[Frame], bytes]:
        """The next frame of a stream, None where there is no more, and the credit to send for it.

        The server goes on while it has `LEAST_CREDIT` left; half of what is above that is collected
        before it is given back.
        """
        if not exchange.frames:
            if exchange.error is not None:
                raise exchange.error
            return None, b""
        frame = exchange.frames.pop(0)
        exchange.owed += frame.size
        if exchange.done or 2 * exchange.owed <= exchange.request.credit - LEAST_CREDIT:
            return frame, b""
        owed, exchange.owed = exchange.owed, 0
        return frame, credit_frame(exchange.request_id, owed)

    def chunk(self, exchange: Exchange, frame: Frame) -> Any:
        """The meaning of a frame of a stream; raises the error in its place."""
        found = read_answer(frame, exchange.request)
        if isinstance(found, PatronError):
            self.retired = self.retired or found.status == _DRAINING
            raise found
        return found

    def received(self, count: int) -> List[Exchange]:
        """Exchanges that the bytes in `reader.buffer()` have settled, streams that have more.

        Raises MalformedAnswer; the driver then calls `lost` with it and closes.
        """
        self.last_received = time.monotonic()
        settled: List[Exchange] = []
        for frame in self.reader.received(count):
            settled += self._receive(frame)
            if self.error is not None:
                break
        return settled

    def _receive(self, frame: Frame) -> List[Exchange]:
        opcode, number = frame.opcode, frame.request_id
        if not opcode & RESPONSE:
            raise malformed("wrongDirection", "opcode", f"a request, opcode {opcode:#06x}", 8)
        if opcode in (RESPONSE | CREDIT, RESPONSE | CANCEL):
            raise malformed("wrongDirection", "opcode", f"opcode {opcode:#06x} has no answer", 8)
        if opcode == RESPONSE | GOAWAY:
            return self._go_away(read_goaway(frame))
        exchange = self.open.get(number)
        if opcode == RESPONSE | PROGRESS:
            progress = read_progress(frame)
            if exchange is None or exchange.request.progress is None:
                return []
            exchange.reports.append(progress)
            return [exchange]
        if exchange is None:
            if number not in self.abandoned:
                raise malformed(
                    "valueOutOfRange", "requestID", f"an answer to request {number}, not open", 12)
            # Of a stream that nobody reads any more, the last frame ends it.
            if not frame.flags & FLAG_MORE:
                self.abandoned.discard(number)
            return []
        if opcode != RESPONSE | exchange.encoded.opcode:
            raise malformed(
                "valueOutOfRange", "opcode",
                f"opcode {opcode:#06x} answers a request {exchange.encoded.opcode:#06x}", 8)
        if not exchange.take(frame):
            return [exchange]
        del self.open[number]
        exchange.done = True
        return [exchange]

    def _go_away(self, message: GoAway) -> List[Exchange]:
        self.going_away = message
        if message.closes:
            return self.lost(message.reason)
        return []

    def ended(self) -> List[Exchange]:
        """The stream has ended."""
        try:
            self.reader.ended()
        except PatronError as error:
            return self.lost(error)
        if self.going_away is not None:
            return self.lost(self.going_away.reason)
        return self.lost(ConnectionLost(
            "the server closed the connection", hint="what became of open requests is unknown"))

    def lost(self, error: PatronError) -> List[Exchange]:
        """The connection has ended: every open exchange fails."""
        if self.error is None:
            self.error = error
        settled = list(self.open.values())
        self.open = {}
        self.abandoned = set()
        for exchange in settled:
            exchange.error = self.error
            exchange.done = True
        return settled


class RequestTooLarge(FixRequest):
    """A look-up of many ids is split then; other requests are refused with it."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the request takes {size} bytes, the server accepts {limit}",
            status=STATUSES["tooManyItems"], hint="split it", field="length")


def hello_exchange(hello: Hello, deadline: Optional[float]) -> Exchange:
    """HELLO with the junk that section 5 makes compulsory."""
    tag = random.randrange(0x7F00, 0x8000)
    hello.optional |= 1 << random.randrange(56, 64)
    value = bytes(random.randrange(256) for _ in range(random.randrange(9)))
    return Exchange(hello, hello.encode([(tag, value)]), deadline)

