"""APPEND: lines from everything that has columns, what is refused before it is sent, and one key for
all tries."""

import datetime
import math
import struct
import unittest
from decimal import Decimal

from . import support
from .drivers import Asyncio, Blocking, Scenarios
from .support import requires, stamp, table
import patron_client
from patron_client import PurchaseLines, RefusalReason, errors
from patron_client._append import Append
from patron_client._body import Body
from patron_client._frame import FLAG_LZ4, decompress, lz4_block, open_frame
from patron_client._table import read_table

UTC = datetime.timezone.utc
NUMBERS = {0xF002: "customers", 0xF080: "days", 0xF081: "times", 0xF082: "amounts", 0xF083: "margins",
           0xF084: "costs", 0xF085: "quantities", 0xF086: "orders", 0xF087: "products",
           0xF088: "categories", 0xF089: "promotions", 0xF08A: "channels"}


def lines(**changed):
    arguments = dict(customers=[17850, 13047], days=[10, 11], amounts=[1, 2], currency="GBP")
    arguments.update(changed)
    return PurchaseLines(**arguments)


def read_back(sent):
    """Types and values of the columns that the server gets."""
    body = Append(sent).body()
    found = read_table(Body(memoryview(body)), 64).columns
    return {NUMBERS[number]: (lanes.kind, lanes.list()) for number, lanes in found.items()}


