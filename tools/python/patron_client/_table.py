"""Stamps and tables: protocol/WIRE.md, sections 8.1, 8.2 and 9."""

from __future__ import annotations

import struct
import sys
from array import array
from functools import lru_cache
from itertools import compress
from math import isfinite
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from ._body import TEXT_BYTES, Body
from ._snapshot import Model, Snapshot
from .errors import malformed

try:
    import numpy
except ImportError:  # it is not needed
    numpy = None  # type: ignore[assignment]

ROWS = 1 << 20
COLUMNS = 1024
MODELS = 64
BUDGET_BYTES = 64 << 20

INT32, INT64, FLOAT32, FLOAT64, TEXT = 1, 2, 3, 4, 5
TYPE_NAMES = {INT32: "int32", INT64: "int64", FLOAT32: "float32", FLOAT64: "float64", TEXT: "text"}
#: Code of `struct`, `array` and `memoryview.cast`, and bytes of a lane.
_LANES = {INT32: ("i", 4), INT64: ("q", 8), FLOAT32: ("f", 4), FLOAT64: ("d", 8), TEXT: ("I", 4)}
_CONSTANTS = {
    INT32: struct.Struct("<i4x"), INT64: struct.Struct("<q"),
    FLOAT32: struct.Struct("<f4x"), FLOAT64: struct.Struct("<d"),
}
#: id, type, encoding, flags, three zero bytes, six words.
_DESCRIPTOR = struct.Struct("<HBBBBHIIIIII")

VALIDITY, ALL_MISSING, SKIPPABLE, UNASSIGNED = 1, 2, 4, 8

Number = Union[int, float]
Value = Union[int, float, str, None]


def native(buffer: memoryview, code: str) -> Sequence[Any]:
    """The lanes of a buffer; without a copy where the machine is little-endian."""
    if sys.byteorder == "little":
        return buffer.cast("B").cast(code)  # type: ignore[call-overload, no-any-return]
    lanes = array(code)
    lanes.frombytes(buffer)
    lanes.byteswap()
    return lanes


class Lanes:
    """One column of one table, its bytes checked and left where they are."""

    __slots__ = ("kind", "rows", "constant", "values", "validity", "text")

    def __init__(
        self, kind: int, rows: int, constant: Optional[Number] = None,
        values: Optional[memoryview] = None, validity: Optional[memoryview] = None,
        text: Optional[memoryview] = None,
    ) -> None:
        self.kind = kind
        self.rows = rows
        #: The value of every row where `values` is None; None: no row has one.
        self.constant = constant
        #: Little-endian lanes; offsets of texts.
        self.values = values
        #: A bit a row, the least significant first; None: every row has a value.
        self.validity = validity
        self.text = text

    @property
    def missing(self) -> bool:
        """Whether some row has no value."""
        return self.validity is not None or (self.values is None and self.constant is None)

    def valid(self) -> List[bool]:
        """Whether each row has a value."""
        if self.validity is None:
            return [self.values is not None or self.constant is not None] * self.rows
        bits = bin(int.from_bytes(self.validity, "little") | 1 << self.rows)[:2:-1]
        return [bit == "1" for bit in bits]

    def numbers(self) -> Sequence[Any]:
        """The lanes, whatever stands where there is no value."""
        assert self.values is not None
        return native(self.values, _LANES[self.kind][0])

    def list(self) -> List[Value]:
        """The values; None where there is none."""
        if self.values is None:
            return [self.constant] * self.rows
        found: List[Value]
        if self.kind == TEXT:
            found = self._texts()
        elif sys.byteorder == "little":
            found = self.numbers().tolist()  # type: ignore[attr-defined]
        else:
            found = list(self.numbers())
        if self.validity is not None:
            found = [value if ok else None for value, ok in zip(found, self.valid())]
        return found

    def _texts(self) -> List[Value]:
        assert self.text is not None
        offsets = list(self.numbers())
        blob = bytes(self.text)
        if blob.isascii():
            text = blob.decode("ascii")
            return [text[a:b] for a, b in zip(offsets, offsets[1:])]
        return [blob[a:b].decode("utf-8") for a, b in zip(offsets, offsets[1:])]


class Table:
    __slots__ = ("rows", "subject_status", "columns")

    #: By column id, in the answer's order.
    columns: Dict[int, Lanes]

    def __init__(self, rows: int, subject_status: int, columns: Dict[int, Lanes]) -> None:
        self.rows = rows
        #: Why the one who was asked about has no rows: section 8.3.
        self.subject_status = subject_status
        self.columns = columns


