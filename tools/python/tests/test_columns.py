"""Columns as lists, NumPy arrays and Arrow arrays."""

import unittest

from .support import FLOAT32, FLOAT64, INT32, INT64, TEXT, requires, table_body
from .test_vectors import OK_ANSWERS, read_as_client
from patron_client._body import Body
from patron_client._frame import NO_META, aligned_buffer
from patron_client._read import read_lookup
from patron_client.answers import CustomerStatus, LookupAnswer

ROWS = 9
COLUMNS = [
    (0xF001, INT32, [0, 0, 1, 0, 0, 0, 2, 0, 77]),
    (4, INT64, [1, 2, None, -4, 5, 6, None, 8, (1 << 63) - 1]),
    (16, FLOAT32, [0.5, 0.25, None, 1, 1, 1, None, 1, 1]),
    (19, FLOAT64, [float(n) for n in range(ROWS)]),
    (64, TEXT, ["a", "", None, "Köln", "e", "f", None, "hh", "i"]),
]


def lookup(columns=COLUMNS, rows=ROWS):
    made = table_body(columns, rows)
    body = aligned_buffer(len(made))
    body[:] = made
    answer = read_lookup(Body(body.toreadonly()), NO_META, list(range(rows)))
    answer.names = {64: "town"}
    return answer


def constants():
    for name, _, data in OK_ANSWERS:
        if name == "lookup_response_many":
            ((_, found),) = read_as_client(data)
            return found


def joined():
    first, second = lookup(), lookup()
    return LookupAnswer(
        first.snapshot, first.status, [first.tables[0], second.tables[0]], {64: "town"},
        ids=list(range(2 * ROWS)))


class ListTests(unittest.TestCase):
    def test_lists(self):
        answer = lookup()
        names = ["row_status", "days_since_last_purchase", "probability_alive", "lifetime_value", "town"]
        self.assertEqual(list(answer.columns), names)
        for (number, _, values), name in zip(COLUMNS, names):
            self.assertEqual(answer[name].values, values)
            self.assertEqual(answer[number].values, values)
            self.assertEqual(answer[name].valid, [value is not None for value in values])
            self.assertEqual(list(answer[name]), values)
            self.assertEqual(len(answer[name]), ROWS)
        self.assertEqual(answer["town"][3], "Köln")
        self.assertEqual(answer["town"].type, "text")

    def test_rows(self):
        rows = lookup().rows()
        self.assertEqual(len(rows), ROWS)
        self.assertEqual(rows[3], {
            "id": 3, "row_status": 0, "days_since_last_purchase": -4, "probability_alive": 1.0,
            "lifetime_value": 3.0, "town": "Köln"})

    def test_customers(self):
        customers = lookup().customers()
        self.assertEqual(customers[2].status, CustomerStatus.UNKNOWN_CUSTOMER)
        self.assertEqual(customers[8].status, CustomerStatus.OTHER)
        self.assertEqual(customers[2]["town"], None)
        self.assertNotIn("row_status", customers[2].values)

    def test_several_tables_are_one_answer(self):
        answer = joined()
        self.assertEqual(len(answer), 2 * ROWS)
        self.assertEqual(answer["town"].values, COLUMNS[4][2] * 2)
        self.assertEqual(answer.rows()[ROWS + 3]["id"], ROWS + 3)

    def test_two_columns_of_one_name(self):
        # A segmentation may be called like a column of the protocol.
        for rows in (1, 2):
            answer = lookup([(0xF001, INT32, [0] * rows), (19, FLOAT64, [1.5] * rows),
                             (64, INT32, [3] * rows)], rows)
            answer.names = {64: "lifetime_value"}
            self.assertEqual(list(answer.columns), ["row_status", "lifetime_value", "lifetime_value (64)"])
            self.assertEqual(answer[64].values, [3] * rows)
            self.assertEqual(
                answer.customer(0).values, {"lifetime_value": 1.5, "lifetime_value (64)": 3})
            self.assertEqual(answer.statuses, [CustomerStatus.OK] * rows)

    def test_no_rows(self):
        for name, _, data in OK_ANSWERS:
            if name == "top_products_response_empty":
                ((_, found),) = read_as_client(data)
                self.assertEqual(found.entries, [])
                self.assertEqual(found.rows(), [])
                self.assertEqual(found.status, CustomerStatus.TOO_LITTLE_HISTORY)


