"""The client for asyncio.

    async with await patron_client.aio.connect("127.0.0.1", 7070) as client:
        customer = await client.lookup_one(17850, ["lifetime_value"])
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from types import TracebackType
from typing import Any, AsyncGenerator, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Type, TypeVar, Union

from . import _requests as requests, _scores as scores
from ._aio_admin import AsyncAdminCalls
from ._blocking import cannot_connect
from ._flow import (
    ColumnChoice, Directory, Flow, check_columns, describe_flow, lookup_flow)
from ._options import CONNECT_TIMEOUT, DEADLINE, DEFAULT, FRAME_BYTES, TLS, Settings, make_settings
from ._requests import LOOKUP_IDS, Hello, IDs, Price, Request
from ._retry import Retries, Tries
from ._session import Exchange, Session, hello_exchange, passed, remaining
from ._stream import CREDIT, Open, Pause, Stop, StreamBase, Wanted, customers_flow
from .answers import (
    Count, Customer, CustomerChunk, Description, Explanation, LookupAnswer, OfferAnswer, PatronID,
    ProfilesAnswer, ScoreAnswer, SegmentsAnswer, TopAnswer)
from .errors import ClientClosed, ConnectionLost, MalformedAnswer, PatronError

__all__ = ["AsyncClient", "connect"]

A = TypeVar("A")

#: Labels whose clients are kept.
_VIEWS = 64


class AsyncConnection(asyncio.BufferedProtocol):
    """One connection; any number of tasks of one loop."""

    def __init__(self, maximum_frame_bytes: int) -> None:
        self.session = Session(maximum_frame_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: Optional[asyncio.Transport] = None
        self._outgoing: List[bytes] = []
        self._room: Set["asyncio.Future[None]"] = set()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> Any:
        return self.session.reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        if self.session.error is not None:
            return
        try:
            self._settle(self.session.received(nbytes))
        except PatronError as error:
            self._lose(error)
        if self.session.error is not None:
            self._lose(self.session.error)
        elif self.session.is_finished:
            self.close("the server went away")

    def eof_received(self) -> Optional[bool]:
        self._settle(self.session.ended())
        return None

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if exc is None:
            self._settle(self.session.ended())
        else:
            self._settle(self.session.lost(ConnectionLost(
                f"the connection broke: {exc}", hint="what became of open requests is unknown")))
        self._wake_for_room()

    # Requests

    async def hello(self, hello: Hello, deadline: Optional[float]) -> None:
        self.session.greeted(await self.result(self.send(hello_exchange(hello, deadline))))

    async def room(self, deadline: Optional[float]) -> None:
        """Waits while the server holds as many requests as it takes."""
        while not self.session.has_room and self.session.error is None:
            waiter = self._loop.create_future()
            self._room.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=remaining(deadline))
            finally:
                self._room.discard(waiter)

    def send(self, exchange: Exchange) -> Exchange:
        frame = self.session.start(exchange)
        exchange.waker = self._loop.create_future()
        self._put(frame)
        return exchange

    def _flush(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if self._transport is not None and self.session.error is None:
            self._transport.write(data)

    async def chunk(self, exchange: Exchange) -> Any:
        """The next chunk of a stream that was sent; None behind the last one."""
        try:
            if not exchange.is_ready:
                await self._wait(exchange)
            frame, credit = self.session.take(exchange)
            if credit:
                self._put(credit)
            return None if frame is None else self.session.chunk(exchange, frame)
        except MalformedAnswer as error:
            self._lose(error)
            raise
        finally:
            if self.session.is_finished:
                self.close("the server went away")

    async def _wait(self, exchange: Exchange) -> None:
        """Until there is something of a stream."""
        exchange.waker = self._loop.create_future()
        timer = None
        if exchange.deadline is not None:
            delay = exchange.deadline - time.monotonic()
            timer = self._loop.call_later(delay, self._expire, exchange)
        try:
            await exchange.waker
        finally:
            if timer is not None:
                timer.cancel()

    def cancel(self, exchange: Exchange) -> None:
        """Nobody wants the answer any more."""
        self._abandon(exchange)
        if self.session.is_finished:
            self._loop.call_soon(self.close, "the server went away")

    def _abandon(self, exchange: Exchange) -> None:
        message = self.session.abandon(exchange)
        if message:
            self._put(message)

    def _put(self, frame: bytes) -> None:
        # Requests of one turn of the loop leave together.
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(frame)

    async def result(self, exchange: Exchange) -> Any:
        """The answer of a request that was sent."""
        timer = None
        if exchange.deadline is not None:
            delay = exchange.deadline - time.monotonic()
            timer = self._loop.call_later(delay, self._expire, exchange)
        try:
            await exchange.waker
            while exchange.reports:
                if not exchange.done:
                    exchange.waker = self._loop.create_future()
                exchange.report()
                await exchange.waker
            return self.session.answer(exchange)
        except MalformedAnswer as error:
            self._lose(error)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if not exchange.done:
                # The task was cancelled.
                self._abandon(exchange)
            if self.session.is_finished:
                self.close("the server went away")

    def _expire(self, exchange: Exchange) -> None:
        if not exchange.done:
            self._abandon(exchange)
            exchange.error = passed()
            self._settle([exchange])

    def _settle(self, settled: List[Exchange]) -> None:
        for exchange in settled:
            if not exchange.waker.done():
                exchange.waker.set_result(None)
        if self._room:
            self._wake_for_room()

    def _wake_for_room(self) -> None:
        for waiter in self._room:
            if not waiter.done():
                waiter.set_result(None)

    def close(self, reason: str = "this client closed it") -> None:
        self._lose(ConnectionLost(f"the connection is closed: {reason}"))

    def _lose(self, error: PatronError) -> None:
        self._settle(self.session.lost(error))
        self._wake_for_room()
        if self._transport is not None:
            self._transport.abort()


class AsyncPool:
    """Up to `size` connections to one address, made when they are needed."""

    def __init__(
        self, size: int, make: Callable[[Optional[float]], Awaitable[AsyncConnection]]
    ) -> None:
        self._size = size
        self._make = make
        self._connections: List[AsyncConnection] = []
        #: Going away, with requests still open.
        self._leaving: List[AsyncConnection] = []
        self._connecting: Set["asyncio.Task[AsyncConnection]"] = set()
        self._is_closed = False

    async def take(self, deadline: Optional[float]) -> AsyncConnection:
        """The connection with the fewest open requests; another is made while all are busy."""
        while True:
            if self._is_closed:
                raise ClientClosed("this client is closed", hint="connect anew")
            best = self._best()
            if best is not None:
                busy = best.session.load > 0
                if busy and len(self._connections) + len(self._connecting) < self._size:
                    # For later calls: this one need not wait for it.
                    self._start(deadline)
                if not best.session.has_room:
                    await best.room(deadline)
                    continue
                return best
            task = next(iter(self._connecting), None) or self._start(deadline)
            done, _ = await asyncio.wait([task], timeout=remaining(deadline))
            if not done:
                raise passed()
            error = task.exception()
            if error is not None:
                raise copy.copy(error) if isinstance(error, PatronError) else error

    def _best(self) -> Optional[AsyncConnection]:
        for connection in [c for c in self._connections if not c.session.is_usable]:
            self._connections.remove(connection)
            self._leaving.append(connection)
        for connection in [c for c in self._leaving if c.session.is_finished]:
            self._leaving.remove(connection)
            connection.close("the server went away")
        return min(self._connections, key=lambda c: c.session.load, default=None)

    def _start(self, deadline: Optional[float]) -> "asyncio.Task[AsyncConnection]":
        task = asyncio.ensure_future(self._make(deadline))
        self._connecting.add(task)
        task.add_done_callback(self._made)
        return task

    def _made(self, task: "asyncio.Task[AsyncConnection]") -> None:
        self._connecting.discard(task)
        if task.cancelled() or task.exception() is not None:
            return
        if self._is_closed:
            task.result().close()
        else:
            self._connections.append(task.result())

    async def close(self) -> None:
        self._is_closed = True
        for task in list(self._connecting):
            task.cancel()
        for connection in self._connections + self._leaving:
            connection.close()
        self._connections, self._leaving = [], []
        # The transports close in the loop's next turn.
        await asyncio.sleep(0)


async def _open(
    settings: Settings, directory: Directory, deadline: Optional[float]
) -> AsyncConnection:
    end = settings.connect_end(deadline)
    loop = asyncio.get_running_loop()
    hello = settings.hello()
    try:
        _, connection = await asyncio.wait_for(
            loop.create_connection(
                lambda: AsyncConnection(hello.maximum_frame_bytes), settings.host, settings.port,
                ssl=settings.tls, server_hostname=settings.host if settings.tls else None),
            remaining(end))
    except asyncio.TimeoutError as error:
        reason = OSError("no answer in time")
        raise cannot_connect(settings.host, settings.port, reason) from error
    except OSError as error:
        raise cannot_connect(settings.host, settings.port, error) from error
    try:
        await connection.hello(hello, end)
    except BaseException:
        connection.close("HELLO failed")
        raise
    if connection.session.hello is not None:
        directory.maximum_ids = connection.session.hello.maximum_lookup_ids
    return connection


async def connect(
    host: str = "127.0.0.1", port: int = 7070, *, token: Union[None, str, bytes] = None,
    tls: TLS = None, deadline: Optional[float] = DEADLINE, connections: int = 2,
    connect_timeout: float = CONNECT_TIMEOUT, retries: Optional[Retries] = None,
    maximum_frame_bytes: int = FRAME_BYTES, client_name: str = "patron-python", timings: bool = False,
    compression: bool = False,
) -> "AsyncClient":
    """Connects and says HELLO; the arguments are those of `patron_client.connect`."""
    settings = make_settings(
        host, port, token, tls, deadline, connect_timeout, retries, maximum_frame_bytes,
        client_name, timings, compression)
    directory = Directory()
    pool = AsyncPool(max(1, connections), lambda end: _open(settings, directory, end))
    await pool.take(None)
    return AsyncClient(settings, pool, directory)


class AsyncClient(AsyncAdminCalls):
    """Asks a Patron server; made by `connect`. Any number of tasks of one loop may use it at once.

    The operations and their arguments are those of `patron_client.Client`.
    """

    def __init__(self, settings: Settings, pool: AsyncPool, directory: Directory) -> None:
        self._settings = settings
        self._pool = pool
        self._directory = directory.of(settings.label)
        self._views: Dict[Optional[str], AsyncClient] = {}
        self._batches: Dict[Any, "_Batch"] = {}
        self._tasks: Set["asyncio.Task[None]"] = set()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all connections; calls without an answer fail."""
        await self._pool.close()

    def with_options(
        self, *, deadline: Optional[float] = DEFAULT, trace_id: Union[None, str, bytes] = None,
        priority: Optional[int] = None, label: Optional[str] = DEFAULT,
    ) -> "AsyncClient":
        """The same client and connections with another deadline, a trace id, a priority or a label."""
        settings = self._settings.with_options(deadline, trace_id, priority, label)
        return AsyncClient(settings, self._pool, self._directory)

    def _of(self, label: Optional[str]) -> "AsyncClient":
        """The client whose requests have a label; this one where none is said."""
        if label is DEFAULT or label == self._settings.label:
            return self
        view = self._views.get(label) if label is None or isinstance(label, str) else None
        if view is None:
            view = self.with_options(label=label)
            if len(self._views) >= _VIEWS:
                self._views.clear()
            self._views[label] = view
        return view

    # Operations

    async def ping(self, *, deadline: Optional[float] = DEFAULT) -> int:
        """A sign of life: the generation that is served now; 0: none."""
        answer = await self._call(requests.Ping(random.getrandbits(64)), deadline)
        return answer.generation

    async def describe(
        self, *, label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Description:
        """Columns, counts, kinds of ids, what affinity can do, and the snapshot."""
        client = self._of(label)
        return await client._run(
            describe_flow(client._directory), client._settings.end_of(deadline))

    async def lookup(
        self, ids: Sequence[PatronID], columns: Optional[Sequence[ColumnChoice]] = None, *,
        ignore_unknown_columns: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> LookupAnswer:
        """Scores of many customers, a row an id, in the order of the ids, from one snapshot."""
        client = self._of(label)
        flow = lookup_flow(client._directory, IDs(ids), columns, ignore_unknown_columns)
        return await client._run(flow, client._settings.end_of(deadline))

    async def lookup_one(
        self, customer: PatronID, columns: Optional[Sequence[ColumnChoice]] = None, *,
        ignore_unknown_columns: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> Customer:
        """Scores of one customer. Calls of one turn of the loop become one request together."""
        client = self._of(label)
        if client is not self:
            return await client.lookup_one(
                customer, columns, ignore_unknown_columns=ignore_unknown_columns, deadline=deadline)
        requests.encode_id(customer)
        end = self._settings.end_of(deadline)
        chosen = check_columns(columns)
        key = (isinstance(customer, str), chosen, ignore_unknown_columns)
        loop = asyncio.get_running_loop()
        future: "asyncio.Future[Customer]" = loop.create_future()
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = _Batch(chosen, ignore_unknown_columns)
            loop.call_soon(self._send_batch, key, batch)
        batch.add(customer, end, future)
        if batch.is_full(self._directory.maximum_ids):
            # The next call begins another.
            del self._batches[key]
            self._start_batch(batch)
        if end is None:
            return await future
        timer = loop.call_at(loop.time() + end - time.monotonic(), _expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    async def top_products(
        self, customer: PatronID, count: int = 10, *, exclude_purchased: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> TopAnswer:
        """Products with the highest affinity for a customer, best first."""
        return await self._of(label)._call(
            requests.TopProducts(customer, count, exclude_purchased), deadline)

    async def top_customers(
        self, product: PatronID, count: int = 10, *, exclude_purchased: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> TopAnswer:
        """Customers with the highest affinity for a product, best first."""
        return await self._of(label)._call(
            requests.TopCustomers(product, count, exclude_purchased), deadline)

    async def similar_customers(
        self, customer: PatronID, count: int = 10, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> TopAnswer:
        """Customers who buy like one, best first; scores are cosines, -1 … 1."""
        return await self._of(label)._call(requests.Similar(requests.CUSTOMER, customer, count), deadline)

    async def similar_products(
        self, product: PatronID, count: int = 10, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> TopAnswer:
        """Products that the same customers buy, likewise."""
        return await self._of(label)._call(requests.Similar(requests.PRODUCT, product, count), deadline)

    async def offer_products(
        self, customer: PatronID, count: int = 10, *, offer: str = "next", rank: str = "affinity",
        bought: str = "leftOut", categories: Sequence[str] = (),
        lowest_price: Optional[Price] = None, highest_price: Optional[Price] = None,
        largest_ratio: Optional[float] = None, bought_since: Sequence[PatronID] = (),
        include_out_of_stock: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> OfferAnswer:
        """Products to offer to a customer, best first, with what is expected of each."""
        request = requests.OfferProducts(
            customer, count, offer=offer, rank=rank, bought=bought, categories=categories,
            lowest_price=lowest_price, highest_price=highest_price, largest_ratio=largest_ratio,
            bought_since=bought_since, include_out_of_stock=include_out_of_stock)
        return await self._of(label)._call(request, deadline)

    async def offer_customers(
        self, product: PatronID, count: int = 10, *, rank: str = "affinity",
        promoted: bool = False, exclude_purchasers: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> OfferAnswer:
        """Customers to offer a product to, best first."""
        request = requests.OfferCustomers(
            product, count, rank=rank, promoted=promoted, exclude_purchasers=exclude_purchasers)
        return await self._of(label)._call(request, deadline)

    async def segments(
        self, segmentation: Optional[str] = None, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> SegmentsAnswer:
        """The segments of one segmentation; None for all."""
        return await self._of(label)._call(requests.Segments(segmentation), deadline)

    async def segment_profiles(
        self, segmentation: Optional[str] = None, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> ProfilesAnswer:
        """What the segments of one segmentation are like, feature by feature; None for all."""
        return await self._of(label)._call(requests.SegmentProfiles(segmentation), deadline)

    async def score(
        self, repeat_purchase_count: Sequence[Any], age_at_last_purchase_days: Sequence[Any],
        observed_age_days: Sequence[Any], *, mean_order_value: Optional[Sequence[Any]] = None,
        revenue: Optional[Sequence[Any]] = None,
        attributes: Optional[Mapping[str, Sequence[Any]]] = None,
        columns: Optional[Sequence[ColumnChoice]] = None,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> ScoreAnswer:
        """What the models behind the snapshot say of histories; as `Client.score`."""
        return await self._of(label)._call(scores.Score(
            repeat_purchase_count, age_at_last_purchase_days, observed_age_days, mean_order_value,
            revenue, attributes, columns), deadline)

    async def explain(
        self, customer: PatronID, segmentation: str, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Explanation:
        """Why a customer is in a segment; the first one after a publish takes long."""
        return await self._of(label)._call(scores.Explain(customer, segmentation), deadline)

    async def count(
        self, rule: str, *, label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Count:
        """How many customers a rule holds for."""
        return await self._of(label)._call(requests.CountCustomers(rule), deadline)

    def customers(
        self, rule: Optional[str] = None, columns: Optional[Sequence[ColumnChoice]] = None, *,
        after: Optional[bytes] = None, credit: int = CREDIT,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> "AsyncCustomerStream":
        """The customers that a rule holds for, or all, in chunks: `async for` reads them. To end
        early, `aclose` the stream or leave its `async with`."""
        wanted = Wanted(rule, columns, after, credit)
        client = self._of(label)
        return AsyncCustomerStream(wanted, _chunks(client, wanted, self._settings.end_of(deadline)))

    # Exchange

    async def _call(self, request: Request[A], deadline: Optional[float]) -> A:
        return await self._ask(request, self._settings.end_of(deadline))

    async def _ask(self, request: Request[A], end: Optional[float]) -> A:
        """Asks until there is an answer, or an error that stands."""
        encoded = request.encode(self._settings.items)
        tries = Tries(
            self._settings.retries, end, request.may_repeat, self._settings.budget,
            request.repeats_overtaken)
        while True:
            sent = False
            try:
                connection = await self._pool.take(end)
                exchange = connection.send(Exchange(request, encoded, end))
                sent = True
                answer: A = await connection.result(exchange)
                return answer
            except PatronError as error:
                pause = tries.pause_after(error, sent)
                if pause is None:
                    error.idempotency_key = request.idempotency_key
                    raise
            await asyncio.sleep(pause)

    async def _run(self, flow: Flow[A], end: Optional[float]) -> A:
        try:
            wanted = next(flow)
            while True:
                if len(wanted) == 1:
                    answers = [await self._ask_or_error(wanted[0], end)]
                else:
                    answers = list(await asyncio.gather(
                        *(self._ask_or_error(request, end) for request in wanted)))
                wanted = flow.send(answers)
        except StopIteration as stop:
            result: A = stop.value
            return result

    async def _ask_or_error(self, request: Request[Any], end: Optional[float]) -> Any:
        try:
            return await self._ask(request, end)
        except PatronError as error:
            return error

    # Single look-ups, joined

    def _send_batch(self, key: Any, batch: "_Batch") -> None:
        if self._batches.get(key) is batch:
            del self._batches[key]
            self._start_batch(batch)

    def _start_batch(self, batch: "_Batch") -> None:
        task = asyncio.ensure_future(self._look_up(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, batch: "_Batch") -> None:
        try:
            flow = lookup_flow(
                self._directory, IDs(batch.customers), batch.columns, batch.ignore_unknown)
            answer = await self._run(flow, batch.end)
        except BaseException as error:
            for future in batch.futures:
                if not future.done():
                    future.set_exception(
                        copy.copy(error) if isinstance(error, PatronError)
                        else ConnectionLost(f"the look-up ended: {error!r}"))
            if not isinstance(error, PatronError):
                raise
            return
        for index, future in enumerate(batch.futures):
            if not future.done():
                future.set_result(answer.customer(index))


def _expire(future: "asyncio.Future[Customer]") -> None:
    if not future.done():
        future.set_exception(passed())


class AsyncCustomerStream(StreamBase[AsyncGenerator[CustomerChunk, None]]):
    """An asynchronous iterator of chunks, for one task at a time; made by `AsyncClient.customers`."""

    def __aiter__(self) -> "AsyncCustomerStream":
        return self

    async def __anext__(self) -> CustomerChunk:
        return await self._chunks.__anext__()

    async def __aenter__(self) -> "AsyncCustomerStream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the stream; the server is told to send no more."""
        await self._chunks.aclose()


async def _chunks(
    client: AsyncClient, wanted: Wanted, end: Optional[float]
) -> AsyncGenerator[CustomerChunk, None]:
    flow = customers_flow(
        client._directory, wanted, client._settings.retries, end, client._settings.budget)
    connection: Optional[AsyncConnection] = None
    exchange: Optional[Exchange] = None
    try:
        step = next(flow)
        while True:
            answer: Any = None
            try:
                if isinstance(step, CustomerChunk):
                    yield step
                elif isinstance(step, list):
                    answer = [await client._ask_or_error(request, end) for request in step]
                elif isinstance(step, Open):
                    connection = await client._pool.take(end)
                    encoded = step.request.encode(client._settings.items)
                    exchange = connection.send(Exchange(step.request, encoded, end))
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Stop):
                    if connection is not None and exchange is not None:
                        connection.cancel(exchange)
                else:
                    assert connection is not None and exchange is not None
                    answer = await connection.chunk(exchange)
            except PatronError as error:
                answer = error
            try:
                step = flow.send(answer)
            except StopIteration:
                return
    finally:
        if connection is not None and exchange is not None and not exchange.done:
            connection.cancel(exchange)


class _Batch:
    """Single look-ups that become one."""

    def __init__(self, columns: Optional[Tuple[ColumnChoice, ...]], ignore_unknown: bool) -> None:
        self.columns = columns
        self.ignore_unknown = ignore_unknown
        self.customers: List[PatronID] = []
        self.futures: List["asyncio.Future[Customer]"] = []
        #: The latest of their deadlines; None: some has none.
        self.end: Optional[float] = 0.0

    def add(
        self, customer: PatronID, end: Optional[float], future: "asyncio.Future[Customer]"
    ) -> None:
        self.customers.append(customer)
        self.futures.append(future)
        if end is None or self.end is None:
            self.end = None
        else:
            self.end = max(self.end, end)

    def is_full(self, maximum_ids: int) -> bool:
        return len(self.customers) >= max(1, min(maximum_ids, LOOKUP_IDS))
