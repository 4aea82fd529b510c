"""SCORE and EXPLAIN: protocol/WIRE.md, sections 7.18 and 7.19."""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import _columns as numbers
from ._body import TEXT_BYTES, Body
from ._frame import Meta
from ._read import _read_table_answer
from ._requests import LOOKUP_COLUMNS, LOOKUP_IDS, Request, check_numbers, encode_id, encode_text
from ._table import INT32 as KIND_INT32, TEXT as KIND_TEXT, read_stamp, read_table
from ._write_table import FLOAT64, INT32, TEXT, Cell, WrittenColumn, write_table
from .answers import CustomerStatus, Explanation, PatronID, ScoreAnswer
from .errors import fault, malformed

_NUMBERS = {name: number for number, name in numbers.SCORE_NAMES.items()}
_FIRST_ATTRIBUTE = 64


def _lanes(name: str, values: Optional[Sequence[Any]], kind: int, rows: int) -> List[Cell]:
    found: List[Cell] = list(values) if values is not None else [None] * rows
    if len(found) != rows:
        raise fault(
            "valueOutOfRange", f"{len(found)} values of {name} for {rows} histories",
            hint="one a history", field=name)
    for place, value in enumerate(found):
        if value is None:
            continue
        is_bad = isinstance(value, (bool, str)) or not math.isfinite(value) or (
            kind == INT32 and (value != int(value) or not -(1 << 31) <= value < 1 << 31))
        if is_bad:
            raise fault(
                "valueOutOfRange", f"{name} of history {place} is {value!r}",
                hint="a whole number" if kind == INT32 else "a finite number", field=name)
        found[place] = int(value) if kind == INT32 else float(value)
    return found


class Score(Request[ScoreAnswer]):
    opcode = 0x0021

    def __init__(
        self, repeat_purchase_count: Sequence[Any], age_at_last_purchase_days: Sequence[Any],
        observed_age_days: Sequence[Any], mean_order_value: Optional[Sequence[Any]] = None,
        revenue: Optional[Sequence[Any]] = None,
        attributes: Optional[Mapping[str, Sequence[Any]]] = None,
        columns: Optional[Sequence[Any]] = None,
    ) -> None:
        self.rows = len(repeat_purchase_count)
        if not 1 <= self.rows <= LOOKUP_IDS:
            name = "tooManyItems" if self.rows else "valueOutOfRange"
            raise fault(name, f"{self.rows} histories", hint=f"1 to {LOOKUP_IDS:,}", field="rowCount")
        self.columns = check_numbers(None if columns is None else [_number(c) for c in columns])
        table: List[WrittenColumn] = []
        for number, kind, values in (
            (1, INT32, repeat_purchase_count), (2, INT32, age_at_last_purchase_days),
            (3, INT32, observed_age_days), (5, FLOAT64, mean_order_value), (6, FLOAT64, revenue),
        ):
            if values is not None:
                name = numbers.SCORE_NAMES[number]
                table.append((number, kind, _lanes(name, values, kind, self.rows)))
        given = dict(attributes or {})
        if len(given) > LOOKUP_COLUMNS:
            raise fault(
                "tooManyItems", f"{len(given)} attributes", hint=f"at most {LOOKUP_COLUMNS}",
                field="attributes")
        self.names: List[bytes] = []
        for index, (name, values) in enumerate(given.items()):
            encoded = encode_text(name, TEXT_BYTES, "attributes")
            if not encoded:
                raise fault(
                    "valueOutOfRange", "an attribute without a name", hint="as in the plan",
                    field="attributes")
            self.names.append(encoded)
            table.append((_FIRST_ATTRIBUTE + index, *_attribute(name, values, self.rows)))
        self.table = table

    def body(self) -> bytes:
        head = struct.pack(
            f"<HHI{len(self.columns)}H", len(self.columns), len(self.names), 0, *self.columns)
        head += b"".join(struct.pack("<H", len(name)) + name for name in self.names)
        head += bytes(-len(head) % 64)
        return head + write_table(self.table, self.rows, len(head))

    def read(self, body: Body, meta: Meta) -> ScoreAnswer:
        return read_score(body, meta, self.rows)