@requires("numpy")
class NumpyTests(unittest.TestCase):
    def test_arrays(self):
        import numpy
        answer = lookup()
        kinds = {"row_status": "<i4", "days_since_last_purchase": "<i8",
                 "probability_alive": "<f4", "lifetime_value": "<f8"}
        for name, array in answer.numpy().items():
            self.assertEqual(array.tolist(), answer[name].values, name)
            if name in kinds:
                self.assertEqual(array.dtype, numpy.dtype(kinds[name]))
                self.assertTrue(array.flags.aligned)
                self.assertFalse(array.flags.writeable or isinstance(array, numpy.ma.MaskedArray)
                                 and array.data.flags.writeable)

    def test_without_a_copy(self):
        import numpy
        answer = lookup()
        lanes = answer.tables[0].columns[19].values
        array = answer["lifetime_value"].numpy()
        self.assertEqual(array.ctypes.data, numpy.frombuffer(lanes, numpy.uint8).ctypes.data)
        self.assertEqual(array.ctypes.data % 64, 0)
        masked = answer["days_since_last_purchase"].numpy()
        self.assertIsInstance(masked, numpy.ma.MaskedArray)
        self.assertTrue(numpy.shares_memory(
            masked.data, numpy.frombuffer(answer.tables[0].columns[4].values, "<i8")))
        self.assertEqual(masked[:8].sum(), 18)

    def test_constants_and_missing(self):
        answer = constants()
        for column in answer.columns.values():
            self.assertEqual(column.numpy().tolist(), column.values)

    def test_several_tables(self):
        answer = joined()
        for name, array in answer.numpy().items():
            self.assertEqual(array.tolist(), answer[name].values, name)


@requires("pyarrow")
class ArrowTests(unittest.TestCase):
    def test_table(self):
        import pyarrow
        answer = lookup()
        made = answer.arrow()
        made.validate(full=True)
        kinds = [pyarrow.int32(), pyarrow.int64(), pyarrow.float32(), pyarrow.float64(), pyarrow.string()]
        self.assertEqual(made.schema.types, kinds)
        for name, column in answer.columns.items():
            self.assertEqual(made.column(name).to_pylist(), column.values, name)

    def test_without_a_copy(self):
        answer = lookup()
        import numpy
        for number in (4, 19, 64):
            lanes = answer.tables[0].columns[number]
            (chunk,) = answer[number].arrow().chunks
            ours = [lanes.validity, lanes.values] + ([] if lanes.text is None else [lanes.text])
            for buffer, part in zip(chunk.buffers(), ours):
                if part is None:
                    self.assertIsNone(buffer)
                else:
                    self.assertEqual(
                        buffer.address, numpy.frombuffer(part, numpy.uint8).ctypes.data, number)
                    self.assertEqual(buffer.address % 64, 0)

    def test_vectors(self):
        for name, vector, data in OK_ANSWERS:
            ((_, found),) = read_as_client(data, features=vector.get("features", 0))
            if hasattr(found, "arrow"):
                with self.subTest(name):
                    made = found.arrow()
                    made.validate(full=True)
                    self.assertEqual(made.to_pydict(), {n: c.values for n, c in found.columns.items()})

    def test_several_tables_are_chunks(self):
        answer = joined()
        made = answer.arrow()
        self.assertEqual(made.column("town").num_chunks, 2)
        self.assertEqual(made.column("town").to_pylist(), answer["town"].values)


if __name__ == "__main__":
    unittest.main()