class LineTests(unittest.TestCase):
    def test_sequences(self):
        found = read_back(lines(
            customers=[1, None, 3], days=None, times=[0, None, 1_700_000_000],
            amounts=["12.50", Decimal("-0.01"), None], costs=[1, 2.344, None], decimals=2,
            quantities=[1, None, 0.5], orders=["a", 7, None], products=["P", "", "\xe9"]))
        self.assertEqual(found, {
            "customers": (2, [1, None, 3]), "times": (2, [0, None, 1_700_000_000]),
            "amounts": (2, [1250, -1, None]), "costs": (2, [100, 234, None]),
            "quantities": (3, [1.0, None, 0.5]), "orders": (5, ["a", "7", None]),
            "products": (5, ["P", "", "\xe9"])})

    def test_heads(self):
        body = Append(lines(currency="EUR", decimals=4)).body()
        self.assertEqual(body[:64], bytes([4, 0, 0, 0]) + b"EUR" + bytes(57))
        request = Append(lines())
        self.assertEqual(len(request.idempotency_key), 16)
        self.assertNotEqual(request.idempotency_key, Append(lines()).idempotency_key)
        self.assertTrue(request.may_repeat)

    def test_times(self):
        noon = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
        early = datetime.datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
        self.assertEqual(
            read_back(lines(days=None, times=[noon, early]))["times"], (2, [1_709_200_800, -1]))
        self.assertEqual(
            read_back(lines(days=[datetime.date(1970, 1, 2), datetime.date(1969, 12, 31)]))["days"],
            (1, [1, -1]))

    def test_amounts(self):
        def scaled(decimals, *values, **options):
            found = read_back(PurchaseLines(
                customers=[1] * len(values), days=[1] * len(values), amounts=list(values),
                currency="EUR", decimals=decimals, **options))
            return found["amounts"][1]

        # Floats are rounded, all else is exact.
        self.assertEqual(scaled(2, 12.3, 0.1 + 0.2, 1e15, -0.005), [1230, 30, 10**17, 0])
        self.assertEqual(scaled(0, 12, Decimal("5"), "-7", 2.5), [12, 5, -7, 2])
        self.assertEqual(scaled(4, Decimal("1.2345"), 1), [12_345, 10_000])
        self.assertEqual(scaled(2, 1250, -1, 3.0, are_scaled=True), [1250, -1, 3])
        self.assertEqual(scaled(2, math.nan, None, Decimal("NaN"), 1), [None, None, None, 100])

    def test_what_cannot_be_is_not_sent(self):
        aware = datetime.datetime(2024, 1, 1, tzinfo=UTC)
        cases = {
            "valueOutOfRange": [
                dict(decimals=-1), dict(decimals=True), dict(decimals=1.0), dict(currency="E\0"),
                dict(amounts=["x", 1]), dict(amounts=[Decimal("0.001"), 1]), dict(amounts=[True, 1]),
                dict(amounts=[math.inf, 1]), dict(amounts=[1 << 62, 1]), dict(amounts=[object(), 1]),
                dict(amounts=[1.5, 2], are_scaled=True), dict(amounts="12"), dict(amounts=[1]),
                dict(days=[1]), dict(days=[1.5, 2]), dict(days=["2024-01-01", 1]), dict(days=[1 << 31, 1]),
                dict(days=[aware, aware]), dict(days=None, times=[aware.replace(tzinfo=None), aware]),
                dict(days=None, times=[datetime.date(2024, 1, 1), aware]),
                dict(customers=[1.5, 2]), dict(customers=[1 << 63, 2]), dict(customers=[True, 2]),
                dict(quantities=["3", 1]), dict(quantities=[1e39, 1]), dict(quantities=[math.inf, 1]),
                dict(orders=[1.5, "a"]), dict(products=[b"P", "a"]), dict(channels="ab"),
            ],
            "tooManyItems": [dict(customers=["x" * 1025, "a"]), dict(currency="EUROPEANS")],
            "wrongIDKind": [dict(customers=[1, "a"])],
            "invalidText": [dict(products=["\ud800", "a"]), dict(currency="\ud800")],
            "duplicateColumn": [dict(margins=[1, 1], costs=[1, 1])],
        }
        for name, made in cases.items():
            for changed in made:
                with self.subTest(name, changed=repr(changed)[:60]):
                    with self.assertRaises(errors.FixRequest) as caught:
                        Append(lines(**changed))
                    self.assertEqual(caught.exception.name, name)
                    self.assertTrue(caught.exception.hint)
        for key in (b"", bytes(16), bytes(15), "0" * 16):
            with self.assertRaises(errors.FixRequest) as caught:
                Append(lines(), key)
            self.assertEqual(caught.exception.name, "invalidMeta")
        with self.assertRaises(errors.FixRequest):
            Append({"customers": [1]})

    def test_the_line_at_fault_is_named(self):
        with self.assertRaises(errors.FixRequest) as caught:
            Append(lines(amounts=[1, "two"]))
        self.assertEqual((caught.exception.field, "line 1" in caught.exception.text), ("amounts", True))

    EXPECTED = {
        "customers": (2, [1, 2, 3]), "days": (1, [19_782, None, 0]), "amounts": (2, [1250, None, -5]),
        "quantities": (3, [1.0, None, 2.5]), "products": (5, ["P", "Q", None])}

    def test_mappings(self):
        made = PurchaseLines.of({
            "customer": [1, 2, 3], "day": [19_782, None, 0], "amount": [12.5, None, -0.05],
            "quantity": [1, None, 2.5], "sku": ["P", "Q", None], "other": [1, 2, 3]}, "EUR",
            names={"products": "sku"})
        self.assertEqual(read_back(made), self.EXPECTED)
        with self.assertRaises(errors.FixRequest) as caught:
            PurchaseLines.of({"customer": [1]}, "EUR")
        self.assertIn("amount", caught.exception.text)
        for names in ({"product": "sku"}, {"products": "nothing"}):
            with self.assertRaises(errors.FixRequest):
                PurchaseLines.of({"customer": [1], "amount": [1]}, "EUR", names=names)
        with self.assertRaises(errors.FixRequest):
            PurchaseLines.of([1, 2], "EUR")

    @requires("numpy")
    def test_numpy(self):
        import numpy
        days = numpy.array(["2024-02-29", "NaT", "1970-01-01"], dtype="datetime64[D]")
        made = PurchaseLines(
            customers=numpy.array([1, 2, 3], dtype="u2"), days=days,
            amounts=numpy.array([12.5, numpy.nan, -0.05]), currency="EUR",
            quantities=numpy.ma.masked_array([1, 9, 2.5], mask=[0, 1, 0]),
            products=numpy.array(["P", "Q", None], dtype=object))
        self.assertEqual(read_back(made), self.EXPECTED)
        # Instants at midnight are days too, others are not.
        made.days = days.astype("datetime64[ns]")
        self.assertEqual(read_back(made), self.EXPECTED)
        times = numpy.array(["2024-02-29T12:00", "NaT", "1969-12-31T23:59:59"], dtype="datetime64[ms]")
        made.days, made.times = None, times
        self.assertEqual(read_back(made)["times"], (2, [1_709_208_000, None, -1]))
        made.days, made.times = times, None
        with self.assertRaises(errors.FixRequest):
            Append(made)
        made.days, made.times = None, days
        with self.assertRaises(errors.FixRequest):
            Append(made)
        self.assertEqual(
            read_back(lines(amounts=[numpy.float32(0.5), numpy.int8(3)]))["amounts"], (2, [50, 300]))

    @requires("pandas")
    def test_pandas(self):
        import pandas
        frame = pandas.DataFrame({
            "customer": [1, 2, 3],
            "day": pandas.to_datetime(["2024-02-29", None, "1970-01-01"]),
            "amount": [12.5, None, -0.05], "quantity": [1, None, 2.5],
            "product": pandas.array(["P", "Q", None], dtype="string")})
        self.assertEqual(read_back(PurchaseLines.of(frame, "EUR")), self.EXPECTED)
        frame["amount"] = pandas.array([12, None, -5], dtype="Int64")
        self.assertEqual(
            read_back(PurchaseLines.of(frame, "EUR"))["amounts"], (2, [1200, None, -500]))
        frame["time"] = pandas.to_datetime(
            ["2024-02-29 13:00", None, "1970-01-01 01:00"]).tz_localize("Europe/Paris")
        made = PurchaseLines.of(frame.drop(columns="day"), "EUR")
        self.assertEqual(read_back(made)["times"], (2, [1_709_208_000, None, 0]))

    @requires("pyarrow")
    def test_arrow(self):
        import pyarrow
        made = pyarrow.table({
            "customer": pyarrow.array([1, 2, 3], pyarrow.int32()),
            "day": pyarrow.array([datetime.date(2024, 2, 29), None, datetime.date(1970, 1, 1)]),
            "amount": pyarrow.array([Decimal("12.50"), None, Decimal("-0.05")]),
            "quantity": [1, None, 2.5], "product": ["P", "Q", None]})
        self.assertEqual(read_back(PurchaseLines.of(made, "EUR")), self.EXPECTED)


