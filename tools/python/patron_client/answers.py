"""What calls return. Columns stay in the bytes that came until somebody wants them as a Python
list, a NumPy array or an Arrow array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from . import _columns as numbers
from ._answers_admin import (
    AppendAnswer, EraseReceipt, ErasedCustomer, Progress, Published, Refusal, RefusalReason, ServedModel, ShadowColumn, ShadowMove,
    ShadowReport, Stat, StoredGeneration)
from ._columns import KNOWN_NAMES
from ._frame import Timings
from ._snapshot import Model, Snapshot
from ._table import FLOAT32, FLOAT64, INT32, INT64, TEXT, TYPE_NAMES, Lanes, Row, Table, Value
from .errors import malformed

if TYPE_CHECKING:
    import numpy
    import pyarrow

__all__ = [
    "AppendAnswer", "EraseReceipt", "ErasedCustomer", "Progress", "Published", "Refusal", "RefusalReason", "ServedModel",
    "ShadowColumn", "ShadowMove", "ShadowReport", "Stat", "StoredGeneration",
    "Affinity", "Basis", "Column", "ColumnInfo", "Count", "Customer", "CustomerChunk",
    "CustomerStatus", "Description",
    "LookupAnswer", "Model", "Offer", "OfferAnswer", "Profile", "ProfilesAnswer", "Segment",
    "SegmentsAnswer", "Snapshot", "TableAnswer", "Timings", "Top", "TopAnswer", "PatronID",
]

#: The id of a customer or a product, of the kind that `Description` names.
PatronID = Union[int, str]

_NUMPY_TYPES = {INT32: "<i4", INT64: "<i8", FLOAT32: "<f4", FLOAT64: "<f8"}


class CustomerStatus(IntEnum):
    """Why there is no score; `OTHER`: a reason that this release does not know."""

    OK = 0
    UNKNOWN_CUSTOMER = 1
    TOO_LITTLE_HISTORY = 2
    ONLY_RETURNS = 3
    MODEL_NOT_FITTED = 4
    NOT_ELIGIBLE = 5
    OTHER = 255

    @classmethod
    def of(cls, number: int) -> "CustomerStatus":
        return _CUSTOMER_STATUSES.get(number, cls.OTHER)


_CUSTOMER_STATUSES = {int(status): status for status in CustomerStatus}


class Column(Sequence[Value]):
    """A column of an answer: a sequence of its values, None where a row has none."""

    def __init__(self, number: int, name: str, parts: Sequence[Lanes]) -> None:
        #: The number by which the wire names it, and its name.
        self.number = number
        self.name = name
        self._parts = tuple(parts)
        self._list: Optional[List[Value]] = None

    @property
    def type(self) -> str:
        """int32, int64, float32, float64 or text."""
        return TYPE_NAMES[self._parts[0].kind]

    @property
    def values(self) -> List[Value]:
        """All values, None where a row has none. Made once."""
        if self._list is None:
            if len(self._parts) == 1:
                self._list = self._parts[0].list()
            else:
                self._list = [value for part in self._parts for value in part.list()]
        return self._list

    @property
    def valid(self) -> List[bool]:
        """Whether each row has a value."""
        return [ok for part in self._parts for ok in part.valid()]

    def __len__(self) -> int:
        return sum(part.rows for part in self._parts)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Column):
            return self.number == other.number and self.values == other.values
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Column {self.name}: {self.type}, {len(self)} rows>"

    def numpy(self) -> "numpy.ndarray[Any, Any]":
        """The values as an array, read-only and without a copy where the answer came in one frame.

        Where rows have no value it is a masked array; texts are Python objects, None where missing.
        """
        import numpy

        arrays = [_numpy_part(part) for part in self._parts]
        if len(arrays) == 1:
            return arrays[0]
        if any(part.missing for part in self._parts) and self._parts[0].kind != TEXT:
            join: Any = numpy.ma.concatenate
            joined: numpy.ndarray[Any, Any] = join(arrays)
            return joined
        return numpy.concatenate(arrays)

    def arrow(self) -> "pyarrow.ChunkedArray":
        """The values as an Arrow array, a chunk a frame; bitmaps and lanes are not copied."""
        import pyarrow

        return pyarrow.chunked_array([_arrow_part(part) for part in self._parts])


def _numpy_part(part: Lanes) -> "numpy.ndarray[Any, Any]":
    import numpy

    if part.kind == TEXT:
        texts = numpy.empty(part.rows, dtype=object)
        texts[:] = part.list()
        return texts
    kind = _NUMPY_TYPES[part.kind]
    if part.values is None:
        filled = numpy.full(part.rows, part.constant or 0, dtype=kind)
        filled.flags.writeable = False
        if part.constant is None:
            return numpy.ma.masked_array(filled, mask=numpy.ones(part.rows, dtype=bool))
        return filled
    array = numpy.frombuffer(part.values, dtype=kind)
    if part.validity is None:
        return array
    bits = numpy.unpackbits(
        numpy.frombuffer(part.validity, numpy.uint8), count=part.rows, bitorder="little")
    return numpy.ma.masked_array(array, mask=bits == 0)


def _arrow_part(part: Lanes) -> "pyarrow.Array":
    import pyarrow

    kind = {
        INT32: pyarrow.int32(), INT64: pyarrow.int64(), FLOAT32: pyarrow.float32(),
        FLOAT64: pyarrow.float64(), TEXT: pyarrow.string(),
    }[part.kind]
    if part.values is None:
        if part.constant is None:
            return pyarrow.nulls(part.rows, kind)
        return pyarrow.repeat(pyarrow.scalar(part.constant, kind), part.rows)
    validity = None if part.validity is None else pyarrow.py_buffer(part.validity)
    buffers = [validity, pyarrow.py_buffer(part.values)]
    if part.text is not None:
        buffers.append(pyarrow.py_buffer(part.text))
    return pyarrow.Array.from_buffers(kind, part.rows, buffers)


@dataclass
class TableAnswer:
    """Rows and columns of one snapshot."""

    snapshot: Snapshot
    #: Why the customer or product that was asked about has no rows, or ok.
    status: CustomerStatus
    tables: List[Table] = field(repr=False)
    #: Names of the columns that the snapshot itself has numbered.
    names: Mapping[int, str] = field(default_factory=dict, repr=False)
    #: The server's own, where the connection asked for them.
    timings: Optional[Timings] = None

    def __post_init__(self) -> None:
        self._columns: Optional[Dict[str, Column]] = None
        self._by_number: Dict[int, Column] = {}

    def _name(self, number: int) -> str:
        return self.names.get(number) or KNOWN_NAMES.get(number) or f"column_{number}"

    @property
    def columns(self) -> Dict[str, Column]:
        """By name, in the answer's order."""
        if self._columns is None:
            made: Dict[str, Column] = {}
            for number in self.tables[0].columns:
                name = self._name(number)
                if name in made:
                    # A segmentation may be called as it likes.
                    name = f"{name} ({number})"
                made[name] = Column(
                    number, name, [table.columns[number] for table in self.tables])
                self._by_number[number] = made[name]
            self._columns = made
        return self._columns

    def __getitem__(self, name: Union[str, int]) -> Column:
        """The column of that name or number; KeyError where there is none."""
        columns = self.columns
        return columns[name] if isinstance(name, str) else self._by_number[name]

    def __len__(self) -> int:
        return sum(table.rows for table in self.tables)

    def rows(self) -> List[Dict[str, Value]]:
        """A dictionary a row, for people and small answers."""
        names = list(self.columns)
        lists = [column.values for column in self.columns.values()]
        return [dict(zip(names, values)) for values in zip(*lists)] if lists else []

    def row(self, index: int) -> Dict[str, Value]:
        """One row."""
        return {name: column.values[index] for name, column in self.columns.items()}

    def numpy(self) -> Dict[str, "numpy.ndarray[Any, Any]"]:
        """An array a column; see `Column.numpy`."""
        return {name: column.numpy() for name, column in self.columns.items()}

    def arrow(self) -> "pyarrow.Table":
        """An Arrow table, whose buffers are those of the answer."""
        import pyarrow

        columns = self.columns
        return pyarrow.table([column.arrow() for column in columns.values()], names=list(columns))

    def _need(self, number: int, *kinds: str) -> Column:
        """A column that the specification promises."""
        column = self._by_number.get(number) if self.columns else None
        if column is None or column.type not in kinds:
            raise malformed("unknownColumn", self._name(number), "a promised column is not there")
        return column

    def _optional(self, number: int) -> List[Any]:
        column = self._by_number.get(number) if self.columns else None
        return [None] * len(self) if column is None else column.values


