"""Requests and how their answers are read: protocol/WIRE.md, section 7.

An operation is a subclass of `Request`. It says its opcode, whether repeating it is harmless, its
body, and how to read an answer; everything else (connections, deadlines, tries, pairing) is the
same for all and knows none of them.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from decimal import Decimal, InvalidOperation
from typing import Any, Callable, ClassVar, Dict, Generic, List, Optional, Sequence, Tuple, TypeVar, Union

from ._body import TEXT_BYTES, Body
from ._frame import (
    FRAME_BYTES, LABEL_BYTES, LARGEST_FRAME_BYTES, TAG_IDEMPOTENCY_KEY, TAG_MODEL_LABEL,
    EncodedRequest, Meta, encode_meta, encode_request)
from ._read import (
    TOKEN_BYTES, HelloAnswer, PingAnswer, read_chunk, read_count, read_describe, read_hello,
    read_lookup, read_offers, read_ping, read_profiles, read_segments, read_top)
from .answers import (
    Count, CustomerChunk, Description, LookupAnswer, OfferAnswer, PatronID, ProfilesAnswer,
    SegmentsAnswer, TopAnswer)
from .errors import PatronError, fault

INTEGER, TEXTUAL = 1, 2
ID_BYTES = 1024
LOOKUP_IDS = 65_536
LOOKUP_COLUMNS = 1024
RESULTS = 10_000
CATEGORIES = 1024
BOUGHT_SINCE = 1024
CREDENTIAL_BYTES = 1024
RULE_BYTES = 65_536
#: Bytes of frames that a stream may be ahead of its reader: the least, and all streams of a
#: connection together.
LEAST_CREDIT, MOST_CREDIT = 1 << 18, 1 << 24

FEATURE_LZ4 = 1 << 0
FEATURE_STREAMS, FEATURE_TIMINGS, FEATURE_AFFINITY_FACTS = 1 << 1, 1 << 2, 1 << 3
FEATURE_PROGRESS = 1 << 4

A = TypeVar("A")


class Request(Generic[A]):
    """A request; `A` is what it is answered with."""

    opcode: ClassVar[int]
    #: Whether the server may carry it out twice. What changes something is repeated only with an
    #: idempotency key.
    idempotent: ClassVar[bool] = True
    #: Answered by any number of frames, of which all but the last have the flag MORE.
    streams: ClassVar[bool] = False
    #: Whether it is asked again where another change came before it. What changes something leaves
    #: that to its caller.
    repeats_overtaken: ClassVar[bool] = True
    #: Whether it may name the snapshot that answers by its label.
    takes_label: ClassVar[bool] = True
    #: Is told how far the server is, where that one says so.
    progress: Optional[Callable[[Any], None]] = None
    #: Of a stream: bytes of frames that may come before more are asked for.
    credit: int = 0
    #: 16 bytes that make repeating harmless where `idempotent` is not set.
    idempotency_key: Optional[bytes] = None

    def body(self) -> bytes:
        raise NotImplementedError

    def read(self, body: Body, meta: Meta) -> A:
        """The answer of a frame with status 0."""
        raise NotImplementedError

    @property
    def may_repeat(self) -> bool:
        return self.idempotent or self.idempotency_key is not None

    def encode(self, items: Sequence[Tuple[int, bytes]] = ()) -> EncodedRequest:
        """`items` of a meta block, and the request's own key."""
        if not items and self.idempotency_key is None:
            return encode_request(self.opcode, self.body())
        all_items = list(items)
        if not self.takes_label:
            all_items = [item for item in all_items if item[0] != TAG_MODEL_LABEL]
        if self.idempotency_key is not None:
            all_items.insert(0, (TAG_IDEMPOTENCY_KEY, self.idempotency_key))
        return encode_request(self.opcode, self.body(), encode_meta(all_items))