def append_answer(request, accepted=2, refusals=(), sequence=5, is_repeat=0):
    facts = struct.pack("<QIIB47x", sequence, accepted, len(refusals), is_repeat)
    made = [(0xF090 + i, 1, [row[i] for row in refusals]) for i in range(3)]
    body = stamp() + facts + table(made, len(refusals), 128)
    return support.answer(0x40, request.request_id, body)


def key_of(request):
    return open_frame(request)[0].idempotency_key


class Appending(Scenarios):
    def test_refusals_are_typed(self):
        def script(peer, request):
            peer.send(append_answer(request, 0, [(0, 0xF002, 2), (1, 0xF082, 77)], (1 << 64) - 1))

        client = self.driver.connect(self.serve(script).port)
        found = self.driver.call(client.append, lines())
        self.assertEqual((found.accepted_count, found.refused_count, found.sequence), (0, 2, None))
        self.assertEqual(
            [(r.line, r.column, r.reason) for r in found.refusals],
            [(0, "customers", RefusalReason.INVALID_ID), (1, "amounts", RefusalReason.OTHER)])
        self.assertEqual((found.snapshot.generation, found.is_repeat), (7, False))

    def test_repeated_with_the_same_key(self):
        """The connection is lost, the log is busy, the disk is full: one key, one set of lines."""
        def script(peer, request):
            place = len(server.seen)
            server.seen.append(request)
            if place == 0:
                peer.close()
            elif place < 3:
                status = 410 if place == 1 else 510
                peer.send(support.answer(0x40, request.request_id, support.error_body("no"), status))
            else:
                peer.send(append_answer(request, is_repeat=1))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        found = self.driver.call(client.append, lines())
        self.assertEqual((found.is_repeat, found.sequence), (True, 5))
        self.assertEqual({key_of(request) for request in server.seen}, {found.key})
        self.assertEqual(len({bytes(request.payload) for request in server.seen}), 1)
        self.assertEqual(len(server.seen), 4)
        self.driver.call(client.append, lines())
        self.assertNotEqual(key_of(server.seen[4]), found.key)

    def test_the_error_has_the_key(self):
        def script(peer, request):
            server.seen.append(request)
            if len(server.seen) > 2:
                peer.send(append_answer(request))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        error = self.refuses(errors.DeadlinePassed, client.append, lines(), deadline=0.1)
        self.assertEqual(error.idempotency_key, key_of(server.seen[0]))
        own = patron_client.new_key()
        error = self.refuses(errors.DeadlinePassed, client.append, lines(), key=own, deadline=0.1)
        self.assertEqual(error.idempotency_key, own)
        found = self.driver.call(client.append, lines(), key=error.idempotency_key)
        self.assertEqual((found.key, key_of(server.seen[-1])), (own, own))

    def test_not_repeated_where_that_is_useless(self):
        for status in (130, 131, 602, 1010, 1201):
            def script(peer, request):
                peer.send(support.answer(0x40, request.request_id, support.error_body("no"), status))

            server = self.serve(script)
            client = self.driver.connect(server.port)
            error = self.refuses(errors.PatronError, client.append, lines())
            self.assertEqual(error.status, status)
            self.assertEqual(sum(len(peer.requests) for peer in server.peers), 1)

    @unittest.skipUnless(lz4_block, "the package lz4 is not installed")
    def test_large_requests_are_compressed(self):
        def script(peer, request):
            server.seen.append(request)
            peer.send(append_answer(request))

        many = lines(customers=list(range(5000)), days=[7] * 5000, amounts=[1] * 5000)
        for active in (0, 1):
            server = self.serve(script, active=active)
            server.seen = []
            client = self.driver.connect(server.port, compression=True)
            self.driver.call(client.append, many)
            self.driver.call(client.append, lines())
            large, small = server.seen
            # Never a small one, and none where HELLO did not agree.
            self.assertEqual((large.flags & FLAG_LZ4, small.flags & FLAG_LZ4), (active, 0))
            expected = Append(many, key_of(small)).body()
            self.assertEqual(large.raw_length, len(expected))
            if active:
                self.assertLess(large.size, large.raw_length)
                large = decompress(large, 1 << 24)
            self.assertEqual(bytes(open_frame(large)[1]), expected)

    def test_labels_do_not_go_with_it(self):
        def script(peer, request):
            server.seen.append(request)
            peer.send(append_answer(request))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port).with_options(label="canary", trace_id="t")
        self.driver.call(client.append, lines())
        meta = open_frame(server.seen[0])[0]
        self.assertEqual((meta.trace_id, meta.model_label), (b"t", None))