def read_score(body: Body, meta: Meta, rows: Optional[int] = None) -> ScoreAnswer:
    answer = _read_table_answer(ScoreAnswer, body, meta)
    if rows is not None and len(answer) != rows:
        raise malformed("valueOutOfRange", "rowCount", f"{len(answer)} rows for {rows} histories")
    status = answer.tables[0].columns.get(numbers.ROW_STATUS)
    if status is None or status.kind != KIND_INT32 or status.missing:
        raise malformed("unknownColumn", "rowStatus", "scores without rowStatus")
    return answer


def _number(column: Any) -> int:
    if isinstance(column, int):
        return column
    if column not in _NUMBERS:
        raise fault(
            "unknownColumn", f"no column {column!r}", hint=", ".join(_NUMBERS), field="columns")
    return _NUMBERS[column]


def _attribute(name: str, values: Sequence[Any], rows: int) -> Tuple[int, List[Cell]]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) for value in known):
        if len(values) != rows:
            raise fault(
                "valueOutOfRange", f"{len(values)} values of {name} for {rows} histories",
                hint="one a history", field=name)
        for value in known:
            encode_text(value, 1 << 30, name)
        return TEXT, list(values)
    if known and all(isinstance(value, int) and not isinstance(value, bool) and
                     -(1 << 31) <= value < 1 << 31 for value in known):
        return INT32, _lanes(name, values, INT32, rows)
    return FLOAT64, _lanes(name, values, FLOAT64, rows)


class Explain(Request[Explanation]):
    opcode = 0x0025

    def __init__(self, customer: PatronID, segmentation: str) -> None:
        self.kind, self.identifier = encode_id(customer)
        self.name = encode_text(segmentation, TEXT_BYTES, "segmentation")
        if not self.name:
            raise fault(
                "valueOutOfRange", "no name of a segmentation", hint="as in the plan",
                field="segmentation")

    def body(self) -> bytes:
        head = struct.pack("<BBHI", self.kind, 0, len(self.name), 0)
        return head + self.identifier + self.name

    def read(self, body: Body, meta: Meta) -> Explanation:
        return read_explanation(body, meta)


def read_explanation(body: Body, meta: Meta) -> Explanation:
    snapshot, start = read_stamp(body)
    known = body.u32(start + 24, "known")
    if known > 7:
        raise malformed("nonzeroReserved", "known", f"{known:#x}", start + 24)
    found: Dict[str, Any] = {}
    for bit, name, form, place in (
        (2, "next_segment", "<i", 4), (1, "distance", "<d", 8), (4, "next_distance", "<d", 16),
    ):
        size = struct.calcsize(form)
        data = body.take(start + place, size, name)
        if not known & bit:
            body.zero(start + place, size)
            found[name] = None
            continue
        (found[name],) = struct.unpack(form, data)
        if form == "<d" and not 0 <= found[name] < math.inf:
            raise malformed("valueOutOfRange", name, f"{found[name]}", start + place)
    (segment,) = struct.unpack("<i", body.take(start, 4, "segment"))
    version = body.u32(start + 28, "modelVersion")
    body.zero(start + 32, 32)
    table = read_table(body, start + 64)
    features = table.columns.get(numbers.PROFILE_FEATURE)
    if features is None or features.kind != KIND_TEXT or (table.rows and features.missing):
        raise malformed("unknownColumn", "profileFeature", "an explanation without features")
    return Explanation(
        snapshot, CustomerStatus.of(table.subject_status), [table], timings=meta.timings,
        segment=segment, model_version=version, **found)


__all__ = ["Explain", "Score", "read_explanation", "read_score"]