@dataclass
class Customer:
    """One customer of a look-up."""

    id: PatronID
    status: CustomerStatus
    #: By column name; None where there is no value.
    values: Dict[str, Value]
    snapshot: Snapshot

    def __getitem__(self, name: str) -> Value:
        return self.values[name]


@dataclass
class LookupAnswer(TableAnswer):
    """A row an id, in the order of the ids."""

    ids: Sequence[PatronID] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lists: Optional[List[Tuple[int, str, List[Value]]]] = None

    @property
    def statuses(self) -> List[CustomerStatus]:
        """Why a row has no scores, or ok."""
        status = self._need(numbers.ROW_STATUS, "int32")
        return [CustomerStatus.of(int(value or 0)) for value in status.values]

    def customer(self, index: int) -> Customer:
        """One row with its id."""
        row = self.tables[0]
        if isinstance(row, Row) and len(self.tables) == 1 and row.shape.numbers[0] == numbers.ROW_STATUS:
            labels = row.shape.labels
            if labels is None or labels[0] is not self.names:
                labels = (self.names, tuple(self._name(number) for number in row.shape.numbers))
                row.shape.labels = labels
            found_values = dict(zip(labels[1], row.values))
            number = found_values.pop(labels[1][0])
            if len(found_values) + 1 == len(row.values):
                return Customer(
                    self.ids[index], CustomerStatus.of(number), found_values,  # type: ignore[arg-type]
                    self.snapshot)
        values: Dict[str, Value] = {}
        status: Value = 0
        if self._lists is None:
            # Of each column its name and values; without a `Column`, which takes longer to make
            # than the values of one customer.
            self._lists = [
                (number, self._name(number), lanes.list())
                for number, lanes in self.tables[0].columns.items()
            ] if len(self) == 1 else []
            if len({name for _, name, _ in self._lists}) != len(self.tables[0].columns):
                self._lists = [
                    (column.number, name, column.values) for name, column in self.columns.items()]
        for number, name, found in self._lists:
            if number == numbers.ROW_STATUS:
                status = found[index]
            else:
                values[name] = found[index]
        return Customer(
            self.ids[index], CustomerStatus.of(int(status or 0)), values, self.snapshot)

    def customers(self) -> List[Customer]:
        return [self.customer(index) for index in range(len(self))]

    def rows(self) -> List[Dict[str, Value]]:
        """A dictionary a customer, the id first."""
        return [{"id": i, **row} for i, row in zip(self.ids, super().rows())]