class Hello(Request[HelloAnswer]):
    opcode = 0x0001
    takes_label = False

    def __init__(
        self, *, minimum_version: int = 1, maximum_version: int = 1,
        maximum_frame_bytes: int = FRAME_BYTES, required: int = 0, optional: int = 0,
        token: Optional[bytes] = None, client_name: str = "",
    ) -> None:
        self.versions = (minimum_version, maximum_version)
        if not 4096 <= maximum_frame_bytes <= LARGEST_FRAME_BYTES:
            raise fault(
                "valueOutOfRange", f"maximum_frame_bytes is {maximum_frame_bytes}",
                hint=f"4,096 to {LARGEST_FRAME_BYTES:,}", field="maximumFrameBytes")
        self.maximum_frame_bytes = maximum_frame_bytes
        self.required, self.optional = required, optional
        self.token = token
        if token is not None and len(token) > CREDENTIAL_BYTES:
            raise fault(
                "tooManyItems", f"a token of {len(token)} bytes",
                hint=f"at most {CREDENTIAL_BYTES}", field="credential")
        self.name = encode_text(client_name, TEXT_BYTES, "clientName")

    def body(self) -> bytes:
        token = self.token or b""
        head = struct.pack(
            "<BBHIQQHHHH", *self.versions, 0, self.maximum_frame_bytes, self.required,
            self.optional, 0 if self.token is None else 1, len(token), len(self.name), 0)
        return head + token + self.name

    def read(self, body: Body, meta: Meta) -> HelloAnswer:
        return read_hello(body)


class Ping(Request[PingAnswer]):
    opcode = 0x0002
    takes_label = False

    def __init__(self, token: int) -> None:
        self.token = token

    def body(self) -> bytes:
        return struct.pack("<Q", self.token)

    def read(self, body: Body, meta: Meta) -> PingAnswer:
        return read_ping(body, self.token)


class Describe(Request[Description]):
    opcode = 0x0010

    def body(self) -> bytes:
        return b""

    def read(self, body: Body, meta: Meta) -> Description:
        return read_describe(body)


class IDs:
    """Ids of one kind, as a LOOKUP has them on the wire."""

    def __init__(self, ids: Any) -> None:
        #: As they were given, for the answer.
        self.given: Sequence[PatronID]
        if getattr(getattr(ids, "dtype", None), "kind", "") in ("i", "u"):
            # An array, or a column of pandas.
            import numpy

            array = numpy.asarray(ids)
            if array.ndim != 1 or array.size == 0:
                raise fault(
                    "valueOutOfRange", f"an array of ids of shape {array.shape}",
                    hint="one dimension, 1 id and more", field="ids")
            if int(array.max()) > _LARGEST_INTEGER:
                raise _not_an_integer(int(array.max()))
            self.given = array.tolist()
            self.kind = INTEGER
            self._integers: Any = array.astype("<i8", copy=False).tobytes()
            return
        if hasattr(ids, "to_pylist"):
            # An array of Arrow.
            ids = ids.to_pylist()
        if isinstance(ids, (str, bytes)):
            raise fault(
                "valueOutOfRange", f"ids is {type(ids).__name__}, not a sequence of ids",
                hint="lookup([id]) or lookup_one(id)", field="ids")
        self.given = ids if isinstance(ids, (list, tuple)) else list(ids)
        kinds = set(map(type, self.given))
        texts = sum(issubclass(kind, str) for kind in kinds)
        if not kinds:
            raise fault("valueOutOfRange", "no ids", hint="1 and more", field="idCount")
        if texts == 0:
            self.kind = INTEGER
            self._integers = _pack_integers(self.given, kinds == {int})
        elif texts == len(kinds):
            self.kind = TEXTUAL
            self._texts = [encode_id_text(text) for text in self.given]  # type: ignore[arg-type]
        else:
            raise fault(
                "wrongIDKind", "integer and text ids in one look-up",
                hint="use the kind that describe() names", field="ids")

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, part: slice) -> "IDs":
        chosen = object.__new__(IDs)
        chosen.given = self.given[part]
        chosen.kind = self.kind
        if self.kind == INTEGER:
            chosen._integers = self._integers[8 * part.start : 8 * part.stop]
        else:
            chosen._texts = self._texts[part]
        return chosen

    def encode(self) -> bytes:
        if self.kind == INTEGER:
            return bytes(self._integers)
        offsets, total = [0], 0
        for text in self._texts:
            total += len(text)
            offsets.append(total)
        return struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(self._texts)


