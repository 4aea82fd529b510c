"""MODELS, SNAPSHOT, PUBLISH, STATS, DRAIN, SHADOW and PROGRESS: protocol/WIRE.md, sections 7.20 to 7.26."""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _columns as numbers
from ._body import Body
from ._frame import Frame, Meta, open_frame
from ._requests import Request, encode_label
from ._table import FLOAT64, INT32, INT64, TEXT, Table, read_stamp, read_table
from .answers import (
    Progress, Published, ServedModel, ShadowColumn, ShadowMove, ShadowReport, Stat, StoredGeneration)
from .errors import fault, malformed

#: Is told how far the server is.
OnProgress = Optional[Callable[[Progress], None]]

_LIST, _SET, _REMOVE = 0, 1, 2
_REPORT, _START, _STOP = 0, 1, 2
_STATES = {0: "none", 1: "running", 2: "stopped"}
MILLION = 1_000_000


def _generation(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 1 << 64:
        raise fault(
            "valueOutOfRange", f"generation is {number!r}", hint="1 and more", field="generation")
    return number


class _Table:
    """Columns of a table by their number, as lists; None where a row has no value."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def need(self, number: int, kind: int) -> List[Any]:
        """A column that the specification promises, with a value in every row."""
        lanes = self._table.columns.get(number)
        if lanes is None or lanes.kind != kind or (self._table.rows and lanes.missing):
            name = numbers.PROTOCOL_NAMES[number]
            raise malformed("unknownColumn", name, f"an answer without {name}")
        return lanes.list()

    def get(self, number: int, kind: int) -> List[Any]:
        lanes = self._table.columns.get(number)
        if lanes is None or lanes.kind != kind:
            return [None] * self._table.rows
        return lanes.list()


class Models(Request[List[ServedModel]]):
    """Lists what answers under which label; with a label and a generation it sets one, with a label
    alone it removes it."""

    opcode = 0x0050
    takes_label = False
    repeats_overtaken = False

    def __init__(
        self, label: Optional[str] = None, generation: Optional[int] = None,
        progress: OnProgress = None,
    ) -> None:
        self.label = b"" if label is None else encode_label(label)
        self.generation = 0 if generation is None else _generation(generation)
        self.action = _LIST if label is None else _REMOVE if generation is None else _SET
        self.progress = progress

    @property
    def may_repeat(self) -> bool:
        # A label that is gone cannot be removed once more.
        return self.action != _REMOVE

    def body(self) -> bytes:
        return struct.pack(
            "<BBHIQ", self.action, len(self.label), 0, 0, self.generation) + self.label

    def read(self, body: Body, meta: Meta) -> List[ServedModel]:
        _, start = read_stamp(body)
        return served_models(read_table(body, start))


def served_models(found: Table) -> List[ServedModel]:
    table = _Table(found)
    return [ServedModel(*row) for row in zip(
        table.need(numbers.LABEL, TEXT), table.need(numbers.GENERATION, INT64),
        table.get(numbers.GENERATION_AS_OF_DAY, INT32), table.get(numbers.MODEL_NAME, TEXT),
        table.get(numbers.MODEL_VERSION, INT64), table.get(numbers.MODEL_CHECKSUM, INT64),
        table.get(numbers.GENERATION_PROBLEM, TEXT))]


class Generations(Request[List[StoredGeneration]]):
    opcode = 0x0051
    takes_label = False

    def body(self) -> bytes:
        return b""

    def read(self, body: Body, meta: Meta) -> List[StoredGeneration]:
        _, start = read_stamp(body)
        return stored_generations(read_table(body, start))


def stored_generations(found: Table) -> List[StoredGeneration]:
    table = _Table(found)
    return [
        StoredGeneration(
            generation, bool(state & 1), bool(state & 2),
            tuple(labels.split(",")) if labels else (), *rest)
        for generation, state, labels, *rest in zip(
            table.need(numbers.GENERATION, INT64), table.need(numbers.GENERATION_STATE, INT32),
            table.get(numbers.GENERATION_LABELS, TEXT),
            table.get(numbers.GENERATION_AS_OF_DAY, INT32),
            table.get(numbers.GENERATION_CUSTOMER_COUNT, INT64),
            table.get(numbers.GENERATION_BYTE_COUNT, INT64),
            table.get(numbers.GENERATION_MODELS, TEXT), table.get(numbers.GENERATION_PROBLEM, TEXT))
    ]


class Publish(Request[Published]):
    """Repeating it is harmless."""

    opcode = 0x0052
    takes_label = False
    repeats_overtaken = False

    def __init__(self, generation: Optional[int] = None, progress: OnProgress = None) -> None:
        self.generation = 0 if generation is None else _generation(generation)
        self.progress = progress

    def body(self) -> bytes:
        return struct.pack("<Q", self.generation)

    def read(self, body: Body, meta: Meta) -> Published:
        snapshot, start = read_stamp(body)
        answer = Published(
            snapshot, body.u64(start, "previousGeneration"), body.u64(start + 8, "verifiedByteCount"))
        body.zero(start + 16, 48)
        body.end(start + 64)
        return answer


class Stats(Request[List[Stat]]):
    opcode = 0x0053
    takes_label = False

    def body(self) -> bytes:
        return b""

    def read(self, body: Body, meta: Meta) -> List[Stat]:
        _, start = read_stamp(body)
        return stats(read_table(body, start))


def stats(found: Table) -> List[Stat]:
    table = _Table(found)
    return [Stat(group, name, value, unit or "") for group, name, value, unit in zip(
        table.need(numbers.STAT_GROUP, TEXT), table.need(numbers.STAT_NAME, TEXT),
        table.need(numbers.STAT_VALUE, FLOAT64), table.get(numbers.STAT_UNIT, TEXT))]


class Drain(Request[float]):
    """Not repeated: the server that takes its place is not meant."""

    opcode = 0x0054
    takes_label = False
    idempotent = False

    def body(self) -> bytes:
        return b""

    def read(self, body: Body, meta: Meta) -> float:
        milliseconds = body.u32(0, "graceMilliseconds")
        body.zero(4, 4)
        body.end(8)
        return milliseconds / 1000


class Shadow(Request[ShadowReport]):
    opcode = 0x0055
    takes_label = False

    def __init__(
        self, action: int = _REPORT, *, label: Optional[str] = None,
        generation: Optional[int] = None, parts: int = 0,
    ) -> None:
        self.action, self.parts = action, parts
        self.label = b"" if label is None else encode_label(label)
        self.generation = 0 if generation is None else _generation(generation)

    @classmethod
    def start(
        cls, *, label: Optional[str] = None, generation: Optional[int] = None, share: float = 0.01
    ) -> "Shadow":
        if (label is None) == (generation is None):
            raise fault(
                "valueOutOfRange", "a comparison with neither or both of label and generation",
                hint="give one of them", field="label")
        parts = round(share * MILLION) if 0 < share <= 1 else 0
        if not parts:
            raise fault(
                "valueOutOfRange", f"share is {share!r}", hint="0.000001 to 1",
                field="partsPerMillion")
        return cls(_START, label=label, generation=generation, parts=parts)

    @classmethod
    def stop(cls) -> "Shadow":
        return cls(_STOP)

    @property
    def may_repeat(self) -> bool:
        # A comparison would begin anew.
        return self.action != _START

    def body(self) -> bytes:
        return struct.pack(
            "<BBHIQ", self.action, len(self.label), 0, self.parts, self.generation) + self.label

    def read(self, body: Body, meta: Meta) -> ShadowReport:
        return read_shadow(body)


def read_shadow(body: Body) -> ShadowReport:
    current, start = read_stamp(body)
    candidate, start = read_stamp(body, start)
    state, parts = body.u32(start, "state"), body.u32(start + 4, "partsPerMillion")
    counts = [body.u64(start + 8 * index, "counts") for index in range(1, 7)]
    body.zero(start + 56, 8)
    columns = _shadow_columns(read_table(body, start + 64))
    sampled, compared, only_current, only_candidate, dropped, milliseconds = counts
    return ShadowReport(
        current, candidate, _STATES.get(state, "overtaken"), parts / MILLION, sampled, compared,
        only_current, only_candidate, dropped, milliseconds / 1000, columns)


def _shadow_columns(found: Table) -> List[ShadowColumn]:
    """A row a column, then the moves between categories."""
    table = _Table(found)
    ids, names = table.need(numbers.COLUMN_ID, INT32), table.need(numbers.COLUMN_NAME, TEXT)
    counts = zip(*(table.get(number, INT64) for number in (
        numbers.SHADOW_COMPARED, numbers.SHADOW_DIFFERING, numbers.SHADOW_ONLY_CURRENT,
        numbers.SHADOW_ONLY_CANDIDATE)))
    sizes = zip(*(table.get(number, FLOAT64) for number in (
        numbers.SHADOW_MEAN, numbers.SHADOW_LARGEST, numbers.SHADOW_MEDIAN, numbers.SHADOW_90,
        numbers.SHADOW_99)))
    moved = zip(*(table.get(number, INT64) for number in (
        numbers.SHADOW_FROM, numbers.SHADOW_TO, numbers.SHADOW_MOVE_COUNT)))
    if numbers.SHADOW_COMPARED not in found.columns:
        raise malformed("unknownColumn", "shadowCompared", "a comparison without counts")
    columns: Dict[int, Tuple[Any, ...]] = {}
    moves: Dict[int, List[ShadowMove]] = {}
    for number, name, count, size, move in zip(ids, names, counts, sizes, moved):
        if count[0] is not None:
            columns[number] = (number, name, *(value or 0 for value in count), *size)
        elif number in columns:
            moves.setdefault(number, []).append(ShadowMove(*(value or 0 for value in move)))
    return [
        ShadowColumn(*(row + (tuple(moves.get(number, ())),)))
        for number, row in columns.items()]


_UNITS = {1: "bytes", 2: "customers"}


def read_progress(frame: Frame) -> Progress:
    _, payload = open_frame(frame)
    body = Body(payload)
    done, total = body.u64(0, "done"), body.u64(8, "total")
    unit = body.u8(16, "unit")
    body.zero(17, 7)
    body.end(24)
    return Progress(done, total or None, _UNITS.get(unit, f"other {unit}"))


__all__ = [
    "Drain", "Generations", "Models", "OnProgress", "Publish", "Shadow", "Stats", "read_progress",
]
