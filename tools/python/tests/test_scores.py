"""SCORE and EXPLAIN: requests that cannot be are not made."""

import unittest

from . import support  # noqa: F401: the path of the package
from patron_client import errors
from patron_client._scores import Explain, Score
from patron_client._table import read_table
from patron_client._body import Body


class ScoreTests(unittest.TestCase):
    def test_tables_are_read_back(self):
        request = Score(
            [0, 2, None], [0, 200, 3], [300, 300, 8], [None, 35.5, 1], [20.0, 91.0, 4.5],
            {"channel": ["web", None, "caf\xe9"], "age": [31, 31, 31], "share": [0.5, None, 1]},
            ["lifetime_value", 16])
        body = request.body()
        self.assertEqual(body[:8], bytes([2, 0, 3, 0, 0, 0, 0, 0]))
        start = 8 + 4 + sum(2 + len(name) for name in (b"channel", b"age", b"share"))
        start += -start % 64
        table = read_table(Body(memoryview(body)), start)
        values = {number: lanes.list() for number, lanes in table.columns.items()}
        self.assertEqual(values, {
            1: [0, 2, None], 2: [0, 200, 3], 3: [300, 300, 8], 5: [None, 35.5, 1.0],
            6: [20.0, 91.0, 4.5], 64: ["web", None, "caf\xe9"], 65: [31, 31, 31], 66: [0.5, None, 1.0]})

    def test_what_cannot_be_is_not_sent(self):
        good = ([0], [0], [1])
        cases = {
            "valueOutOfRange": [
                lambda: Score([], [], []), lambda: Score([0.5], [0], [1]), lambda: Score([0, 1], [0], [1]),
                lambda: Score([1 << 31], [0], [1]), lambda: Score(["0"], [0], [1]), lambda: Score([True], [0], [1]),
                lambda: Score(*good, mean_order_value=[float("nan")]), lambda: Score(*good, revenue=[1, 2]),
                lambda: Score(*good, attributes={"": [1]}), lambda: Score(*good, attributes={"a": [1, 2]}),
                lambda: Score(*good, attributes={"a": ["x", "y"]}), lambda: Score(*good, columns=[]),
                lambda: Explain(1, ""),
            ],
            "tooManyItems": [lambda: Score([0] * 65_537, [0] * 65_537, [1] * 65_537)],
            "unknownColumn": [lambda: Score(*good, columns=["no_such"])],
            "duplicateColumn": [lambda: Score(*good, columns=[16, "probability_alive"])],
        }
        for name, made in cases.items():
            for index, make in enumerate(made):
                with self.subTest(name, index=index):
                    with self.assertRaises(errors.FixRequest) as caught:
                        make()
                    self.assertEqual(caught.exception.name, name)


if __name__ == "__main__":
    unittest.main()
