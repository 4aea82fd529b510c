"""Streams of customers against both clients: credit, the end before the end, lost connections."""

import gc
import struct
import threading
import unittest

from .drivers import Asyncio, Blocking, Scenarios
from .support import (
    AUDIENCE, CANCEL, CREDIT, COUNT, DESCRIBE, FLOAT64, INT32, INT64, LOOKUP, PING, SCAN, answer,
    describe_answer, error_body, frame, goaway, lookup_answer, ping_answer, requires, stamp, table)
from patron_client import errors

STREAMS = 2
LEAST = 1 << 18


def chunk_frame(request, ids, scanned, token, more, generation=7, column=19, extra=()):
    facts = struct.pack("<Q32s24x", scanned, token)
    columns = [
        (0xF002, INT64, list(ids)), (0xF001, INT32, [0 if i % 7 else 2 for i in ids]),
        (column, FLOAT64, [i * 10.0 if i % 7 else None for i in ids]), *extra]
    body = stamp(generation) + facts + table(columns, len(ids), 128)
    return frame(
        0x8000 | request.opcode, request.request_id, body, flags=2 if more else 0)


class Feed:
    """One stream of the fake server."""

    def __init__(self, peer, request):
        body = bytes(request.payload)
        self.peer, self.request = peer, request
        self.credit, self.columns, self.token, rule, _ = struct.unpack_from("<IH2x32sII", body)
        self.rule = body[len(body) - rule :].decode()
        self.at = struct.unpack_from("<Q", self.token)[0]
        self.credits, self.sizes, self.least = [], [], self.credit
        self.is_done = self.is_cancelled = False


class Streams:
    """Streams `count` customers, `rows` a chunk, as far as the credit goes, and answers look-ups."""

    def __init__(self, count, rows, **options):
        self.count, self.rows, self.generation = count, rows, 7
        self.feeds, self.others = [], []
        #: Called before a chunk is sent; true: it is not.
        self.before = options.get("before", lambda feed: False)
        self.lock = threading.Lock()

    def __call__(self, peer, request):
        with self.lock:
            self.handle(peer, request)

    def handle(self, peer, request):
        feed = next((f for f in self.feeds if f.peer is peer and not f.is_done
                     and f.request.request_id == request.request_id), None)
        if request.opcode in (SCAN, AUDIENCE):
            feed = Feed(peer, request)
            self.feeds.append(feed)
        elif request.opcode == CREDIT:
            (credit, zero) = struct.unpack("<II", request.payload)
            assert credit > 0 and zero == 0
            if feed is None:
                return
            feed.credits.append(credit)
            feed.credit += credit
        elif request.opcode == CANCEL:
            assert bytes(request.payload) == b""
            self.others.append(request)
            if feed is not None:
                feed.is_cancelled = feed.is_done = True
                peer.send(answer(feed.request.opcode, request.request_id, error_body("as asked"), 901))
            return
        elif request.opcode == LOOKUP:
            peer.send(lookup_answer(request, self.generation))
            return
        elif request.opcode == DESCRIBE:
            self.others.append(request)
            peer.send(describe_answer(request, [(64, "segment"), (19, "lifetime_value")], self.generation))
            return
        elif request.opcode == PING:
            peer.send(ping_answer(request))
            return
        self.pump(feed)

    def pump(self, feed):
        while not feed.is_done and feed.credit >= LEAST:
            if self.before(feed):
                return
            ids = range(feed.at, min(feed.at + self.rows, self.count))
            feed.at = ids.stop
            more = ids.stop < self.count
            data = chunk_frame(
                feed.request, ids, ids.stop, struct.pack("<Q24x", ids.stop), more, self.generation)
            assert len(data) <= LEAST, len(data)
            feed.credit -= len(data)
            feed.sizes.append(len(data))
            feed.least = min(feed.least, feed.credit)
            feed.is_done = not more
            feed.peer.send(data)


def end_of(request, status, text="of the test"):
    return answer(request.opcode, request.request_id, error_body(text), status)


