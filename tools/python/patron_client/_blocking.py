"""A connection for threads, and the pool of them.

There is no thread behind it. Of the callers that wait for an answer on a connection one reads, for
all; when it has its own answer, it hands the reading to the next. A lone caller so reads its
answer itself, without a change of threads.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections import deque
from math import ceil
from typing import Any, Callable, Deque, Dict, List, Optional

from ._requests import Hello
from ._session import Exchange, Session, hello_exchange, passed, remaining
from .errors import ClientClosed, ConnectionLost, MalformedAnswer, PatronError


def wait_for(sock: socket.socket, reading: bool, writing: bool, seconds: Optional[float]) -> bool:
    """Whether the socket can be read or written before the time is over."""
    if sock.fileno() < 0:
        # Closed meanwhile: using it says so.
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(
            sock, (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0))
        # Rounded up, or the last millisecond would be spent asking again and again.
        return bool(poll.poll(None if seconds is None else ceil(seconds * 1000)))
    readable, writable, failed = select.select(
        [sock] if reading else [], [sock] if writing else [], [sock], seconds)
    return bool(readable or writable or failed)


#: A connection that brought something so recently is not asked whether it still stands.
_FRESH_SECONDS = 0.01


class BlockingConnection:
    """One connection; any number of threads."""

    def __init__(self, sock: socket.socket, maximum_frame_bytes: int) -> None:
        self.session = Session(maximum_frame_bytes)
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        #: Guards the session, who reads, and who waits. A stream that is dropped ends itself
        #: whenever the garbage collector comes by, so the thread may hold it already.
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        #: Used by whoever reads.
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)
        #: An SSL object is used by one thread at a time.
        self._io = threading.Lock()
        self._is_read = False
        self._waiting: Dict[Exchange, None] = {}
        #: Frames that nobody waits for, CREDIT and CANCEL, and the rest of those being sent.
        self._control: Deque[bytes] = deque()
        self._unsent = memoryview(b"")

    @classmethod
    def connect(
        cls, host: str, port: int, tls: Optional[ssl.SSLContext], hello: Hello,
        deadline: Optional[float],
    ) -> "BlockingConnection":
        """Connects and says HELLO."""
        sock: Optional[socket.socket] = None
        try:
            sock = socket.create_connection((host, port), timeout=remaining(deadline))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is not None:
                sock.settimeout(remaining(deadline))
                sock = tls.wrap_socket(sock, server_hostname=host)
            sock.setblocking(False)
        except PatronError:
            if sock is not None:
                sock.close()
            raise
        except OSError as error:
            if sock is not None:
                sock.close()
            raise cannot_connect(host, port, error) from error
        connection = cls(sock, hello.maximum_frame_bytes)
        try:
            exchange = hello_exchange(hello, deadline)
            connection.send(exchange)
            connection.session.greeted(connection.result(exchange))
        except BaseException:
            connection.close("HELLO failed")
            raise
        return connection

    # Requests

    def send(self, exchange: Exchange) -> None:
        """Sends a request; waits while the server holds as many as it takes."""
        while True:
            with self._lock:
                if self.session.has_room:
                    frame = self.session.start(exchange)
                    break
            self._pump(exchange.deadline, 0.02)
        try:
            self._write(frame, exchange)
        except OSError as error:
            self._lose(_broken(error))

    def result(self, exchange: Exchange) -> Any:
        """Waits for the answer of a request that was sent."""
        self._await(exchange)
        while exchange.reports:
            try:
                exchange.report()
            except BaseException:
                if not exchange.done:
                    self.cancel(exchange)
                raise
            self._await(exchange)
        try:
            return self.session.answer(exchange)
        except MalformedAnswer as error:
            self._lose(error)
            raise
        finally:
            if self.session.is_finished:
                self.close("the server went away")

    def chunk(self, exchange: Exchange) -> Any:
        """The next chunk of a stream that was sent; None behind the last one."""
        self._await(exchange)
        with self._lock:
            frame, credit = self.session.take(exchange)
        if credit:
            self._control.append(credit)
            self._flush()
        try:
            return None if frame is None else self.session.chunk(exchange, frame)
        except MalformedAnswer as error:
            self._lose(error)
            raise
        finally:
            if self.session.is_finished:
                self.close("the server went away")

    def cancel(self, exchange: Exchange) -> None:
        """Nobody wants the answer any more."""
        with self._lock:
            self._abandon(exchange)
        self._flush()
        if self.session.is_finished:
            self.close("the server went away")

    def is_ready(self) -> bool:
        """Whether new requests may go here, by what the server has said until now."""
        silent = time.monotonic() - self.session.last_received
        if (
            self.session.error is None and silent > _FRESH_SECONDS and not self._is_read
            and wait_for(self._sock, True, False, 0)
        ):
            # The rest of a stream that was ended, or GOAWAY.
            self._pump(None, 0)
        return self.session.is_usable

    def close(self, reason: str = "this client closed it") -> None:
        self._lose(ConnectionLost(f"the connection is closed: {reason}"))

    # Reading

    def _await(self, exchange: Exchange) -> None:
        try:
            self._await_turn(exchange)
        finally:
            if self._control:
                self._flush()

    def _await_turn(self, exchange: Exchange) -> None:
        while True:
            with self._lock:
                if exchange.is_ready:
                    return
                leads = not self._is_read
                if leads:
                    self._is_read = True
                else:
                    if exchange.waker is None:
                        exchange.waker = threading.Lock()
                        exchange.waker.acquire()
                    self._waiting[exchange] = None
            if leads:
                self._lead(exchange)
                return
            seconds = None if exchange.deadline is None else exchange.deadline - time.monotonic()
            try:
                woken = exchange.waker.acquire(timeout=-1 if seconds is None else max(0, seconds))
            except BaseException:
                # Ctrl-C: whoever is chosen to read next must be there to do it.
                with self._lock:
                    self._waiting.pop(exchange, None)
                    self._give_up(exchange)
                raise
            with self._lock:
                if not woken and exchange not in self._waiting:
                    # Chosen in the same moment.
                    exchange.waker.acquire()
                self._waiting.pop(exchange, None)
                if exchange.is_ready:
                    return
                if not woken:
                    self._give_up(exchange)
                    raise passed()

    def _lead(self, exchange: Exchange) -> None:
        """Reads for everybody until there is something for the exchange."""
        try:
            while not exchange.is_ready:
                self._read(remaining(exchange.deadline))
        finally:
            self._stop_reading(exchange)

    def _stop_reading(self, exchange: Optional[Exchange] = None) -> None:
        with self._lock:
            self._is_read = False
            if exchange is not None and not exchange.is_ready:
                self._abandon(exchange)
            self._hand_over()
        if self.session.error is not None:
            self._sock.close()

    def _give_up(self, exchange: Exchange) -> None:
        self._abandon(exchange)
        self._hand_over()

    def _abandon(self, exchange: Exchange) -> None:
        message = self.session.abandon(exchange)
        if message:
            self._control.append(message)

    def _hand_over(self) -> None:
        if not self._is_read and self._waiting:
            chosen, _ = self._waiting.popitem()
            chosen.waker.release()

    def _pump(self, deadline: Optional[float], seconds: float) -> None:
        """Reads what is there if nobody else does; waits for at most that long."""
        left = remaining(deadline)
        seconds = seconds if left is None else min(left, seconds)
        with self._lock:
            leads = not self._is_read
            self._is_read = True
        if not leads:
            time.sleep(min(seconds, 0.001))
            return
        try:
            self._read(seconds)
        finally:
            self._stop_reading()

    def _read(self, seconds: Optional[float]) -> None:
        """Receives once, if something comes in that time. Errors settle every exchange."""
        if self.session.error is not None:
            return
        if self._control or self._unsent:
            self._flush()
            if self._unsent:
                # The server takes nothing just now: what it sends may be why.
                seconds = 0.02 if seconds is None else min(seconds, 0.02)
        try:
            count = self._receive(seconds)
        except OSError as error:
            self._lose(_broken(error))
            return
        if count is None:
            return
        fault: Optional[PatronError] = None
        with self._lock:
            try:
                settled = self.session.received(count) if count else self.session.ended()
            except PatronError as error:
                settled, fault = self.session.lost(error), error
            self._wake(settled)
            ended = self.session.error is not None
        if ended:
            self._lose(fault or self.session.error)

    def _can_be_read(self, seconds: Optional[float]) -> bool:
        if self._poll is None or self._sock.fileno() < 0:
            return wait_for(self._sock, True, False, seconds)
        return bool(self._poll.poll(None if seconds is None else ceil(seconds * 1000)))

    def _receive(self, seconds: Optional[float]) -> Optional[int]:
        """Bytes that came, 0 at the end of the stream; None: nothing in that time."""
        if not self._is_tls and not self._can_be_read(seconds):
            return None
        try:
            with self._io:
                return self._sock.recv_into(self.session.reader.buffer())
        except (BlockingIOError, ssl.SSLWantReadError):
            if self._is_tls and self._can_be_read(seconds):
                return self._receive(0)
        except ssl.SSLWantWriteError:
            wait_for(self._sock, False, True, seconds)
        return None

    def _wake(self, settled: List[Exchange]) -> None:
        for exchange in settled:
            if exchange in self._waiting:
                del self._waiting[exchange]
                exchange.waker.release()

    # Writing

    def _write(self, frame: bytes, exchange: Exchange) -> None:
        rest = memoryview(frame)
        with self._sending:
            if not self._is_tls and not self._control and not self._unsent:
                # Nearly always: all at once.
                try:
                    rest = rest[self._sock.send(frame) :]
                except BlockingIOError:
                    pass
            while rest:
                try:
                    if len(rest) < len(frame) or self._send_control():
                        with self._io:
                            rest = rest[self._sock.send(rest) :]
                        continue
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
                try:
                    # A server whose answers nobody takes reads no requests (10.3).
                    left = remaining(exchange.deadline)
                    wait_for(
                        self._sock, not self._is_read, True, 0.1 if left is None else min(left, 0.1))
                    self._pump(exchange.deadline, 0)
                except PatronError as error:
                    if len(rest) == len(frame):
                        with self._lock:
                            # Never sent: nothing is owed for it.
                            self.session.open.pop(exchange.request_id, None)
                    else:
                        self._lose(ConnectionLost("a request was cut off by its deadline"))
                    raise error
                if self.session.error is not None:
                    return
        if self._control:
            self._flush()

    def _flush(self) -> None:
        """Sends CREDIT and CANCEL as far as the socket takes them. Who sends when this is called
        does it afterwards."""
        while (self._control or self._unsent) and self.session.error is None:
            if not self._sending.acquire(blocking=False):
                return
            try:
                is_done = self._send_control()
            except OSError as error:
                self._lose(_broken(error))
                return
            finally:
                self._sending.release()
            if not is_done:
                return

    def _send_control(self) -> bool:
        """Whether nothing is left; for who may send."""
        while True:
            if not self._unsent:
                if not self._control:
                    return True
                self._unsent = memoryview(self._control.popleft())
            try:
                with self._io:
                    self._unsent = self._unsent[self._sock.send(self._unsent) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False

    def _lose(self, error: Optional[PatronError]) -> None:
        with self._lock:
            self._wake(self.session.lost(error or ConnectionLost("the connection ended")))
        try:
            # Wakes a reader that waits in poll.
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if not self._is_read:
            self._sock.close()


def _broken(error: OSError) -> ConnectionLost:
    return ConnectionLost(
        f"the connection broke: {error.strerror or error}",
        hint="what became of open requests is unknown")


def cannot_connect(host: str, port: int, error: OSError) -> ConnectionLost:
    reason = "no answer in time" if isinstance(error, socket.timeout) else error.strerror or error
    return ConnectionLost(
        f"cannot connect to {host}:{port}: {reason}", hint="is the server running there?")


class BlockingPool:
    """Up to `size` connections to one address, made when they are needed."""

    def __init__(self, size: int, connect: Callable[[Optional[float]], BlockingConnection]) -> None:
        self._size = size
        self._connect = connect
        self._changed = threading.Condition()
        self._connections: List[BlockingConnection] = []
        #: Going away, with requests still open.
        self._leaving: List[BlockingConnection] = []
        self._connecting = 0
        self._is_closed = False

    def take(self, deadline: Optional[float]) -> BlockingConnection:
        """The connection with the fewest open requests; a new one while all are busy."""
        connections = self._connections
        if len(connections) == 1 and not self._leaving and not self._is_closed:
            only = connections[0]
            if only.session.load == 0 and only.is_ready():
                return only
        with self._changed:
            while True:
                if self._is_closed:
                    raise ClientClosed("this client is closed", hint="connect anew")
                self._sort_out()
                best = min(self._connections, key=lambda c: c.session.load, default=None)
                made = len(self._connections) + self._connecting
                if best is not None and (best.session.load == 0 or made >= self._size):
                    return best
                if made < self._size:
                    self._connecting += 1
                    break
                if not self._changed.wait(remaining(deadline)):
                    raise passed()
        fresh: Optional[BlockingConnection] = None
        try:
            fresh = self._connect(deadline)
        except PatronError:
            if best is None:
                raise
            return best
        finally:
            with self._changed:
                self._connecting -= 1
                if fresh is not None:
                    self._connections.append(fresh)
                self._changed.notify_all()
        if self._is_closed:
            fresh.close()
        return fresh

    def _sort_out(self) -> None:
        for connection in [c for c in self._connections if not c.is_ready()]:
            self._connections.remove(connection)
            self._leaving.append(connection)
        for connection in [c for c in self._leaving if c.session.is_finished]:
            self._leaving.remove(connection)
            connection.close("the server went away")

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            everything = self._connections + self._leaving
            self._connections, self._leaving = [], []
            self._changed.notify_all()
        for connection in everything:
            connection.close()