@dataclass
class ScoreAnswer(TableAnswer):
    """A row a history, in the order of the histories."""

    @property
    def statuses(self) -> List[CustomerStatus]:
        """Why a history has no scores, or ok."""
        status = self._need(numbers.ROW_STATUS, "int32")
        return [CustomerStatus.of(int(value or 0)) for value in status.values]


@dataclass
class Explanation(TableAnswer):
    """Why a customer is in a segment and not in the next one: a row a feature, what decides first."""

    segment: int = 0
    #: None for rules, and where there is only one segment.
    next_segment: Optional[int] = None
    #: To the centroids, in scaled coordinates; None for rules.
    distance: Optional[float] = None
    next_distance: Optional[float] = None
    model_version: int = 0


@dataclass
class CustomerChunk(TableAnswer):
    """Customers that follow one another in the snapshot; of a stream, one of many."""

    #: Customers of the snapshot that the stream has gone past, those of this chunk included.
    scanned_count: int = 0
    #: A stream that is begun with it goes on behind this chunk, while the snapshot is served.
    token: bytes = b""

    @property
    def ids(self) -> List[PatronID]:
        return self._need(numbers.ENTITY_ID, "int64", "text").values  # type: ignore[return-value]

    @property
    def statuses(self) -> List[CustomerStatus]:
        """Why a row has no scores, or ok."""
        status = self._need(numbers.ROW_STATUS, "int32")
        return [CustomerStatus.of(int(value or 0)) for value in status.values]

    def customers(self) -> List[Customer]:
        """One object a customer, with its id."""
        columns = [
            column for column in self.columns.values()
            if column.number not in (numbers.ENTITY_ID, numbers.ROW_STATUS)]
        names = [column.name for column in columns]
        rows: Any = zip(*(column.values for column in columns)) if columns else [()] * len(self)
        return [
            Customer(i, status, dict(zip(names, values)), self.snapshot)
            for i, status, values in zip(self.ids, self.statuses, rows)]

    def rows(self) -> List[Dict[str, Value]]:
        """A dictionary a customer, the id first."""
        chosen = [c for c in self.columns.values() if c.number != numbers.ENTITY_ID]
        names = ["id", *(column.name for column in chosen)]
        lists: List[Any] = [self.ids, *(column.values for column in chosen)]
        return [dict(zip(names, values)) for values in zip(*lists)]


