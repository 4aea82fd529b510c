"""The client for threads."""

from __future__ import annotations

import copy
import random
import threading
import time
from collections import deque
from typing import Any, Deque, Dict, Generator, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from . import _requests as requests, _scores as scores
from ._blocking import BlockingConnection, BlockingPool
from ._calls_admin import AdminCalls
from ._flow import (
    ColumnChoice, Directory, Flow, check_columns, describe_flow, lookup_flow, single_template)
from ._options import CONNECT_TIMEOUT, DEADLINE, DEFAULT, FRAME_BYTES, TLS, Settings, make_settings
from ._requests import IDs, Price, Request, SingleLookup, SingleTemplate
from ._retry import Retries, Tries
from ._session import Exchange, passed, remaining
from ._stream import CREDIT, Open, Pause, Stop, StreamBase, Wanted, customers_flow
from .answers import (
    Count, Customer, CustomerChunk, Description, Explanation, LookupAnswer, OfferAnswer, PatronID,
    ProfilesAnswer, ScoreAnswer, SegmentsAnswer, TopAnswer)
from .errors import DeadlinePassed, PatronError

A = TypeVar("A")

#: Frames of one look-up that are on their way at once.
_WINDOW = 4
#: Labels whose clients are kept.
_VIEWS = 64


def connect(
    host: str = "127.0.0.1", port: int = 7070, *, token: Union[None, str, bytes] = None,
    tls: TLS = None, deadline: Optional[float] = DEADLINE, connections: int = 2,
    connect_timeout: float = CONNECT_TIMEOUT, retries: Optional[Retries] = None,
    maximum_frame_bytes: int = FRAME_BYTES, client_name: str = "patron-python", timings: bool = False,
    compression: bool = False,
) -> "Client":
    """Connects and says HELLO.

    :param token: the credential, where the server wants one.
    :param tls: True for the system's certificates, or an `ssl.SSLContext`.
    :param deadline: seconds for calls that name none; None waits for ever.
    :param connections: at most so many; a second one is made while the first is busy.
    :param connect_timeout: seconds to connect and say HELLO.
    :param retries: of calls that are harmless to repeat.
    :param maximum_frame_bytes: the largest answer taken, 4,096 … 67,108,864.
    :param client_name: name and version of the calling software, for the server's log.
    :param timings: asks for the server's own; they are in `answer.timings`.
    :param compression: has large answers and requests compressed, where the server can: for a slow
        network. Needs the package lz4.
    :raises PatronError: see `patron_client.errors`.
    """
    settings = make_settings(
        host, port, token, tls, deadline, connect_timeout, retries, maximum_frame_bytes,
        client_name, timings, compression)
    directory = Directory()

    def make(end: Optional[float]) -> BlockingConnection:
        connection = BlockingConnection.connect(
            host, port, settings.tls, settings.hello(), settings.connect_end(end))
        if connection.session.hello is not None:
            directory.maximum_ids = connection.session.hello.maximum_lookup_ids
        return connection

    pool = BlockingPool(max(1, connections), make)
    pool.take(None)
    return Client(settings, pool, directory, _Gatherers())