_LARGEST_INTEGER = (1 << 63) - 1


def _not_an_integer(value: object) -> PatronError:
    return fault(
        "valueOutOfRange", f"an id of {value!r}", hint="integers of 64 bits with a sign, or texts",
        field="ids")


def _pack_integers(ids: Sequence[Any], are_plain: bool) -> bytes:
    try:
        if not are_plain and bool in map(type, ids):
            raise TypeError
        lanes = array("q", ids if are_plain else map(operator.index, ids))
    except (TypeError, OverflowError):
        bad = next(value for value in ids if not _is_integer(value))
        raise _not_an_integer(bad) from None
    if sys.byteorder == "big":
        lanes.byteswap()
    return lanes.tobytes()


def _is_integer(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and -_LARGEST_INTEGER - 1 <= operator.index(value) <= _LARGEST_INTEGER
    except TypeError:
        return False


def encode_text(text: str, limit: int, field: str) -> bytes:
    if not isinstance(text, str):
        raise fault(
            "valueOutOfRange", f"{field} is {type(text).__name__}", hint="a text", field=field)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise fault(
            "invalidText", f"{field} has a lone surrogate", hint="text that UTF-8 can hold",
            field=field) from None
    if len(data) > limit:
        raise fault(
            "tooManyItems", f"{field} of {len(data)} bytes", hint=f"at most {limit}", field=field)
    return data


def encode_label(label: str) -> bytes:
    data = encode_text(label, LABEL_BYTES, "label")
    if not data:
        raise fault("valueOutOfRange", "an empty label", hint="such as canary", field="label")
    return data


def encode_id_text(text: str) -> bytes:
    return encode_text(text, ID_BYTES, "id")


def encode_id(identifier: PatronID) -> Tuple[int, bytes]:
    """The idKind, and the id as in TOP_PRODUCTS."""
    if isinstance(identifier, str):
        data = encode_id_text(identifier)
        return TEXTUAL, struct.pack("<I", len(data)) + data
    if not _is_integer(identifier):
        raise _not_an_integer(identifier)
    return INTEGER, struct.pack("<q", operator.index(identifier))


def check_count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise fault("valueOutOfRange", f"count is {count!r}", hint="1 to 10,000", field="count")
    if count > RESULTS:
        raise fault("tooManyItems", f"count is {count}", hint="at most 10,000", field="count")
    return count


def check_numbers(columns: Optional[Sequence[int]]) -> List[int]:
    """Column numbers as a request has them: none for all."""
    chosen = [] if columns is None else list(columns)
    if columns is not None and not chosen:
        raise fault("valueOutOfRange", "no columns", hint="None for all", field="columns")
    if len(chosen) > LOOKUP_COLUMNS:
        raise fault(
            "tooManyItems", f"{len(chosen)} columns", hint=f"at most {LOOKUP_COLUMNS}",
            field="columnCount")
    if len(set(chosen)) != len(chosen):
        raise fault("duplicateColumn", "a column twice", hint="name it once", field="columns")
    for column in chosen:
        if not 0 <= column <= 0xFFFF:
            raise fault(
                "valueOutOfRange", f"column number {column}", hint="0 to 65,535", field="columns")
    return chosen


class Lookup(Request[LookupAnswer]):
    opcode = 0x0020

    def __init__(
        self, ids: IDs, columns: Optional[Sequence[int]] = None, ignore_unknown: bool = False
    ) -> None:
        if len(ids) > LOOKUP_IDS:
            raise fault(
                "tooManyItems", f"{len(ids)} ids in a frame", hint=f"at most {LOOKUP_IDS:,}",
                field="idCount")
        self.ids = ids
        self.columns = check_numbers(columns)
        self.ignore_unknown = ignore_unknown

    def body(self) -> bytes:
        count = len(self.columns)
        head = struct.pack(
            f"<BBHI{count}H", self.ids.kind, int(self.ignore_unknown), count, len(self.ids),
            *self.columns)
        return head + bytes(-len(head) % 8) + self.ids.encode()

    def read(self, body: Body, meta: Meta) -> LookupAnswer:
        return read_lookup(body, meta, self.ids.given)


class SingleTemplate:
    """What LOOKUPs of one customer of the same columns have in common."""

    __slots__ = ("head", "is_text")

    def __init__(self, columns: Sequence[int], ignore_unknown: bool, is_text: bool) -> None:
        count = len(columns)
        head = struct.pack(
            f"<BBHI{count}H", TEXTUAL if is_text else INTEGER, int(ignore_unknown), count, 1, *columns)
        self.head = head + bytes(-len(head) % 8)
        self.is_text = is_text


_ONE_ID = struct.Struct("<q").pack


class SingleLookup(Request[LookupAnswer]):
    """A LOOKUP of one customer, quickly made; the id has been checked."""

    opcode = 0x0020

    def __init__(self, template: SingleTemplate, customer: PatronID) -> None:
        self.template, self.customer = template, customer

    def body(self) -> bytes:
        template = self.template
        if template.is_text:
            text = str(self.customer).encode("utf-8")
            return template.head + struct.pack("<II", 0, len(text)) + text
        return template.head + _ONE_ID(self.customer)

    def read(self, body: Body, meta: Meta) -> LookupAnswer:
        return read_lookup(body, meta, (self.customer,))


class TopProducts(Request[TopAnswer]):
    opcode = 0x0022

    def __init__(self, identifier: PatronID, count: int = 10, exclude_purchased: bool = True) -> None:
        self.kind, self.identifier = encode_id(identifier)
        self.count = check_count(count)
        self.exclude_purchased = exclude_purchased

    def body(self) -> bytes:
        head = struct.pack("<BBHI", self.kind, int(self.exclude_purchased), 0, self.count)
        return head + self.identifier

    def read(self, body: Body, meta: Meta) -> TopAnswer:
        return read_top(body, meta)


class TopCustomers(TopProducts):
    opcode = 0x0023


CUSTOMER, PRODUCT = 1, 2


class Similar(Request[TopAnswer]):
    opcode = 0x0024

    def __init__(self, subject: int, identifier: PatronID, count: int = 10) -> None:
        self.kind, self.identifier = encode_id(identifier)
        self.subject = subject
        self.count = check_count(count)

    def body(self) -> bytes:
        return struct.pack("<BBHI", self.kind, self.subject, 0, self.count) + self.identifier

    def read(self, body: Body, meta: Meta) -> TopAnswer:
        return read_top(body, meta)


class Segments(Request[SegmentsAnswer]):
    opcode = 0x0026

    def __init__(self, segmentation: Optional[str] = None) -> None:
        self.name = _segmentation(segmentation)

    def body(self) -> bytes:
        return struct.pack("<HH", len(self.name), 0) + self.name

    def read(self, body: Body, meta: Meta) -> SegmentsAnswer:
        return read_segments(body, meta)


class SegmentProfiles(Request[ProfilesAnswer]):
    opcode = 0x0027

    def __init__(self, segmentation: Optional[str] = None) -> None:
        self.name = _segmentation(segmentation)

    def body(self) -> bytes:
        return struct.pack("<HH", len(self.name), 0) + self.name

    def read(self, body: Body, meta: Meta) -> ProfilesAnswer:
        return read_profiles(body, meta)


def _segmentation(name: Optional[str]) -> bytes:
    if name == "":
        raise fault(
            "valueOutOfRange", "an empty segmentation name", hint="None for all",
            field="segmentation")
    return b"" if name is None else encode_text(name, TEXT_BYTES, "segmentation")


Price = Union[int, float, str, Decimal]
_OFFERS = {"next": 0, "crossSell": 1, "upSell": 2}
_OFFER_RANKS = {"affinity": 0, "margin": 1}
_CUSTOMER_RANKS = {"affinity": 0, "probability": 1}
_BOUGHT = {"included": 0, "leftOut": 1, "only": 2}


def _choice(value: str, choices: Dict[str, int], field: str) -> int:
    if value not in choices:
        raise fault(
            "valueOutOfRange", f"{field} is {value!r}", hint="one of " + ", ".join(choices),
            field=field)
    return choices[value]


def encode_price(price: Optional[Price], field: str) -> int:
    """In ten-thousandths of the currency unit, rounded; 0 for no limit."""
    if price is None:
        return 0
    try:
        exact = Decimal(str(price) if isinstance(price, float) else price)
        if not exact.is_finite() or exact < 0:
            raise InvalidOperation
        number = int((exact * 10_000).to_integral_value())
    except (InvalidOperation, TypeError, ValueError):
        raise fault(
            "valueOutOfRange", f"{field} is {price!r}", hint="a number from 0, or None", field=field
        ) from None
    if number > _LARGEST_INTEGER:
        raise fault("valueOutOfRange", f"{field} is {price}", hint="at most 9e14", field=field)
    return number


class OfferProducts(Request[OfferAnswer]):
    opcode = 0x0028

    def __init__(
        self, identifier: PatronID, count: int = 10, *, offer: str = "next",
        rank: str = "affinity", bought: str = "leftOut", categories: Sequence[str] = (),
        lowest_price: Optional[Price] = None, highest_price: Optional[Price] = None,
        largest_ratio: Optional[float] = None, bought_since: Sequence[PatronID] = (),
        include_out_of_stock: bool = False,
    ) -> None:
        self.kind, self.identifier = encode_id(identifier)
        self.count = check_count(count)
        self.offer = _choice(offer, _OFFERS, "offer")
        self.rank = _choice(rank, _OFFER_RANKS, "rank")
        self.options = _choice(bought, _BOUGHT, "bought") | (4 if include_out_of_stock else 0)
        self.lowest = encode_price(lowest_price, "lowestPrice")
        self.highest = encode_price(highest_price, "highestPrice")
        if highest_price is not None and (self.highest == 0 or self.highest < self.lowest):
            raise fault(
                "valueOutOfRange", f"highestPrice {highest_price} below lowestPrice {lowest_price}",
                hint="above 0 and not below the lowest; None for no limit", field="highestPrice")
        self.ratio = _ratio(largest_ratio)
        for field, texts, limit in (
            ("categories", categories, CATEGORIES), ("boughtSince", bought_since, BOUGHT_SINCE)
        ):
            if isinstance(texts, (str, bytes)):
                raise fault(
                    "valueOutOfRange", f"{field} is {type(texts).__name__}", hint="a list",
                    field=field)
            if len(texts) > limit:
                raise fault(
                    "tooManyItems", f"{len(texts)} {field}", hint=f"at most {limit}", field=field)
        self.categories = [encode_text(text, TEXT_BYTES, "categories") for text in categories]
        self.bought_since = [
            encode_text(item if isinstance(item, str) else _digits(item), ID_BYTES, "boughtSince")
            for item in bought_since
        ]

    def body(self) -> bytes:
        head = struct.pack(
            "<BBBBIqqHHHH", self.kind, self.options, self.offer, self.rank, self.count, self.lowest,
            self.highest, self.ratio, len(self.categories), len(self.bought_since), 0)
        texts = [
            struct.pack("<H", len(text)) + text for text in self.categories + self.bought_since]
        return head + self.identifier + b"".join(texts)

    def read(self, body: Body, meta: Meta) -> OfferAnswer:
        return read_offers(body, meta)


def _digits(item: Any) -> str:
    if not _is_integer(item):
        raise _not_an_integer(item)
    return str(operator.index(item))


def _ratio(ratio: Optional[float]) -> int:
    if ratio is None:
        return 0
    if not 1.01 <= ratio <= 655.35:
        raise fault(
            "valueOutOfRange", f"largestRatio is {ratio}", hint="1.01 to 655.35",
            field="largestRatio")
    return round(ratio * 100)


class OfferCustomers(Request[OfferAnswer]):
    opcode = 0x0029

    def __init__(
        self, identifier: PatronID, count: int = 10, *, rank: str = "affinity",
        promoted: bool = False, exclude_purchasers: bool = True,
    ) -> None:
        self.kind, self.identifier = encode_id(identifier)
        self.count = check_count(count)
        self.rank = _choice(rank, _CUSTOMER_RANKS, "rank")
        self.options = int(exclude_purchasers) | (2 if promoted else 0)

    def body(self) -> bytes:
        head = struct.pack("<BBBBI", self.kind, self.options, self.rank, 0, self.count)
        return head + self.identifier

    def read(self, body: Body, meta: Meta) -> OfferAnswer:
        return read_offers(body, meta)


def encode_rule(rule: str) -> bytes:
    """A rule of section 8.5; the server reads it."""
    data = encode_text(rule, RULE_BYTES, "rule")
    if not data:
        raise fault(
            "valueOutOfRange", "an empty rule", hint="a condition on columns, or all", field="rule")
    return data


class CountCustomers(Request[Count]):
    opcode = 0x0030

    def __init__(self, rule: str) -> None:
        self.rule = encode_rule(rule)

    def body(self) -> bytes:
        return struct.pack("<II", len(self.rule), 0) + self.rule

    def read(self, body: Body, meta: Meta) -> Count:
        return read_count(body, meta)


class Scan(Request[CustomerChunk]):
    """All customers. `after`: the token of the chunk behind which to go on; None begins."""

    opcode = 0x0032
    streams = True
    rule = b""

    def __init__(
        self, columns: Optional[Sequence[int]] = None, *, after: Optional[bytes] = None,
        credit: int = 1 << 20,
    ) -> None:
        self.columns = check_numbers(columns)
        self.after = check_token(after)
        self.credit = check_credit(credit)

    def body(self) -> bytes:
        count = len(self.columns)
        return struct.pack(
            f"<IHH{TOKEN_BYTES}sII{count}H", self.credit, count, 0, self.after or b"",
            len(self.rule), 0, *self.columns) + self.rule

    def read(self, body: Body, meta: Meta) -> CustomerChunk:
        return read_chunk(body, meta)


class Audience(Scan):
    """The customers that a rule holds for."""

    opcode = 0x0031

    def __init__(
        self, rule: str, columns: Optional[Sequence[int]] = None, *,
        after: Optional[bytes] = None, credit: int = 1 << 20,
    ) -> None:
        super().__init__(columns, after=after, credit=credit)
        self.rule = encode_rule(rule)


def check_token(after: Optional[bytes]) -> Optional[bytes]:
    if after is not None and (
        not isinstance(after, (bytes, bytearray, memoryview)) or len(after) != TOKEN_BYTES
    ):
        raise fault(
            "valueOutOfRange", f"after is {after!r}", hint="the token of a chunk, or None",
            field="resumeToken")
    return None if after is None else bytes(after)


def check_credit(credit: int) -> int:
    if isinstance(credit, bool) or not isinstance(credit, int) or not LEAST_CREDIT <= credit <= MOST_CREDIT:
        raise fault(
            "valueOutOfRange", f"credit is {credit!r}",
            hint=f"{LEAST_CREDIT:,} to {MOST_CREDIT:,} bytes", field="credit")
    return credit