class StreamScenarios(Scenarios):
    def client(self, script, **options):
        hello = {"active": options.pop("active", STREAMS)}
        self.server = self.serve(script, **hello)
        options.setdefault("connections", 1)
        return self.driver.connect(self.server.port, **options)

    def all(self, stream):
        chunks = []
        while True:
            chunk = self.driver.next(stream)
            if chunk is None:
                return chunks
            chunks.append(chunk)

    @staticmethod
    def ids(chunks):
        return [i for chunk in chunks for i in chunk.ids]

    def until(self, condition):
        for _ in range(400):
            if condition():
                return
            self.driver.sleep(0.01)
        self.fail("it did not happen")

    def test_chunks(self):
        server = Streams(25, 10)
        chunks = self.all(self.client(server).customers(columns=["lifetime_value"]))
        self.assertEqual([len(chunk) for chunk in chunks], [10, 10, 5])
        self.assertEqual([chunk.scanned_count for chunk in chunks], [10, 20, 25])
        self.assertEqual(self.ids(chunks), list(range(25)))
        first = chunks[0]
        self.assertEqual(list(first.columns), ["entity_id", "row_status", "lifetime_value"])
        self.assertEqual(first["lifetime_value"].values[:3], [None, 10.0, 20.0])
        self.assertEqual([s.name for s in first.statuses[:2]], ["TOO_LITTLE_HISTORY", "OK"])
        self.assertEqual(first.rows()[1], {"id": 1, "row_status": 0, "lifetime_value": 10.0})
        customer = first.customers()[2]
        self.assertEqual((customer.id, customer["lifetime_value"]), (2, 20.0))
        self.assertEqual(first.snapshot.generation, 7)
        feed = server.feeds[0]
        self.assertEqual((feed.token, feed.rule, feed.columns), (bytes(32), "", 1))

    @requires("numpy")
    def test_numpy(self):
        (chunk,) = self.all(self.client(Streams(10, 10)).customers(columns=[19]))
        arrays = chunk.numpy()
        self.assertEqual(arrays["entity_id"].tolist(), list(range(10)))
        self.assertEqual(arrays["lifetime_value"].tolist()[:3], [None, 10.0, 20.0])

    @requires("pyarrow")
    def test_arrow(self):
        (chunk,) = self.all(self.client(Streams(10, 10)).customers(columns=[19]))
        made = chunk.arrow()
        made.validate(full=True)
        self.assertEqual(made.column("entity_id").to_pylist(), list(range(10)))

    def test_an_empty_audience(self):
        server = Streams(0, 10)
        chunks = self.all(self.client(server).customers("revenue > 1e9", ["lifetime_value"]))
        self.assertEqual([len(chunk) for chunk in chunks], [0])
        self.assertEqual(chunks[0].rows(), [])
        self.assertEqual((server.feeds[0].request.opcode, server.feeds[0].rule), (AUDIENCE, "revenue > 1e9"))

    def test_token_goes_on(self):
        server = Streams(30, 10)
        client = self.client(server)
        stream = client.customers(columns=[19])
        self.assertIsNone(stream.token)
        first = self.driver.next(stream)
        self.assertEqual(stream.token, first.token)
        self.driver.end_stream(stream)
        self.assertEqual(
            self.ids(self.all(client.customers(columns=[19], after=first.token))),
            list(range(10, 30)))

    def test_count(self):
        def script(peer, request):
            self.assertEqual(bytes(request.payload)[8:], b"all")
            body = stamp() + struct.pack("<QQ48x", 3, 5)
            peer.send(answer(COUNT, request.request_id, body))

        found = self.driver.call(self.client(script).count, "all")
        self.assertEqual((found.count, found.customer_count, int(found)), (3, 5, 3))
        self.assertEqual(found.snapshot.generation, 7)

    # Credit

    def test_no_more_than_the_credit(self):
        server = Streams(60_000, 10_000)
        stream = self.client(server).customers(columns=[19], credit=LEAST)
        seen = []
        while True:
            chunk = self.driver.next(stream)
            if chunk is None:
                break
            seen.append(len(chunk))
            self.driver.sleep(0.03)
            (feed,) = server.feeds
            # What is taken is given back at once: one chunk is ahead and no more.
            self.assertLessEqual(len(feed.sizes), len(seen) + 1)
        self.assertEqual(seen, [10_000] * 6)
        # Byte for byte, but for what came last.
        self.assertEqual(feed.credits, feed.sizes[: len(feed.credits)])
        self.assertGreaterEqual(len(feed.credits), 4)
        self.assertGreaterEqual(feed.least, 0)

    def test_credit_is_collected(self):
        server = Streams(120_000, 10_000)
        stream = self.client(server).customers(columns=[19], credit=1 << 20)
        self.driver.next(stream)
        (feed,) = server.feeds
        self.until(lambda: len(feed.sizes) == 4)
        self.driver.sleep(0.1)
        self.assertEqual(feed.credits, [])
        # The server keeps LEAST in hand.
        self.assertEqual(len(feed.sizes), 4)
        self.driver.next(stream)
        self.until(lambda: feed.credits)
        self.assertEqual(feed.credits, [sum(feed.sizes[:2])])
        rest = self.all(stream)
        self.assertEqual(sum(map(len, rest)), 100_000)
        self.assertLess(len(feed.credits), 7)
        self.assertGreaterEqual(feed.least, 0)

    # The end before the end

    def test_closing_cancels(self):
        server = Streams(500_000, 10_000)
        client = self.client(server)
        stream = client.customers(columns=[19])
        self.driver.next(stream)
        self.driver.end_stream(stream)
        (feed,) = server.feeds
        self.until(lambda: feed.is_cancelled)
        self.assertIsNone(self.driver.next(stream))
        # What was on its way is passed over; the connection goes on.
        self.assertEqual(self.driver.call(client.lookup, [4], [19])[19].values, [40.0])
        self.assertEqual(len(self.server.peers), 1)
        self.assertLess(len(feed.sizes), 6)
        self.driver.sleep(0.05)
        self.assertEqual(client._pool._connections[0].session.load, 0)

    def test_dropping_cancels(self):
        server = Streams(500_000, 10_000)
        stream = self.client(server).customers(columns=[19])
        self.driver.next(stream)
        del stream
        gc.collect()
        self.until(lambda: server.feeds[0].is_cancelled)

    def test_with(self):
        server = Streams(500_000, 10_000)
        client = self.client(server)
        if isinstance(self.driver, Blocking):
            with client.customers(columns=[19]) as stream:
                next(stream)
        else:
            async def work():
                async with client.customers(columns=[19]) as stream:
                    async for _ in stream:
                        return
            self.driver.call(work)
        self.until(lambda: server.feeds[0].is_cancelled)

    def test_a_stream_read_to_its_end_is_not_cancelled(self):
        server = Streams(25, 10)
        client = self.client(server)
        stream = client.customers(columns=[19])
        self.all(stream)
        self.driver.end_stream(stream)
        self.driver.call(client.ping)
        self.assertEqual(server.others, [])

    def test_a_stream_that_never_began(self):
        server = Streams(25, 10)
        client = self.client(server)
        self.driver.end_stream(client.customers(columns=[19]))
        self.driver.call(client.ping)
        self.assertEqual((server.others, server.feeds), ([], []))

    def test_deadline(self):
        server = Streams(50, 10, before=lambda feed: feed.at == 20)
        client = self.client(server)
        stream = client.customers(columns=[19], deadline=0.3)
        self.assertEqual(len(self.driver.next(stream)) + len(self.driver.next(stream)), 20)
        self.refuses(errors.DeadlinePassed, self.next_of, stream)
        feed = server.feeds[0]
        self.until(lambda: feed.is_cancelled)
        self.assertTrue(1 <= feed.request.aux <= 300)
        self.assertEqual(len(server.feeds), 1)
        self.driver.call(client.ping)
        self.assertEqual(len(self.server.peers), 1)

    def next_of(self, stream):
        return next(stream) if isinstance(self.driver, Blocking) else stream.__anext__()

    def test_without_a_deadline_the_server_has_all_the_time_there_is(self):
        server = Streams(5, 10)
        self.all(self.client(server).customers(columns=[19], deadline=None))
        self.assertEqual(server.feeds[0].request.aux, 0xFFFFFFFF)

    def test_a_call_that_is_given_up_is_cancelled(self):
        got = []

        def script(peer, request):
            got.append(request)
            if request.opcode == CANCEL:
                peer.send(end_of(got[0], 901))
            elif len(got) > 1:
                peer.send(ping_answer(request))

        client = self.client(script)
        self.refuses(errors.DeadlinePassed, client.ping, deadline=0.1)
        self.until(lambda: len(got) == 2)
        self.assertEqual((got[1].opcode, got[1].request_id), (CANCEL, got[0].request_id))
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertEqual(client._pool._connections[0].session.load, 0)

    def test_not_where_the_server_does_not_know_cancel(self):
        got = []
        client = self.client(lambda peer, request: got.append(request), active=0)
        self.refuses(errors.DeadlinePassed, client.ping, deadline=0.1)
        self.driver.sleep(0.1)
        self.assertEqual(len(got), 1)

    # Lost connections

    def test_a_lost_connection(self):
        """It is lost twice, once with a chunk that was cut: nobody is missing, nobody comes twice."""
        def before(feed):
            if feed.peer.number == 0 and feed.at == 30:
                feed.peer.close()
                feed.is_done = True
            elif feed.peer.number == 1 and feed.at == 70:
                whole = chunk_frame(feed.request, range(70, 80), 80, bytes(32), True)
                feed.peer.send(whole[:-9])
                feed.peer.close()
                feed.is_done = True
            return feed.is_done

        server = Streams(100, 10, before=before)
        chunks = self.all(self.client(server).customers("all", [19]))
        self.assertEqual(self.ids(chunks), list(range(100)))
        tokens = [struct.unpack_from("<Q", feed.token)[0] for feed in server.feeds]
        self.assertEqual(tokens, [0, 30, 70])
        self.assertEqual({feed.rule for feed in server.feeds}, {"all"})

    def test_lost_again_and_again_without_a_step_forward(self):
        def before(feed):
            feed.peer.close()
            feed.is_done = True
            return True

        server = Streams(100, 10, before=before)
        client = self.client(server)
        self.refuses(errors.ConnectionLost, self.next_of, client.customers(columns=[19]))
        self.assertEqual(len(server.feeds), 4)

    def test_the_snapshot_was_replaced_meanwhile(self):
        def before(feed):
            if feed.peer.number == 0 and feed.at == 30:
                feed.peer.close()
                feed.is_done = True
            elif feed.peer.number > 0:
                feed.peer.send(end_of(feed.request, 301))
                feed.is_done = True
            return feed.is_done

        server = Streams(100, 10, before=before)
        stream = self.client(server).customers(columns=[19])
        for _ in range(3):
            self.driver.next(stream)
        error = self.refuses(errors.RetryNow, self.next_of, stream)
        self.assertEqual(error.name, "snapshotChanged")
        # The same token would find the same.
        self.assertEqual(len(server.feeds), 2)

    def test_a_reader_that_took_too_long(self):
        """The server ends a stream that gets no credit as one whose deadline has passed."""
        def before(feed):
            if feed.at == 30 and len(server.feeds) == 1:
                feed.peer.send(end_of(feed.request, 801))
                feed.is_done = True
            return feed.is_done

        server = Streams(100, 10, before=before)
        chunks = self.all(self.client(server).customers(columns=[19]))
        self.assertEqual(self.ids(chunks), list(range(100)))
        self.assertEqual(len(server.feeds), 2)

    def test_drain(self):
        """The stream ends where it began, new calls go elsewhere."""
        def before(feed):
            if feed.at == 20 and not held:
                held.append(feed)
                feed.peer.send(goaway(502, "the server is shutting down"))
                return True
            return False

        held = []
        server = Streams(50, 10, before=before)
        client = self.client(server)
        stream = client.customers(columns=[19])
        chunks = [self.driver.next(stream), self.driver.next(stream)]
        self.driver.sleep(0.05)
        self.driver.call(client.ping)
        with server.lock:
            server.pump(held[0])
        chunks += self.all(stream)
        self.assertEqual(self.ids(chunks), list(range(50)))
        self.assertEqual((len(server.feeds), len(self.server.peers)), (1, 2))
        self.assert_closed(self.server.peers[0])

    def test_an_error_in_the_middle(self):
        def before(feed):
            if feed.at == 20:
                feed.peer.send(end_of(feed.request, 1101))
                feed.is_done = True
            return feed.is_done

        server = Streams(50, 10, before=before)
        stream = self.client(server).customers(columns=[19])
        self.driver.next(stream), self.driver.next(stream)
        self.refuses(errors.DataDamaged, self.next_of, stream)
        self.assertEqual(len(server.feeds), 1)
        self.assertEqual(len(self.server.peers), 1)

    # Beside others

    def test_two_streams_and_look_ups(self):
        server = Streams(100_000, 9_000)
        client = self.client(server)
        streams = [client.customers(columns=[19], credit=LEAST) for _ in range(2)]
        found, ended, turn = [[], []], 0, 0
        while ended < 2:
            for n, stream in enumerate(streams):
                chunk = self.driver.next(stream)
                if chunk is None:
                    ended += 1
                    continue
                found[n] += chunk.ids
                turn += 1
                self.assertEqual(
                    self.driver.call(client.lookup, [turn, -1], [19])[19].values, [10.0 * turn, None])
        self.assertEqual(found, [list(range(100_000))] * 2)
        self.assertEqual(len(self.server.peers), 1)

    def test_together(self):
        """Streams and look-ups of many threads or tasks at once."""
        server = Streams(60_000, 6_000)
        client = self.client(server)
        if isinstance(self.driver, Blocking):
            def scan():
                return [i for chunk in client.customers(columns=[19], credit=LEAST) for i in chunk.ids]
        else:
            async def scan():
                return [i async for chunk in client.customers(columns=[19], credit=LEAST)
                        for i in chunk.ids]
        scans = [self.driver.start(scan) for _ in range(4)]
        calls = [self.driver.start(client.lookup, [n], [19]) for n in range(200)]
        self.assertEqual(
            [self.driver.wait(call)[19].values for call in calls], [[10.0 * n] for n in range(200)])
        for found in scans:
            self.assertEqual(self.driver.wait(found), list(range(60_000)))
        self.assertEqual(len(self.server.peers), 1)

    # Names

    def test_names_of_a_snapshot_that_is_replaced(self):
        """The description was of another generation than the stream: it begins anew."""
        server = Streams(20, 10)
        client = self.client(server)
        server.generation = 6
        self.driver.call(client.describe)
        server.generation = 7
        stream = client.customers(columns=["segment"])
        described = len(server.others)
        self.assertEqual(self.ids(self.all(stream)), list(range(20)))
        # Described anew; the numbers are the same, so the stream went on.
        self.assertEqual((len(server.others), len(server.feeds)), (described + 1, 1))

    def test_names_that_changed_their_numbers(self):
        server = Streams(20, 10)
        answers = {6: [(65, "segment")], 7: [(64, "segment")]}

        def script(peer, request):
            if request.opcode == DESCRIBE:
                peer.send(describe_answer(request, answers[server.generation], server.generation))
            else:
                server(peer, request)

        client = self.client(script)
        server.generation = 6
        self.driver.call(client.describe)
        server.generation = 7
        self.assertEqual(self.ids(self.all(client.customers(columns=["segment"]))), list(range(20)))
        asked = [struct.unpack_from("<H", bytes(f.request.payload), 48)[0] for f in server.feeds]
        self.assertEqual(asked, [65, 64])

    # Faults

    def test_a_server_without_streams(self):
        got = []
        client = self.client(lambda peer, request: got.append(request), active=0)
        error = self.refuses(errors.Unsupported, self.next_of, client.customers(columns=[19]))
        self.assertEqual((error.name, got), ("unsupportedFeature", []))

    def test_faults_in_chunks(self):
        def error_with_more(request):
            return frame(0x8000 | SCAN, request.request_id, error_body("no"), 1201, flags=2)

        def another_generation(request):
            return chunk_frame(request, range(5), 5, bytes(32), True) + chunk_frame(
                request, range(5), 10, bytes(32), False, generation=8)

        def no_ids(request):
            body = stamp() + bytes(64) + table([(0xF001, INT32, [0])], 1, 128)
            return answer(SCAN, request.request_id, body)

        def an_answer_to_credit(request):
            return answer(CREDIT, request.request_id, b"")

        cases = ((error_with_more, "unsupportedFlag"), (another_generation, "valueOutOfRange"),
                 (no_ids, "unknownColumn"), (an_answer_to_credit, "wrongDirection"))
        for make, name in cases:
            with self.subTest(make.__name__):
                client = self.client(
                    lambda peer, request: request.opcode == SCAN and peer.send(make(request)))

                def read():
                    return self.all(client.customers(columns=[19]))
                with self.assertRaises(errors.MalformedAnswer) as caught:
                    read()
                self.assertEqual(caught.exception.name, name)

    def test_arguments(self):
        client = self.client(Streams(5, 5))
        cases = (
            (dict(rule=""), "valueOutOfRange"), (dict(rule="x" * 65_537), "tooManyItems"),
            (dict(rule=7), "valueOutOfRange"), (dict(columns=[1, 1]), "duplicateColumn"),
            (dict(columns=[]), "valueOutOfRange"), (dict(columns="revenue"), "valueOutOfRange"),
            (dict(credit=LEAST - 1), "valueOutOfRange"), (dict(credit=(1 << 24) + 1), "valueOutOfRange"),
            (dict(after=b"short"), "valueOutOfRange"), (dict(after="x" * 32), "valueOutOfRange"))
        for options, name in cases:
            with self.subTest(options):
                with self.assertRaises(errors.FixRequest) as caught:
                    client.customers(**options)
                self.assertEqual(caught.exception.name, name)


