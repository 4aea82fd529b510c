"""Bodies of answers to values: protocol/WIRE.md, section 7."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Sequence, Type, TypeVar

from . import _columns as numbers
from ._body import TEXT_BYTES, Body
from ._frame import LARGEST_FRAME_BYTES, Frame, Meta, open_frame
from ._status import STATUSES
from ._table import INT32, INT64, TEXT, TYPE_NAMES, Lanes, Row, read_stamp, read_table
from .answers import (
    Affinity, ColumnInfo, Count, CustomerChunk, CustomerStatus, Description, LookupAnswer,
    OfferAnswer, PatronID, ProfilesAnswer, SegmentsAnswer, TableAnswer, TopAnswer)
from .errors import PatronError, error_for, malformed


class HelloAnswer(NamedTuple):
    version: int
    #: The largest length the server takes.
    maximum_frame_bytes: int
    active_features: int
    offered_features: int
    maximum_lookup_ids: int
    maximum_in_flight: int
    #: A connection without a frame for so long is closed; 0: never.
    idle_milliseconds: int
    default_deadline_milliseconds: int
    #: 0: no snapshot is published yet.
    generation: int
    as_of_day: int
    server_name: str


class PingAnswer(NamedTuple):
    token: int
    generation: int


def read_hello(body: Body) -> HelloAnswer:
    version = body.u8(0, "version")
    body.zero(1, 3)
    frame_bytes = body.u32(4, "maximumFrameBytes")
    if not 4096 <= frame_bytes <= LARGEST_FRAME_BYTES:
        raise malformed("valueOutOfRange", "maximumFrameBytes", f"{frame_bytes}", 4)
    size = body.limited(body.u16(52, "serverNameBytes"), TEXT_BYTES, 52, "serverNameBytes")
    body.zero(54, 2)
    answer = HelloAnswer(
        version, frame_bytes, body.u64(8, "activeFeatures"), body.u64(16, "offeredFeatures"),
        body.u32(24, "maximumLookupIDs"), body.u32(28, "maximumInFlight"),
        body.u32(32, "idleMilliseconds"), body.u32(36, "defaultDeadlineMilliseconds"),
        body.u64(40, "generation"), body.i32(48, "asOfDay"), body.text(56, size, "serverName"))
    body.end(56 + size)
    if version != 1:
        raise malformed("unsupportedVersion", "version", f"the server chose version {version}", 0)
    return answer


def read_ping(body: Body, token: Optional[int]) -> PingAnswer:
    answer = PingAnswer(body.u64(0, "token"), body.u64(8, "generation"))
    body.end(16)
    if token is not None and answer.token != token:
        raise malformed("valueOutOfRange", "token", "the answer to another PING", 0)
    return answer


_VARIANTS = {1: "factors", 2: "hybrid", 3: "popular", 4: "repeatPurchase"}
_ID_KINDS: Dict[int, Optional[str]] = {0: None, 1: "integer", 2: "text"}


def _id_kind(body: Body, offset: int, field: str) -> Optional[str]:
    number = body.u8(offset, field)
    if number not in _ID_KINDS:
        raise malformed("valueOutOfRange", field, f"{field} is {number}", offset)
    return _ID_KINDS[number]


def _read_affinity(body: Body, start: int) -> Optional[Affinity]:
    variant = body.u8(start, "affinityVariant")
    body.zero(start + 1, 1)
    if variant == 0:
        body.zero(start + 2, 4, "offers")
        return None
    offers = body.u32(start + 2, "offers")
    return Affinity(
        _VARIANTS.get(variant, f"other {variant}"), *(bool(offers >> bit & 1) for bit in range(7)))


def read_describe(body: Body) -> Description:
    snapshot, start = read_stamp(body)
    customers, products = body.u64(start, "customerCount"), body.u64(start + 8, "productCount")
    customer_kind = _id_kind(body, start + 16, "customerIDKind")
    product_kind = _id_kind(body, start + 17, "productIDKind")
    affinity = _read_affinity(body, start + 18)
    body.zero(start + 24, 40)
    table = read_table(body, start + 64)

    def column(number: int, kind: int) -> Any:
        lanes: Optional[Lanes] = table.columns.get(number)
        values = None if lanes is None or lanes.kind != kind else lanes.list()
        if values is None or None in values:
            raise malformed(
                "unknownColumn", numbers.PROTOCOL_NAMES[number],
                "a column of DESCRIBE is absent, of another type or has a missing row")
        return values

    ids, names = column(numbers.COLUMN_ID, INT32), column(numbers.COLUMN_NAME, TEXT)
    types, units = column(numbers.COLUMN_TYPE, INT32), column(numbers.COLUMN_UNIT, TEXT)
    descriptions = column(numbers.COLUMN_DESCRIPTION, TEXT)
    for number in ids:
        if not 0 <= number <= 0xFFFF:
            raise malformed("valueOutOfRange", "columnID", f"columnID {number}")
    lanes = table.columns.get(numbers.COLUMN_VALUE_NAMES)
    value_names: Sequence[Any] = [None] * table.rows
    if lanes is not None and lanes.kind == TEXT:
        value_names = lanes.list()
    return Description(
        snapshot, customers, products, customer_kind, product_kind, affinity,
        tuple(
            ColumnInfo(number, name, TYPE_NAMES[kind], unit, text, read_value_names(named))
            for number, name, kind, unit, text, named in zip(
                ids, names, types, units, descriptions, value_names)
            if kind in TYPE_NAMES))


def read_value_names(text: Optional[str]) -> Dict[int, str]:
    """A line a number: the number, a blank, the name. Lines of another form are for people only."""
    found = {}
    for line in (text or "").split("\n"):
        number, blank, name = line.partition(" ")
        if blank and number.lstrip("-").isdecimal():
            found[int(number)] = name
    return found


T = TypeVar("T", bound=TableAnswer)


def _read_table_answer(kind: Type[T], body: Body, meta: Meta, **fields: Any) -> T:
    snapshot, start = read_stamp(body)
    table = read_table(body, start)
    return kind(
        snapshot, CustomerStatus.of(table.subject_status), [table], timings=meta.timings, **fields)


def read_lookup(body: Body, meta: Meta, ids: Sequence[PatronID]) -> LookupAnswer:
    answer = _read_table_answer(LookupAnswer, body, meta, ids=ids)
    if answer.tables[0].rows != len(ids):
        raise malformed("valueOutOfRange", "rowCount", f"{len(answer)} rows for {len(ids)} ids")
    table = answer.tables[0]
    if isinstance(table, Row) and table.shape.numbers[0] == numbers.ROW_STATUS and (
            table.shape.kinds[0] == INT32 and table.values[0] is not None):
        return answer
    status = answer.tables[0].columns.get(numbers.ROW_STATUS)
    if status is None or status.kind != INT32 or status.missing:
        raise malformed("unknownColumn", "rowStatus", "a look-up's answer without rowStatus")
    return answer


def read_top(body: Body, meta: Meta) -> TopAnswer:
    answer = _read_table_answer(TopAnswer, body, meta)
    _check_ranking(answer)
    return answer


def read_offers(body: Body, meta: Meta) -> OfferAnswer:
    answer = _read_table_answer(OfferAnswer, body, meta)
    _check_ranking(answer)
    return answer


def _check_ranking(answer: TableAnswer) -> None:
    answer._need(numbers.ENTITY_ID, "int64", "text")
    answer._need(numbers.SCORE, "float32")


def read_segments(body: Body, meta: Meta) -> SegmentsAnswer:
    answer = _read_table_answer(SegmentsAnswer, body, meta)
    answer._need(numbers.SEGMENTATION, "text")
    answer._need(numbers.SEGMENT_ID, "int32")
    answer._need(numbers.SEGMENT_CUSTOMER_COUNT, "int64")
    return answer


def read_profiles(body: Body, meta: Meta) -> ProfilesAnswer:
    return _read_table_answer(ProfilesAnswer, body, meta)


def read_count(body: Body, meta: Meta) -> Count:
    snapshot, start = read_stamp(body)
    count = Count(
        snapshot, body.u64(start, "matchingCustomers"), body.u64(start + 8, "customerCount"),
        meta.timings)
    body.zero(start + 16, 48)
    body.end(start + 64)
    return count


TOKEN_BYTES = 32


def read_chunk(body: Body, meta: Meta) -> CustomerChunk:
    snapshot, start = read_stamp(body)
    scanned = body.u64(start, "scannedCustomers")
    token = bytes(body.take(start + 8, TOKEN_BYTES, "resumeToken"))
    body.zero(start + 8 + TOKEN_BYTES, 24)
    table = read_table(body, start + 64)
    for number, kinds in ((numbers.ENTITY_ID, (INT64, TEXT)), (numbers.ROW_STATUS, (INT32,))):
        lanes = table.columns.get(number)
        if lanes is None or lanes.kind not in kinds or (table.rows and lanes.missing):
            name = numbers.PROTOCOL_NAMES[number]
            raise malformed("unknownColumn", name, f"a chunk without {name}")
    return CustomerChunk(
        snapshot, CustomerStatus.of(table.subject_status), [table], timings=meta.timings,
        scanned_count=scanned, token=token)


def read_error(body: Body, start: int, status: int, meta: Meta) -> PatronError:
    """An error body: section 7.9."""
    sizes = [
        body.limited(body.u16(start + 2 * i, name), TEXT_BYTES, start + 2 * i, name)
        for i, name in enumerate(("textBytes", "hintBytes", "fieldBytes"))
    ]
    body.zero(start + 6, 2)
    place = body.u32(start + 8, "byteOffset")
    body.zero(start + 12, 4)
    generation = body.u64(start + 16, "generation")
    offset, texts = start + 24, []
    for size in sizes:
        texts.append(body.text(offset, size, "text"))
        offset += size
    body.end(offset)
    pause = meta.retry_after_milliseconds
    return error_for(
        status, texts[0], hint=texts[1], field=texts[2],
        byte_offset=None if place == 0xFFFFFFFF else place, generation=generation,
        retry_after=None if pause is None else pause / 1000)


class GoAway(NamedTuple):
    grace_milliseconds: int
    reason: PatronError

    @property
    def closes(self) -> bool:
        """Whether the connection ends at once and every open request has failed."""
        return self.reason.status is not None and self.reason.status // 100 == 7


def read_goaway(frame: Frame) -> GoAway:
    meta, payload = open_frame(frame)
    body = Body(payload)
    grace = body.u32(0, "graceMilliseconds")
    body.zero(4, 4)
    return GoAway(grace, read_error(body, 8, frame.aux or STATUSES["internalError"], meta))


A = TypeVar("A")


def read_answer(frame: Frame, request: Any) -> Any:
    """The answer to a request, or the error in its place."""
    # An error ends a stream: nothing follows it.
    meta, payload = open_frame(frame, streams=request.streams and not frame.aux)
    body = Body(payload)
    if frame.aux:
        return read_error(body, 0, frame.aux, meta)
    return request.read(body, meta)
