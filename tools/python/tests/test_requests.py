"""What a call refuses before anything is sent."""

import struct
import unittest
from decimal import Decimal

from .support import requires
from patron_client import _requests as requests, errors
from patron_client._options import make_settings
from patron_client._retry import Budget, Retries, Tries
import time


def settings(**changed):
    arguments = dict(
        host="h", port=1, token=None, tls=None, deadline=1.0, connect_timeout=1.0, retries=None,
        maximum_frame_bytes=4096, client_name="", timings=False)
    arguments.update(changed)
    return make_settings(**arguments)


class ValidationTests(unittest.TestCase):
    def refused(self, name, make, field=None):
        with self.assertRaises(errors.FixRequest) as caught:
            make()
        self.assertEqual(caught.exception.name, name)
        self.assertTrue(caught.exception.hint, "an error says what to do")
        if field is not None:
            self.assertEqual(caught.exception.field, field)

    def test_ids(self):
        cases = [
            ("valueOutOfRange", []), ("wrongIDKind", [1, "a"]), ("wrongIDKind", ["a", 1]),
            ("valueOutOfRange", [1 << 63]), ("valueOutOfRange", [-(1 << 63) - 1]),
            ("valueOutOfRange", [1.0]), ("valueOutOfRange", [float("nan")]),
            ("valueOutOfRange", [True]), ("valueOutOfRange", [None]), ("valueOutOfRange", "abc"),
            ("valueOutOfRange", [b"abc"]), ("tooManyItems", ["x" * 1025]),
            ("tooManyItems", ["ü" * 513]), ("invalidText", ["\ud800"])]
        for name, ids in cases:
            with self.subTest(repr(ids)[:30]):
                self.refused(name, lambda: requests.IDs(ids))
        for identifier in (1 << 63, 1.5, None, True):
            self.refused("valueOutOfRange", lambda: requests.encode_id(identifier))
        self.refused("tooManyItems", lambda: requests.encode_id("x" * 1025))

    def test_largest_ids(self):
        made = requests.IDs([(1 << 63) - 1, -(1 << 63)]).encode()
        self.assertEqual(struct.unpack("<2q", made), ((1 << 63) - 1, -(1 << 63)))
        self.assertEqual(len(requests.IDs(["x" * 1024]).encode()), 8 + 1024)

    def test_parts_of_ids(self):
        ids = requests.IDs(list(range(10)))
        self.assertEqual(ids[3:5].encode(), struct.pack("<2q", 3, 4))
        self.assertEqual(list(ids[3:5].given), [3, 4])
        texts = requests.IDs(["a", "bc", "", "d"])
        self.assertEqual(texts[1:3].encode(), struct.pack("<3I", 0, 2, 2) + b"bc")

    def test_columns(self):
        ids = requests.IDs([1])
        self.refused("duplicateColumn", lambda: requests.Lookup(ids, [1, 1]))
        self.refused("valueOutOfRange", lambda: requests.Lookup(ids, []))
        self.refused("valueOutOfRange", lambda: requests.Lookup(ids, [70_000]))
        self.refused("tooManyItems", lambda: requests.Lookup(ids, range(1025)))

    def test_counts(self):
        for count, name in ((0, "valueOutOfRange"), (-1, "valueOutOfRange"), (1.5, "valueOutOfRange"),
                            (True, "valueOutOfRange"), (10_001, "tooManyItems")):
            for make in (lambda: requests.TopProducts(1, count), lambda: requests.Similar(1, 1, count),
                         lambda: requests.OfferProducts(1, count),
                         lambda: requests.OfferCustomers(1, count)):
                self.refused(name, make, "count")

    def test_prices(self):
        for price in (float("nan"), float("inf"), -1, Decimal("-0.01"), Decimal("NaN"), "cheap", object()):
            for field in ("lowest_price", "highest_price"):
                with self.subTest(repr(price)[:20], field=field):
                    self.refused(
                        "valueOutOfRange", lambda: requests.OfferProducts(1, **{field: price}))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, lowest_price=2, highest_price=1))
        # 0 would be no limit on the wire.
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, highest_price=0))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, lowest_price=1e15))
        self.assertEqual(requests.encode_price(19.99, ""), 199_900)
        self.assertEqual(requests.encode_price(Decimal("0.1"), ""), 1000)
        self.assertEqual(requests.encode_price(None, ""), 0)

    def test_offers(self):
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, offer="best"))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, rank="probability"))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, bought="no"))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, largest_ratio=1.0))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, largest_ratio=float("nan")))
        self.refused("tooManyItems", lambda: requests.OfferProducts(1, categories=["a"] * 1025))
        self.refused("tooManyItems", lambda: requests.OfferProducts(1, bought_since=[1] * 1025))
        self.refused("valueOutOfRange", lambda: requests.OfferProducts(1, categories="books"))
        self.refused("valueOutOfRange", lambda: requests.OfferCustomers(1, rank="margin"))
        self.refused("valueOutOfRange", lambda: requests.Segments(""))
        self.refused("tooManyItems", lambda: requests.Segments("x" * 4097))

    def test_settings(self):
        self.refused("valueOutOfRange", lambda: settings(port=0))
        self.refused("valueOutOfRange", lambda: settings(deadline=0))
        self.refused("valueOutOfRange", lambda: settings(deadline=float("nan")))
        self.refused("valueOutOfRange", lambda: settings(maximum_frame_bytes=100))
        self.refused("tooManyItems", lambda: settings(token="x" * 1025))
        self.refused("tooManyItems", lambda: settings(client_name="x" * 4097))
        self.refused("invalidMeta", lambda: settings().with_options(1, "", None))
        self.refused("invalidMeta", lambda: settings().with_options(1, "x" * 65, None))
        self.refused("invalidMeta", lambda: settings().with_options(1, None, 256))

    @requires("numpy")
    def test_numpy_ids(self):
        import numpy
        for kind in ("i4", "u2", "<i8", ">i8", "u8"):
            ids = requests.IDs(numpy.array([1, 2, 300], dtype=kind))
            self.assertEqual(ids.encode(), struct.pack("<3q", 1, 2, 300), kind)
            self.assertEqual(ids.given, [1, 2, 300])
        self.assertEqual(requests.IDs([numpy.int64(5), 6]).encode(), struct.pack("<2q", 5, 6))
        self.assertEqual(requests.IDs(numpy.array(["a", "b"])).encode(), struct.pack("<3I", 0, 1, 2) + b"ab")
        self.refused("valueOutOfRange", lambda: requests.IDs(numpy.array([1 << 63], dtype="u8")))
        self.refused("valueOutOfRange", lambda: requests.IDs(numpy.array([1.5])))
        self.refused("valueOutOfRange", lambda: requests.IDs(numpy.array([[1], [2]])))
        self.refused("valueOutOfRange", lambda: requests.IDs(numpy.array([], dtype="i8")))

    @requires("pyarrow")
    def test_arrow_ids(self):
        import pyarrow
        self.assertEqual(requests.IDs(pyarrow.array([1, 2])).encode(), struct.pack("<2q", 1, 2))
        texts = pyarrow.chunked_array([["a"], ["b"]])
        self.assertEqual(requests.IDs(texts).given, ["a", "b"])
        self.refused("valueOutOfRange", lambda: requests.IDs(pyarrow.array([None, None])))

    def test_the_token_is_not_shown(self):
        self.assertNotIn("secret", repr(settings(token="secret")))