class _Reader:
    """Reads the table at `start`, to the body's end."""

    def __init__(self, body: Body, start: int) -> None:
        self.body = body
        self.rows = body.limited(body.u32(start, "rowCount"), ROWS, start, "rowCount")
        count = body.limited(body.u16(start + 4, "columnCount"), COLUMNS, start + 4, "columnCount")
        stride = body.u16(start + 6, "descriptorBytes")
        if stride < 32 or stride % 8:
            raise malformed(
                "valueOutOfRange", "descriptorBytes", f"descriptorBytes {stride}", start + 6)
        self.subject_status = body.u8(start + 8, "subjectStatus")
        body.zero(start + 9, 7)
        body.take(start + 16, count * stride, "directory")
        self.directory_end = self.end = start + 16 + count * stride
        self.places = range(start + 16, self.directory_end, stride)
        self.budget = BUDGET_BYTES

    def table(self) -> Table:
        columns: Dict[int, Lanes] = {}
        seen = set()
        for place in self.places:
            fields = _DESCRIPTOR.unpack_from(self.body.data, place)
            number = fields[0]
            if number in seen:
                raise malformed("duplicateColumn", "columnID", f"column {number} twice", place)
            seen.add(number)
            lanes = self._column(place, fields)
            if lanes is not None:
                columns[number] = lanes
        self.body.end(self.end)
        return Table(self.rows, self.subject_status, columns)

    def _column(self, place: int, fields: Tuple[int, ...]) -> Optional[Lanes]:
        kind, encoding, flags = fields[1:4]
        if fields[4] or fields[5]:
            raise malformed("nonzeroReserved", "reserved", "a descriptor's zero bytes", place + 5)
        if flags & UNASSIGNED:
            raise malformed("unsupportedEncoding", "flags", "column flag bit 3", place + 4)
        if kind not in _LANES or encoding > 1:
            if not flags & SKIPPABLE:
                if kind not in _LANES:
                    raise malformed("unsupportedType", "type", f"column type {kind}", place + 2)
                raise malformed(
                    "unsupportedEncoding", "encoding", f"column encoding {encoding}", place + 3)
            if encoding != 1:
                self._skip(fields)
            return None
        if encoding == 1:
            return self._constant(place, kind, flags, fields)
        return self._plain(place, kind, flags, fields)

    def _skip(self, fields: Tuple[int, ...]) -> None:
        validity, values, size, text, text_size = fields[6:11]
        if size:
            self._use(values, size, "valuesOffset")
        if text_size:
            self._use(text, text_size, "textOffset")
        if validity:
            self._use(validity, (self.rows + 7) // 8, "validityOffset")

    def _constant(self, place: int, kind: int, flags: int, fields: Tuple[int, ...]) -> Lanes:
        if flags & VALIDITY or (kind == TEXT and not flags & ALL_MISSING):
            raise malformed("unsupportedEncoding", "encoding", "such a constant", place + 3)
        if fields[8] or fields[9] or fields[10] or fields[11]:
            raise malformed("nonzeroReserved", "reserved", "bytes behind a constant", place + 16)
        if fields[7] and (flags & ALL_MISSING or kind in (INT32, FLOAT32)):
            raise malformed("nonzeroReserved", "value", "bytes behind a constant", place + 12)
        self._charge(self.rows * (8 if kind == TEXT else _LANES[kind][1]))
        if flags & ALL_MISSING:
            if fields[6]:
                raise malformed("nonzeroReserved", "value", "a value of no row", place + 8)
            return Lanes(kind, self.rows)
        value: Number = _CONSTANTS[kind].unpack_from(self.body.data, place + 8)[0]
        if kind >= FLOAT32 and not isfinite(value):
            raise malformed("notFinite", "value", "a constant that is not finite", place + 8)
        return Lanes(kind, self.rows, value)

    def _plain(self, place: int, kind: int, flags: int, fields: Tuple[int, ...]) -> Lanes:
        if flags & ALL_MISSING:
            raise malformed("unsupportedEncoding", "flags", "a plain column without rows", place + 4)
        validity_at, values_at, size, text_at, text_size, zero = fields[6:12]
        if zero:
            raise malformed("nonzeroReserved", "reserved", "a descriptor's end", place + 28)
        lane = _LANES[kind][1]
        lanes = self.rows + 1 if kind == TEXT else self.rows
        if size != lanes * lane:
            raise malformed(
                "valueOutOfRange", "valuesBytes", f"{size} bytes for {lanes} lanes of {lane}",
                place + 16)
        values = self._use(values_at, size, "valuesOffset")
        validity = None
        if flags & VALIDITY:
            validity = self._validity(validity_at)
        elif validity_at:
            raise malformed("nonzeroReserved", "validityOffset", "no bitmap's place", place + 8)
        if kind != TEXT:
            if text_at or text_size:
                raise malformed("nonzeroReserved", "textOffset", "a number's text", place + 20)
            self._charge(size)
            found = Lanes(kind, self.rows, None, values, validity)
            if kind >= FLOAT32:
                _check_finite(found, values_at)
            return found
        text = self._use(text_at, text_size, "textOffset")
        self._charge(8 * lanes + text_size)
        found = Lanes(kind, self.rows, None, values, validity, text)
        _check_texts(found.numbers(), text, values_at)
        return found

    def _validity(self, offset: int) -> memoryview:
        size = (self.rows + 7) // 8
        bitmap = self._use(offset, size, "validityOffset")
        self._charge(size)
        if self.rows % 8 and bitmap[-1] >> self.rows % 8:
            raise malformed(
                "nonzeroReserved", "validity", "a bit past the last row", offset + size - 1)
        return bitmap

    def _use(self, offset: int, size: int, field: str) -> memoryview:
        if offset % 64:
            raise malformed("misalignedBuffer", field, f"a buffer at {offset}", offset)
        end = offset + size
        if offset < self.directory_end or end > self.body.size:
            raise malformed(
                "bufferOutsideBody", field,
                f"bytes {offset} to {end} of {self.body.size}, directory to {self.directory_end}",
                offset)
        if end > self.end:
            self.end = end
        return self.body.data[offset:end]

    def _charge(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise malformed("overBudget", "table", f"more than {BUDGET_BYTES >> 20} MiB decoded")


def _check_finite(lanes: Lanes, offset: int) -> None:
    numbers = lanes.numbers()
    if numpy is not None:
        if numpy.isfinite(numbers).all():
            return
    elif isfinite(sum(numbers)):
        # Sums of finite numbers may overflow, but a sum with another is never finite.
        return
    chosen = numbers if lanes.validity is None else compress(numbers, lanes.valid())
    if not all(map(isfinite, chosen)):
        raise malformed("notFinite", "values", "a value that is not finite", offset)


def _check_texts(offsets: Sequence[int], text: memoryview, place: int) -> None:
    if offsets[0] != 0 or offsets[-1] != len(text) or not _ascends(offsets):
        raise malformed(
            "invalidOffsets", "values", "text offsets do not ascend from 0 to the end", place)
    check_utf8(bytes(text), offsets, place)


def _ascends(offsets: Sequence[int]) -> bool:
    if numpy is not None:
        numbers = numpy.asarray(offsets)
        return bool((numbers[:-1] <= numbers[1:]).all())
    numbers = list(offsets)
    return numbers == sorted(numbers)


def check_utf8(blob: bytes, offsets: Sequence[int], place: int) -> None:
    """Every text between two offsets is UTF-8."""
    if blob.isascii():
        return
    try:
        blob.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("invalidText", "text", "a text that is not UTF-8", place) from None
    size = len(blob)
    if any(at < size and blob[at] & 0xC0 == 0x80 for at in offsets):
        raise malformed("invalidText", "text", "a text cut inside a character", place)


def read_table(body: Body, start: int) -> Table:
    if _IS_LITTLE:
        row = _read_row(body, start)
        if row is not None:
            return row
    return _Reader(body, start).table()


# One row of numbers. The answer to a look-up of one customer has constants only: a descriptor a column
# and no buffers. All but the values is the same in answers of the same columns, so it is checked
# once, and then compared.

_IS_LITTLE = sys.byteorder == "little"
_HEAD = struct.Struct("<IHHB7s")
_NO_BYTES = bytes(7)
_ROW_FORMS = {INT32: "i4x", INT64: "q", FLOAT32: "f4x", FLOAT64: "d"}
_FIRST_FOUR, _ALL_EIGHT = 0xFFFFFFFF << 32, 0xFFFFFFFFFFFFFFFF


class Shape:
    """What the rows of some columns have in common."""

    __slots__ = ("numbers", "kinds", "missing", "unpack", "zeros", "pads", "has_floats", "labels")

    def __init__(self, columns: Dict[int, Lanes]) -> None:
        self.numbers = tuple(columns)
        self.kinds = tuple(lanes.kind for lanes in columns.values())
        #: Places of columns without a value.
        self.missing = [
            place for place, lanes in enumerate(columns.values()) if lanes.constant is None]
        self.unpack = struct.Struct("<" + "".join(
            "q" if place in self.missing else _ROW_FORMS[kind]
            for place, kind in enumerate(self.kinds))).unpack
        self.zeros = bytes(8 * len(self.kinds))
        #: Bits of the values that are zero.
        self.pads = sum(
            (_ALL_EIGHT if place in self.missing else _FIRST_FOUR) << 64 * place
            for place, kind in enumerate(self.kinds)
            if place in self.missing or kind in (INT32, FLOAT32))
        self.has_floats = any(kind >= FLOAT32 for kind in self.kinds)
        #: Names for the numbers, and the names of snapshots that they come from.
        self.labels: Optional[Tuple[Any, Tuple[str, ...]]] = None


class Row(Table):
    """A table of one row, whose columns are made when somebody wants them."""

    __slots__ = ("shape", "values", "_made")

    def __init__(self, subject_status: int, shape: Shape, values: Sequence[Value]) -> None:
        self.rows = 1
        self.subject_status = subject_status
        self.shape = shape
        self.values = values
        self._made: Optional[Dict[int, Lanes]] = None

    @property
    def columns(self) -> Dict[int, Lanes]:  # type: ignore[override]
        if self._made is None:
            self._made = {
                number: Lanes(kind, 1, value)  # type: ignore[arg-type]
                for number, kind, value in zip(self.shape.numbers, self.shape.kinds, self.values)}
        return self._made


_SHAPES: Dict[bytes, Shape] = {}
_MOST_SHAPES = 256


def _read_row(body: Body, start: int) -> Optional[Table]:
    """None for a table of another kind, and for one with a fault, which the usual reader names."""
    at = start + _HEAD.size
    if body.size < at:
        return None
    data = body.data
    rows, count, stride, subject_status, zeros = _HEAD.unpack_from(data, start)
    if rows != 1 or stride != 32 or count == 0 or zeros != _NO_BYTES or body.size != at + 32 * count:
        return None
    words = data[at:].cast("Q")
    heads = words[0::4].tobytes()
    shape = _SHAPES.get(heads)
    if shape is None:
        table = _Reader(body, start).table()
        # Columns that were left out are none of the shape's.
        if len(table.columns) == count:
            if len(_SHAPES) >= _MOST_SHAPES:
                _SHAPES.clear()
            _SHAPES[heads] = Shape(table.columns)
        return table
    numbers = words[1::4].tobytes()
    if (
        words[2::4].tobytes() != shape.zeros or words[3::4].tobytes() != shape.zeros
        or (shape.pads and int.from_bytes(numbers, "little") & shape.pads)
    ):
        return None
    values: Sequence[Value] = shape.unpack(numbers)
    if shape.has_floats and not all(map(isfinite, values)):  # type: ignore[arg-type]
        return None
    if shape.missing:
        values = list(values)
        for place in shape.missing:
            values[place] = None
    return Row(subject_status, shape, values)


def read_stamp(body: Body, start: int = 0) -> Tuple[Snapshot, int]:
    """The snapshot that an answer comes from, and where its stamp ends."""
    size = body.u32(start, "stampBytes")
    if size < 64 or size % 64:
        raise malformed("valueOutOfRange", "stampBytes", f"stampBytes {size}", start)
    return _parse_stamp(bytes(body.take(start, size, "stamp"))), start + size


@lru_cache(maxsize=16)
def _parse_stamp(data: bytes) -> Snapshot:
    """Answers of one snapshot have the same stamp: it is read once."""
    stamp = Body(data)
    count = stamp.limited(stamp.u16(16, "modelCount"), MODELS, 16, "modelCount")
    stamp.zero(18, 6)
    currency = data[24:32].split(b"\0")[0]
    stamp.zero(24 + len(currency), 8 - len(currency), "currency")
    models, offset = [], 32
    for _ in range(count):
        version, checksum = stamp.u32(offset, "model"), stamp.u32(offset + 4, "model")
        name_size = stamp.limited(
            stamp.u16(offset + 8, "nameBytes"), TEXT_BYTES, offset + 8, "nameBytes")
        stamp.zero(offset + 10, 2)
        name = stamp.text(offset + 12, name_size, "model name")
        models.append(Model(name, version, checksum))
        offset += 12 + name_size
    if len(data) - offset >= 64:
        raise malformed("valueOutOfRange", "stampBytes", f"stampBytes {len(data)}", 0)
    stamp.zero(offset, len(data) - offset)
    return Snapshot(
        generation=stamp.u64(8, "generation"), as_of_day=stamp.i32(4, "asOfDay"),
        currency=stamp.text(24, len(currency), "currency"), models=tuple(models))