class BlockingStreamTests(StreamScenarios, unittest.TestCase):
    Driver = Blocking

    def test_a_server_that_takes_nothing(self):
        """CREDIT waits where the socket is full, and is sent once it is not."""
        server = Streams(60_000, 10_000)
        client = self.client(server)
        stream = client.customers(columns=[19], credit=LEAST)
        connection = client._pool._connections[0]
        next(stream)
        with connection._sending:
            # As if another thread were in the middle of a long request.
            next(stream)
            self.assertTrue(connection._control)
        self.assertEqual(sum(len(chunk) for chunk in stream), 40_000)
        self.assertFalse(connection._control)


    def test_what_was_on_its_way_costs_no_connection(self):
        """Nobody reads the rest of a stream that was ended until there is another call."""
        server = Streams(500_000, 10_000)
        client = self.client(server)
        with client.customers(columns=[19]) as stream:
            next(stream)
        self.until(lambda: server.feeds[0].is_cancelled)
        client._pool._connections[0].session.last_received -= 60
        for _ in range(50):
            client.ping()
        self.assertEqual(len(self.server.peers), 1)
        self.assertEqual(client._pool._connections[0].session.load, 0)


class AsyncioStreamTests(StreamScenarios, unittest.TestCase):
    Driver = Asyncio

    def test_a_cancelled_task_cancels(self):
        got = []
        client = self.client(lambda peer, request: got.append(request))
        call = self.driver.start(client.ping)
        self.driver.sleep(0.05)
        call.cancel()
        self.until(lambda: len(got) == 2)
        self.assertEqual((got[1].opcode, got[1].request_id), (CANCEL, got[0].request_id))

    def test_a_cancelled_reader_cancels(self):
        server = Streams(50, 10, before=lambda feed: feed.at == 10)
        stream = self.client(server).customers(columns=[19])
        self.driver.next(stream)
        read = self.driver.start(stream.__anext__)
        self.driver.sleep(0.05)
        read.cancel()
        self.until(lambda: server.feeds[0].is_cancelled)


if __name__ == "__main__":
    unittest.main()