class Erasing(Scenarios):
    def receipt(self, request, found, is_repeat=0):
        facts = struct.pack("<QqB47x", 9, 1_700_000_000, is_repeat)
        body = stamp() + facts + table([(0xF0C0, 1, found)], len(found), 128)
        return support.answer(0x41, request.request_id, body)

    def test_repeated_with_the_same_key(self):
        def script(peer, request):
            server.seen.append(request)
            if len(server.seen) == 1:
                peer.close()
            else:
                peer.send(self.receipt(request, [3, 0, 5], 1))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        found = self.driver.call(client.erase, [5, -6, 7])
        self.assertEqual((found.sequence, found.is_repeat), (9, True))
        self.assertEqual(found.erased_at, datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
        self.assertEqual(
            [(c.id, c.was_in_snapshot, c.had_appended) for c in found.customers],
            [(5, True, True), (-6, False, False), (7, True, False)])
        self.assertEqual({key_of(request) for request in server.seen}, {found.key})
        body = bytes(open_frame(server.seen[0])[1])
        self.assertEqual(body, struct.pack("<B3xI3q", 1, 3, 5, -6, 7))

    def test_receipts_that_cannot_be(self):
        def script(peer, request):
            peer.send(self.receipt(request, [1]))

        client = self.driver.connect(self.serve(script).port)
        error = self.refuses(errors.MalformedAnswer, client.erase, ["a", "b"])
        self.assertEqual(error.field, "rowCount")
        for customers, options in (([], {}), ([1, "a"], {}), ([1], {"key": bytes(16)})):
            self.refuses(errors.FixRequest, client.erase, customers, **options)


class BlockingEraseTests(Erasing, unittest.TestCase):
    Driver = Blocking


class AsyncioEraseTests(Erasing, unittest.TestCase):
    Driver = Asyncio


class BlockingAppendTests(Appending, unittest.TestCase):
    Driver = Blocking


class AsyncioAppendTests(Appending, unittest.TestCase):
    Driver = Asyncio


if __name__ == "__main__":
    unittest.main()