@dataclass(frozen=True)
class Count:
    """How many customers a rule holds for; `int()` of it is that number."""

    snapshot: Snapshot
    count: int
    #: Of the snapshot.
    customer_count: int
    timings: Optional[Timings] = None

    def __int__(self) -> int:
        return self.count


@dataclass(frozen=True)
class Top:
    id: PatronID
    #: Comparable within one answer only; of SIMILAR a cosine, -1 … 1.
    score: float


@dataclass
class TopAnswer(TableAnswer):
    """The best products of a customer, customers of a product, or the most similar."""

    @property
    def entries(self) -> List[Top]:
        """Best first."""
        ids = self._need(numbers.ENTITY_ID, "int64", "text").values
        scores = self._need(numbers.SCORE, "float32").values
        return [Top(i, s) for i, s in zip(ids, scores)]  # type: ignore[arg-type]


class Basis(IntEnum):
    """Where a score comes from; `OTHER`: a number that this release does not know."""

    OWN_PURCHASES = 0
    #: The customer has bought nothing that the model knows: attributes in common with others.
    CUSTOMER_ATTRIBUTES = 1
    #: Nobody has bought the product: its category and price.
    PRODUCT_ATTRIBUTES = 2
    ATTRIBUTES_OF_BOTH = 3
    OTHER = 255


@dataclass(frozen=True)
class Offer:
    id: PatronID
    #: Comparable within one answer only.
    score: float
    #: That the customer buys the product within the plan's horizon; None: not calibrated.
    purchase_probability: Optional[float]
    #: In the snapshot's currency; None likewise.
    expected_margin: Optional[float]
    #: How many times as much the customer buys under promotion; None: not asked for.
    promotion_lift: Optional[float]
    basis: Optional[Basis]


@dataclass
class OfferAnswer(TableAnswer):
    """Products to offer to a customer, or customers to offer a product to."""

    @property
    def entries(self) -> List[Offer]:
        """Best first."""
        ids = self._need(numbers.ENTITY_ID, "int64", "text").values
        scores = self._need(numbers.SCORE, "float32").values
        rest = zip(
            self._optional(numbers.PURCHASE_PROBABILITY), self._optional(numbers.EXPECTED_MARGIN),
            self._optional(numbers.PROMOTION_LIFT), self._optional(numbers.AFFINITY_BASIS))
        return [
            Offer(i, s, probability, margin, lift, _basis(basis))  # type: ignore[arg-type]
            for i, s, (probability, margin, lift, basis) in zip(ids, scores, rest)
        ]


def _basis(number: Optional[int]) -> Optional[Basis]:
    if number is None:
        return None
    return Basis(number) if 0 <= number <= 3 else Basis.OTHER