class Client(AdminCalls):
    """Asks a Patron server; made by `connect`. Any number of threads may use it at once.

    Every call takes a `deadline` in seconds, which the server is told and the client keeps; what
    fails raises a `PatronError`.
    """

    def __init__(
        self, settings: Settings, pool: BlockingPool, directory: Directory, gatherers: "_Gatherers"
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._directory = directory.of(settings.label)
        self._views: Dict[Optional[str], Client] = {}
        self._gatherers = gatherers

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections; calls without an answer fail."""
        self._pool.close()

    def with_options(
        self, *, deadline: Optional[float] = DEFAULT, trace_id: Union[None, str, bytes] = None,
        priority: Optional[int] = None, label: Optional[str] = DEFAULT,
    ) -> "Client":
        """The same client and connections, with another deadline, or with a trace id (1 … 64 bytes)
        or priority (0 bulk, 1 normal, 2 urgent) in all its requests, or answered from the snapshot
        with a label, such as `canary`; None: from the current one."""
        settings = self._settings.with_options(deadline, trace_id, priority, label)
        return Client(settings, self._pool, self._directory, _Gatherers())

    def _of(self, label: Optional[str]) -> "Client":
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

    def ping(self, *, deadline: Optional[float] = DEFAULT) -> int:
        """A sign of life: the generation that is served now; 0: none."""
        answer = self._call(requests.Ping(random.getrandbits(64)), deadline)
        return answer.generation

    def describe(
        self, *, label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Description:
        """Columns, counts, kinds of ids, what affinity can do, and the snapshot."""
        client = self._of(label)
        return client._run(describe_flow(client._directory), client._settings.end_of(deadline))

    def lookup(
        self, ids: Sequence[PatronID], columns: Optional[Sequence[ColumnChoice]] = None, *,
        ignore_unknown_columns: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> LookupAnswer:
        """Scores of many customers, a row an id, in the order of the ids, from one snapshot.

        :param ids: integers or texts, of one kind; a NumPy array of integers too. More than a frame
            takes are asked for in several.
        :param columns: names or numbers, in the order of the answer; None for all.
        :param ignore_unknown_columns: leaves out what the snapshot does not have.
        """
        client = self._of(label)
        flow = lookup_flow(client._directory, IDs(ids), columns, ignore_unknown_columns)
        return client._run(flow, client._settings.end_of(deadline))

    def lookup_one(
        self, customer: PatronID, columns: Optional[Sequence[ColumnChoice]] = None, *,
        ignore_unknown_columns: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> Customer:
        """Scores of one customer. Calls of several threads, while one is on its way, become one
        request together."""
        requests.encode_id(customer)
        end = self._settings.end_of(deadline)
        chosen = check_columns(columns)
        key = (isinstance(customer, str), chosen, ignore_unknown_columns)
        client = self._of(label)
        return client._gatherers.get(key).ask(client, customer, end)

    def top_products(
        self, customer: PatronID, count: int = 10, *, exclude_purchased: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> TopAnswer:
        """Products with the highest affinity for a customer, best first."""
        return self._of(label)._call(requests.TopProducts(customer, count, exclude_purchased), deadline)

    def top_customers(
        self, product: PatronID, count: int = 10, *, exclude_purchased: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> TopAnswer:
        """Customers with the highest affinity for a product, best first."""
        return self._of(label)._call(requests.TopCustomers(product, count, exclude_purchased), deadline)

    def similar_customers(
        self, customer: PatronID, count: int = 10, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> TopAnswer:
        """Customers who buy like one, best first; scores are cosines, -1 … 1."""
        return self._of(label)._call(requests.Similar(requests.CUSTOMER, customer, count), deadline)

    def similar_products(
        self, product: PatronID, count: int = 10, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> TopAnswer:
        """Products that the same customers buy, likewise."""
        return self._of(label)._call(requests.Similar(requests.PRODUCT, product, count), deadline)

    def offer_products(
        self, customer: PatronID, count: int = 10, *, offer: str = "next", rank: str = "affinity",
        bought: str = "leftOut", categories: Sequence[str] = (),
        lowest_price: Optional[Price] = None, highest_price: Optional[Price] = None,
        largest_ratio: Optional[float] = None, bought_since: Sequence[PatronID] = (),
        include_out_of_stock: bool = False,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> OfferAnswer:
        """Products to offer to a customer, best first, with what is expected of each.

        :param offer: next (all products), crossSell (of categories that the customer has bought
            nothing of) or upSell (dearer than all that the customer bought of their category).
        :param rank: affinity, or margin: purchase probability x what a unit brings.
        :param bought: leftOut, included, or only.
        :param categories: names, at most 1,024; none for all.
        :param lowest_price: of a unit, in the snapshot's currency; None for no limit.
        :param highest_price: likewise.
        :param largest_ratio: of an up-sell's price to the dearest that was bought, 1.01 … 655.35;
            None for 1.5.
        :param bought_since: products bought since the scoring, each as often as it was bought.
        """
        request = requests.OfferProducts(
            customer, count, offer=offer, rank=rank, bought=bought, categories=categories,
            lowest_price=lowest_price, highest_price=highest_price, largest_ratio=largest_ratio,
            bought_since=bought_since, include_out_of_stock=include_out_of_stock)
        return self._of(label)._call(request, deadline)

    def offer_customers(
        self, product: PatronID, count: int = 10, *, rank: str = "affinity",
        promoted: bool = False, exclude_purchasers: bool = True,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> OfferAnswer:
        """Customers to offer a product to, best first.

        :param rank: affinity, or probability, that of a purchase.
        :param promoted: probabilities are those while the product is promoted, and rank.
        """
        request = requests.OfferCustomers(
            product, count, rank=rank, promoted=promoted, exclude_purchasers=exclude_purchasers)
        return self._of(label)._call(request, deadline)

    def segments(
        self, segmentation: Optional[str] = None, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> SegmentsAnswer:
        """The segments of one segmentation; None for all."""
        return self._of(label)._call(requests.Segments(segmentation), deadline)

    def segment_profiles(
        self, segmentation: Optional[str] = None, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> ProfilesAnswer:
        """What the segments of one segmentation are like, feature by feature; None for all."""
        return self._of(label)._call(requests.SegmentProfiles(segmentation), deadline)

    def score(
        self, repeat_purchase_count: Sequence[Any], age_at_last_purchase_days: Sequence[Any],
        observed_age_days: Sequence[Any], *, mean_order_value: Optional[Sequence[Any]] = None,
        revenue: Optional[Sequence[Any]] = None,
        attributes: Optional[Mapping[str, Sequence[Any]]] = None,
        columns: Optional[Sequence[ColumnChoice]] = None,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> ScoreAnswer:
        """What the models behind the snapshot say of histories that are not in it.

        :param repeat_purchase_count: orders after the first, one a history; None where not known.
        :param age_at_last_purchase_days: days from the first to the last order.
        :param observed_age_days: days from the first order to now.
        :param mean_order_value: mean revenue of the orders after the first, in the currency of the
            snapshot; needed for lifetime values of who came back.
        :param revenue: all revenue, for simple_lifetime_value alone.
        :param attributes: those of the plan that the model reads: name to values.
        :param columns: names or numbers, in the order of the answer; None for all.
        """
        return self._of(label)._call(scores.Score(
            repeat_purchase_count, age_at_last_purchase_days, observed_age_days, mean_order_value,
            revenue, attributes, columns), deadline)

    def explain(
        self, customer: PatronID, segmentation: str, *,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Explanation:
        """Why a customer is in a segment; the first one after a publish takes long."""
        return self._of(label)._call(scores.Explain(customer, segmentation), deadline)

    def count(
        self, rule: str, *, label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT
    ) -> Count:
        """How many customers a rule holds for.

        :param rule: a condition on columns: `value_segment = "Best ones" and churn_probability < 0.2`;
            protocol/WIRE.md, section 8.5, is the language.
        """
        return self._of(label)._call(requests.CountCustomers(rule), deadline)

    def customers(
        self, rule: Optional[str] = None, columns: Optional[Sequence[ColumnChoice]] = None, *,
        after: Optional[bytes] = None, credit: int = CREDIT,
        label: Optional[str] = DEFAULT, deadline: Optional[float] = DEFAULT,
    ) -> "CustomerStream":
        """The customers that a rule holds for, or all, in chunks, from one snapshot, in its order.

        A lost connection is made anew and the stream goes on behind the last chunk, as long as the
        server has that snapshot; otherwise `RetryNow` with the name snapshotChanged. To end early,
        `close` the stream, leave its `with`, or drop it.

        :param columns: names or numbers, in the order of the answer; None for all.
        :param after: the `token` of a chunk of a stream of the same rule and columns: goes on there.
        :param credit: bytes that the server may be ahead of the reader, 262,144 … 16,777,216; the
            latter is also what all streams of a connection may have together.
        :param deadline: seconds for the whole stream, with what the caller does between two chunks.
        """
        wanted = Wanted(rule, columns, after, credit)
        client = self._of(label)
        return CustomerStream(wanted, _chunks(client, wanted, self._settings.end_of(deadline)))

    # Exchange

    def _call(self, request: Request[A], deadline: Optional[float]) -> A:
        return self._ask(request, self._settings.end_of(deadline))

    def _tries(self, request: Request[Any], end: Optional[float]) -> Tries:
        return Tries(
            self._settings.retries, end, request.may_repeat, self._settings.budget,
            request.repeats_overtaken)

    def _ask(
        self, request: Request[A], end: Optional[float], tries: Optional[Tries] = None
    ) -> A:
        """Asks until there is an answer, or an error that stands.

        :param tries: with those that have failed; None for a call that begins.
        """
        encoded = request.encode(self._settings.items)
        tries = tries or self._tries(request, end)
        while True:
            sent = False
            try:
                connection = self._pool.take(end)
                exchange = Exchange(request, encoded, end)
                connection.send(exchange)
                sent = True
                answer: A = connection.result(exchange)
                return answer
            except PatronError as error:
                pause = tries.pause_after(error, sent)
                if pause is None:
                    error.idempotency_key = request.idempotency_key
                    raise
            time.sleep(pause)

    def _run(self, flow: Flow[A], end: Optional[float]) -> A:
        try:
            wanted = next(flow)
            while True:
                wanted = flow.send(self._ask_all(wanted, end))
        except StopIteration as stop:
            result: A = stop.value
            return result

    def _ask_all(self, wanted: List[Request[Any]], end: Optional[float]) -> List[Any]:
        """Answers, and errors in the place of those there are not; a few at a time on their way."""
        if len(wanted) == 1:
            return [self._finish(wanted[0], None, end)]
        answers: List[Any] = []
        ahead: Deque[Tuple[Request[Any], Optional[Tuple[BlockingConnection, Exchange]]]] = deque()
        rest = deque(wanted)
        while rest or ahead:
            while rest and len(ahead) < _WINDOW:
                request = rest.popleft()
                ahead.append((request, self._begin(request, end)))
            request, begun = ahead.popleft()
            answers.append(self._finish(request, begun, end))
        return answers

    def _begin(
        self, request: Request[Any], end: Optional[float]
    ) -> Optional[Tuple[BlockingConnection, Exchange]]:
        """Sends ahead; None where that fails, and `_finish` begins anew."""
        try:
            connection = self._pool.take(end)
            exchange = Exchange(request, request.encode(self._settings.items), end)
            connection.send(exchange)
        except PatronError:
            return None
        return connection, exchange

    def _finish(
        self, request: Request[Any], begun: Optional[Tuple[BlockingConnection, Exchange]],
        end: Optional[float],
    ) -> Any:
        tries: Optional[Tries] = None
        try:
            if begun is not None:
                connection, exchange = begun
                try:
                    return connection.result(exchange)
                except PatronError as error:
                    tries = self._tries(request, end)
                    pause = tries.pause_after(error, True)
                    if pause is None:
                        return error
                    time.sleep(pause)
            return self._ask(request, end, tries)
        except PatronError as error:
            return error


class CustomerStream(StreamBase[Generator[CustomerChunk, None, None]]):
    """An iterator of chunks, for one thread at a time; made by `Client.customers`."""

    def __iter__(self) -> "CustomerStream":
        return self

    def __next__(self) -> CustomerChunk:
        return next(self._chunks)

    def __enter__(self) -> "CustomerStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream; the server is told to send no more."""
        self._chunks.close()


def _chunks(
    client: Client, wanted: Wanted, end: Optional[float]
) -> Generator[CustomerChunk, None, None]:
    # No method of the stream: a stream that is dropped is so ended at once.
    flow = customers_flow(
        client._directory, wanted, client._settings.retries, end, client._settings.budget)
    connection: Optional[BlockingConnection] = None
    exchange: Optional[Exchange] = None
    try:
        step = next(flow)
        while True:
            answer: Any = None
            try:
                if isinstance(step, CustomerChunk):
                    yield step
                elif isinstance(step, list):
                    answer = client._ask_all(step, end)
                elif isinstance(step, Open):
                    connection = client._pool.take(end)
                    opened = Exchange(step.request, step.request.encode(client._settings.items), end)
                    connection.send(opened)
                    exchange = opened
                elif isinstance(step, Pause):
                    time.sleep(step.seconds)
                elif isinstance(step, Stop):
                    if connection is not None and exchange is not None:
                        connection.cancel(exchange)
                else:
                    assert connection is not None and exchange is not None
                    answer = connection.chunk(exchange)
            except PatronError as error:
                answer = error
            try:
                step = flow.send(answer)
            except StopIteration:
                return
    finally:
        if connection is not None and exchange is not None and not exchange.done:
            connection.cancel(exchange)


class _Entry:
    __slots__ = ("customer", "end", "event", "result", "leads", "is_gone")

    def __init__(self, customer: PatronID, end: Optional[float]) -> None:
        self.customer = customer
        self.end = end
        #: Made for those that have to wait.
        self.event: Optional[threading.Event] = None
        self.result: Union[None, Customer, PatronError] = None
        self.leads = False
        #: Nobody waits for it any more.
        self.is_gone = False


class _Gatherer:
    """Joins single look-ups of one kind: what comes while a request is on its way goes into the
    next. A lone call waits for nothing."""

    def __init__(self, columns: Optional[Tuple[ColumnChoice, ...]], ignore_unknown: bool) -> None:
        self._columns = columns
        self._ignore_unknown = ignore_unknown
        self._lock = threading.Lock()
        self._is_busy = False
        self._waiting: List[_Entry] = []
        #: Of requests for one customer, and whose numbers of columns it has.
        self._template: Optional[SingleTemplate] = None
        self._description: Optional[Description] = None

    def ask(self, client: Client, customer: PatronID, end: Optional[float]) -> Customer:
        entry = _Entry(customer, end)
        with self._lock:
            batch = [entry]
            if self._is_busy:
                entry.event = threading.Event()
                self._waiting.append(entry)
                batch = []
            self._is_busy = True
        if not batch:
            batch = self._wait(entry)
        if batch:
            try:
                self._look_up(client, batch)
            finally:
                self._next()
        result = entry.result
        if isinstance(result, PatronError):
            raise result
        assert result is not None
        return result

    def _wait(self, entry: _Entry) -> List[_Entry]:
        """Until there is a result, or it is this call's turn to ask for all that wait."""
        try:
            seconds = remaining(entry.end)
            if entry.event is not None and not entry.event.wait(seconds):
                raise passed()
        except BaseException:
            with self._lock:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                entry.is_gone = True
                leads = entry.leads
            if leads:
                self._next()
            raise
        if not entry.leads:
            return []
        with self._lock:
            batch, self._waiting = [entry] + self._waiting, []
        return batch

    def _next(self) -> None:
        with self._lock:
            if not self._waiting:
                self._is_busy = False
                return
            leader = self._waiting.pop(0)
            leader.leads = True
            if leader.event is not None:
                leader.event.set()

    def _look_up_one(self, client: Client, entry: _Entry) -> Optional[Customer]:
        """Of what is known already, in one request; None where it takes more."""
        description = client._directory.description
        if description is None:
            return None
        if description is not self._description:
            self._template = single_template(
                description, self._columns, self._ignore_unknown, isinstance(entry.customer, str))
            self._description = description
        if self._template is None:
            return None
        answer = client._ask(SingleLookup(self._template, entry.customer), entry.end)
        if answer.snapshot.generation != description.snapshot.generation:
            return None
        answer.names = description.names
        return answer.customer(0)

    def _look_up(self, client: Client, batch: List[_Entry]) -> None:
        """Asks for all, within the deadline of the first, whose thread this is."""
        try:
            if len(batch) == 1:
                batch[0].result = self._look_up_one(client, batch[0])
                if batch[0].result is not None:
                    return
            ids = IDs([entry.customer for entry in batch])
            flow = lookup_flow(client._directory, ids, self._columns, self._ignore_unknown)
            answer = client._run(flow, batch[0].end)
            for index, entry in enumerate(batch):
                entry.result = answer.customer(index)
        except DeadlinePassed as error:
            now = time.monotonic()
            batch[0].result = error
            with self._lock:
                # Who has more time asks again.
                self._waiting += [
                    entry for entry in batch[1:]
                    if not entry.is_gone and (entry.end is None or entry.end > now)]
        except PatronError as error:
            for entry in batch:
                # Each thread raises one of its own.
                entry.result = copy.copy(error)
        except BaseException:
            for entry in batch:
                entry.result = PatronError("the call that asked for several was interrupted")
            raise
        finally:
            for entry in batch[1:]:
                if entry.result is not None and entry.event is not None:
                    entry.event.set()


class _Gatherers:
    """By what is asked for."""

    _MOST = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gatherers: Dict[Any, _Gatherer] = {}

    def get(self, key: Tuple[bool, Optional[Tuple[ColumnChoice, ...]], bool]) -> _Gatherer:
        with self._lock:
            found = self._gatherers.get(key)
            if found is None:
                if len(self._gatherers) >= self._MOST:
                    self._gatherers.clear()
                found = self._gatherers[key] = _Gatherer(key[1], key[2])
            return found
