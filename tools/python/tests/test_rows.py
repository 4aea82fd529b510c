"""Answers to look-ups of one customer are read in a way of their own, and come to the same."""

import random
import struct
import unittest

from .support import FLOAT32, FLOAT64, INT32, INT64, stamp
from .test_vectors import OK_ANSWERS, opened, read_frames
from patron_client import _table as tables, errors
from patron_client._body import Body
from patron_client._frame import NO_META
from patron_client._read import read_lookup
from patron_client._table import Row, read_stamp, read_table
from patron_client._write_table import write_table

NAMES = {64: "kinds", 65: "share"}


def body_of(columns):
    """As a server writes the answer to a look-up of one customer."""
    head = stamp()
    return head + write_table([(number, kind, [value]) for number, kind, value in columns], 1, 64)


def outcome(data, usual):
    """Columns, or the status of the fault, by the usual reader or by the quick one."""
    tables._IS_LITTLE = not usual and tables.sys.byteorder == "little"
    try:
        body = Body(data)
        _, start = read_stamp(body)
        found = read_table(body, start)
        made = {
            number: (lanes.kind, lanes.rows, [repr(value) for value in lanes.list()])
            for number, lanes in found.columns.items()}
        return found.rows, found.subject_status, list(made.items())
    except errors.MalformedAnswer as error:
        return error.name
    finally:
        tables._IS_LITTLE = tables.sys.byteorder == "little"


class RowTests(unittest.TestCase):
    def setUp(self):
        tables._SHAPES.clear()

    def random_columns(self, source):
        values = {
            INT32: lambda: source.randrange(-(1 << 31), 1 << 31),
            INT64: lambda: source.randrange(-(1 << 63), 1 << 63),
            FLOAT32: lambda: struct.unpack("<f", struct.pack("<f", source.uniform(-9, 9)))[0],
            FLOAT64: lambda: source.uniform(-1e300, 1e300)}
        columns = [(0xF001, INT32, source.randrange(6))]
        for number in source.sample(range(1, 90), source.randrange(12)):
            kind = source.choice(list(values))
            columns.append((number, kind, None if source.random() < 0.2 else values[kind]()))
        return columns

    def test_both_readers_agree(self):
        source = random.Random(11)
        quick = 0
        for _ in range(400):
            columns = self.random_columns(source)
            data = body_of(columns)
            expected = outcome(data, True)
            self.assertEqual(expected[2], [
                (number, (kind, 1, [repr(value)])) for number, kind, value in columns])
            # The first one of its columns is read as usual.
            self.assertEqual(outcome(data, False), expected)
            self.assertEqual(outcome(data, False), expected)
            body = Body(data)
            quick += isinstance(read_table(body, 64), Row)
        self.assertGreater(quick, 390)
        self.assertLessEqual(len(tables._SHAPES), tables._MOST_SHAPES)

    def test_faults_are_the_same(self):
        columns = [(0xF001, INT32, 3), (19, FLOAT64, 2.5), (64, INT64, 7), (65, FLOAT32, 0.5),
                   (16, FLOAT64, None), (22, INT32, None)]
        data = body_of(columns)
        self.assertEqual(outcome(data, False), outcome(data, False))
        statuses = set()
        for at in range(64, len(data)):
            for value in (0x00, 0x01, 0x7F, 0xF0, 0xFF, data[at] ^ 1, data[at] ^ 0x80):
                changed = data[:at] + bytes([value]) + data[at + 1 :]
                expected = outcome(changed, True)
                self.assertEqual(outcome(changed, False), expected, (at, value))
                if isinstance(expected, str):
                    statuses.add(expected)
        for bits in (0x7FF0000000000000, 0xFFF8000000000001):
            place = 64 + 16 + 32 + 8
            changed = data[:place] + struct.pack("<Q", bits) + data[place + 8 :]
            self.assertEqual(outcome(changed, False), "notFinite")
        for size in range(64, len(data)):
            self.assertEqual(outcome(data[:size], False), outcome(data[:size], True))
        self.assertEqual(outcome(data + bytes(8), False), "trailingBytes")
        self.assertGreater(statuses, {
            "duplicateColumn", "nonzeroReserved", "unsupportedEncoding", "unsupportedType",
            "valueOutOfRange"})

    def test_customers(self):
        columns = [(0xF001, INT32, 2), (19, FLOAT64, 2.5), (64, INT32, 7), (65, FLOAT32, None)]
        found = []
        for _ in range(2):
            answer = read_lookup(Body(body_of(columns)), NO_META, [17])
            answer.names = NAMES
            found.append((type(answer.tables[0]), answer.customer(0), answer.rows(), answer.statuses))
        self.assertEqual([kind for kind, *_ in found], [tables.Table, Row])
        self.assertEqual(found[0][1:], found[1][1:])
        self.assertEqual(found[1][1].values, {"lifetime_value": 2.5, "kinds": 7, "share": None})
        self.assertEqual((found[1][1].id, found[1][1].status.name), (17, "TOO_LITTLE_HISTORY"))
        # Names are those of the answer, whatever answer came before.
        answer = read_lookup(Body(body_of(columns)), NO_META, [17])
        answer.names = {64: "lifetime_value", 65: "row_status"}
        self.assertEqual(
            list(answer.customer(0).values.values()),
            list(read_usually(columns, answer.names).customer(0).values.values()))
        self.assertEqual(
            list(answer.customer(0).values), list(read_usually(columns, answer.names).customer(0).values))
        with self.assertRaises(IndexError):
            answer.customer(1)

    def test_answers_without_a_status_are_refused(self):
        for columns in ([(19, FLOAT64, 2.5)], [(0xF001, INT32, None)], [(0xF001, FLOAT64, 1.0)]):
            for _ in range(2):
                with self.assertRaises(errors.MalformedAnswer) as caught:
                    read_lookup(Body(body_of(columns)), NO_META, [17])
                self.assertEqual(caught.exception.name, "unknownColumn")

    def test_vectors(self):
        quick = 0
        for name, vector, data in OK_ANSWERS:
            if not name.startswith("lookup_response"):
                continue
            (frame,) = read_frames(data, features=vector.get("features", 0))
            body = bytes(opened(frame)[1])
            for _ in range(2):
                self.assertEqual(outcome(body, False), outcome(body, True), name)
            quick += isinstance(read_table(Body(body), read_stamp(Body(body))[1]), Row)
        self.assertGreater(quick, 0)


def read_usually(columns, names):
    tables._IS_LITTLE = False
    try:
        answer = read_lookup(Body(body_of(columns)), NO_META, [17])
    finally:
        tables._IS_LITTLE = tables.sys.byteorder == "little"
    answer.names = names
    return answer


if __name__ == "__main__":
    unittest.main()