@dataclass(frozen=True)
class Segment:
    """Amounts are in the snapshot's currency, shares 0 … 1; None: the snapshot does not say."""

    segmentation: str
    #: What the segmentation's column of a look-up holds.
    number: int
    name: str
    customer_count: int
    customer_share: Optional[float]
    revenue: Optional[float]
    revenue_share: Optional[float]
    mean_lifetime_value: Optional[float]
    mean_churn_probability: Optional[float]
    margin: Optional[float]
    #: Orders in the lifetime horizon.
    mean_expected_purchases: Optional[float]
    #: What sets it apart, most first: `feature index (standard deviations)`, `; ` between.
    distinctions: Optional[str]


@dataclass
class SegmentsAnswer(TableAnswer):
    """The segments of one segmentation or of all."""

    @property
    def segments(self) -> List[Segment]:
        return [
            Segment(segmentation or "", number or 0, name or "", count or 0, *rest)
            for segmentation, number, name, count, *rest in zip(
                self._need(numbers.SEGMENTATION, "text").values,
                self._need(numbers.SEGMENT_ID, "int32").values,
                self._optional(0xF012),
                self._need(numbers.SEGMENT_CUSTOMER_COUNT, "int64").values,
                *(self._optional(number) for number in range(0xF014, 0xF01C)),
            )
        ]


@dataclass(frozen=True)
class Profile:
    """A feature, or a category of one, in one segment, beside all customers."""

    segmentation: str
    segment: int
    feature: str
    #: None for numbers.
    category: Optional[str]
    #: Of numbers; of a category its share.
    mean: Optional[float]
    overall_mean: Optional[float]
    #: 100 x mean / overall_mean.
    index: Optional[float]
    #: (mean - overall_mean) in standard deviations of all customers.
    difference: Optional[float]
    missing_share: Optional[float]


@dataclass
class ProfilesAnswer(TableAnswer):
    """What segments are like; no rows where the snapshot does not say."""

    @property
    def profiles(self) -> List[Profile]:
        if len(self) == 0:
            return []
        columns: Tuple[List[Any], ...] = (
            self._need(numbers.SEGMENTATION, "text").values,
            self._need(numbers.SEGMENT_ID, "int32").values,
            self._need(numbers.PROFILE_FEATURE, "text").values,
            self._optional(0xF031), self._optional(0xF032), self._optional(0xF036),
            self._optional(0xF033), self._optional(0xF034), self._optional(0xF035),
        )
        return [Profile(*row) for row in zip(*columns)]


@dataclass(frozen=True)
class ColumnInfo:
    """A column that a look-up can give."""

    number: int
    name: str
    #: int32, int64, float32, float64 or text.
    type: str
    #: A currency code, `days`, `probability` …; empty for a bare number.
    unit: str
    description: str
    #: What its numbers are called; empty for a quantity.
    value_names: Mapping[int, str]


@dataclass(frozen=True)
class Affinity:
    """What affinity there is, and what can be asked of it."""

    #: factors, hybrid, popular, repeatPurchase; `other` and a number of newer servers.
    variant: str
    #: By category and price, cross-sell and up-sell.
    has_details: bool
    #: Purchase probabilities and expected margins.
    has_probabilities: bool
    #: With products bought since the scoring.
    takes_bought_since: bool
    #: Customers under promotion.
    has_promotions: bool
    #: Similar customers and products.
    finds_similar: bool
    #: Customers who have bought nothing, by their attributes.
    serves_cold_customers: bool
    #: Products that nobody has bought, by category and price.
    serves_cold_products: bool


@dataclass(frozen=True)
class Description:
    """What the server has."""

    snapshot: Snapshot
    customer_count: int
    product_count: int
    #: integer or text; None: there are none.
    customer_id_kind: Optional[str]
    product_id_kind: Optional[str]
    #: None: there is none, or the server does not say.
    affinity: Optional[Affinity]
    columns: Tuple[ColumnInfo, ...]

    @cached_property
    def names(self) -> Dict[int, str]:
        """Column names by number."""
        return {column.number: column.name for column in self.columns}

    @cached_property
    def numbers(self) -> Dict[str, int]:
        """Column numbers by name."""
        return {column.name: column.number for column in self.columns}

    def column(self, name: str) -> ColumnInfo:
        """The column of that name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