class Writing(requests.Ping):
    """As an operation that changes something will be."""
    idempotent = False


class RetryTests(unittest.TestCase):
    def pause(self, error, *, sent=True, may_repeat=True, seconds=60.0, attempts=4):
        retries = Retries(attempts=attempts)
        tries = Tries(retries, time.monotonic() + seconds, may_repeat, Budget(retries))
        return tries.pause_after(error, sent)

    def test_what_is_repeated(self):
        for status in (301, 401, 402, 499, 501, 502, 599, 712):
            self.assertIsNotNone(self.pause(errors.error_for(status, "")), status)
        for status in (101, 201, 503, 601, 701, 707, 801, 901, 1001, 1101, 1201):
            self.assertIsNone(self.pause(errors.error_for(status, "")), status)
        self.assertEqual(self.pause(errors.ConnectionLost("")), 0)
        self.assertIsNone(self.pause(errors.malformed("bodyChecksumMismatch", "bodyCRC")))

    def test_not_what_changes_something(self):
        self.assertIsNone(self.pause(errors.ConnectionLost(""), may_repeat=False))
        self.assertIsNone(self.pause(errors.error_for(401, ""), may_repeat=False))
        # What was never sent did nothing.
        self.assertIsNotNone(self.pause(errors.ConnectionLost(""), may_repeat=False, sent=False))
        request = Writing(1)
        self.assertFalse(request.may_repeat)
        request.idempotency_key = bytes(16)
        self.assertTrue(request.may_repeat)
        self.assertIn(struct.pack("<IHH", 20, 1, 16) + bytes(16), request.encode().payload)

    def test_within_the_deadline(self):
        slow = errors.error_for(401, "", retry_after=5.0)
        self.assertIsNone(self.pause(slow, seconds=4))
        self.assertGreaterEqual(self.pause(slow, seconds=60), 5.0)

    def test_not_for_ever(self):
        tries = Tries(Retries(attempts=3), None, True, Budget(Retries()))
        pauses = [tries.pause_after(errors.error_for(501, ""), True) for _ in range(3)]
        self.assertEqual([pause is None for pause in pauses], [False, False, True])

    def test_pauses_grow_and_differ(self):
        longest = [0.0] * 6
        for _ in range(200):
            retries = Retries(attempts=7, first_pause=0.01, longest_pause=0.1)
            tries = Tries(retries, None, True, Budget(retries))
            for n in range(6):
                longest[n] = max(longest[n], tries.pause_after(errors.error_for(401, ""), True))
        for n, expected in enumerate((0.01, 0.02, 0.04, 0.08, 0.1, 0.1)):
            self.assertLessEqual(longest[n], expected)
            self.assertGreater(longest[n], expected * 0.7)

    def test_the_budget_is_that_of_all_calls(self):
        retries = Retries(attempts=9, budget_share=0.1, budget_reserve=7)
        budget = Budget(retries)
        repeated = 0
        for _ in range(100):
            tries = Tries(retries, None, True, budget)
            while tries.pause_after(errors.error_for(401, ""), True) is not None:
                repeated += 1
        # Seven for nothing, and one for every ten calls.
        self.assertIn(repeated, (16, 17))
        # What was never sent costs nothing.
        spent = Tries(retries, None, True, budget)
        self.assertIsNone(spent.pause_after(errors.error_for(401, ""), True))
        self.assertIsNotNone(spent.pause_after(errors.ConnectionLost(""), False))

    def test_budgets_that_cannot_be(self):
        for share, reserve in ((-0.1, 1), (1.1, 1), (0.5, -1)):
            with self.assertRaises(ValueError):
                Retries(budget_share=share, budget_reserve=reserve)


if __name__ == "__main__":
    unittest.main()
