"""Purchase lines as a caller has them, made to lanes of APPEND: protocol/WIRE.md, section 7.17."""

from __future__ import annotations

import datetime
import math
import operator
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ._requests import encode_id_text, encode_text
from ._write_table import FLOAT32, INT32, INT64, TEXT, Cell, WrittenColumn
from .errors import fault

LINES = 65_536
CURRENCY_BYTES = 8
LINE_TEXT_BYTES = 1 << 20

ENTITY_ID = 0xF002
LINE_DAY, LINE_TIME, LINE_AMOUNT, LINE_MARGIN, LINE_COST = 0xF080, 0xF081, 0xF082, 0xF083, 0xF084
LINE_QUANTITY, LINE_ORDER, LINE_PRODUCT, LINE_CATEGORY = 0xF085, 0xF086, 0xF087, 0xF088
LINE_PROMOTION, LINE_CHANNEL = 0xF089, 0xF08A

_EPOCH = datetime.date(1970, 1, 1)
_LARGEST_FLOAT32 = 3.4028234663852886e38

#: A sequence, or a column of NumPy, pandas or Arrow; None, NaN, NaT and nulls are missing values.
Values = Sequence[Any]


@dataclass
class PurchaseLines:
    """Purchases, a value a line in each column. Which of the optional columns a server wants, the
    plan of its workspace says.

    Columns are sequences, NumPy arrays, or columns of pandas or Arrow; a value that is None, NaN or
    null is missing, and the server says what becomes of a line that lacks something.
    """

    customers: Values
    #: In the currency, negative for returns: int, Decimal and text exact to `decimals` places, floats
    #: rounded to them.
    amounts: Values
    #: ISO 4217: that of the workspace.
    currency: str
    #: Days of the purchases in the time zone of the workspace's plan: `datetime.date`, datetime64, or
    #: ints since 1970-01-01. Either these or `times`.
    days: Optional[Values] = None
    #: Instants: datetimes with a time zone, datetime64 (which counts as UTC), or ints of seconds since
    #: 1970-01-01T00:00Z.
    times: Optional[Values] = None
    #: Places of amounts, margins and costs, 0 … 4.
    decimals: int = 2
    #: As amounts.
    margins: Optional[Values] = None
    #: In place of margins.
    costs: Optional[Values] = None
    #: A missing one is 1, of a return -1.
    quantities: Optional[Values] = None
    #: Texts of this and of what follows, ints too; an empty one is a missing one.
    orders: Optional[Values] = None
    products: Optional[Values] = None
    categories: Optional[Values] = None
    promotions: Optional[Values] = None
    channels: Optional[Values] = None
    #: Whether amounts, margins and costs are ints of 10^-decimals units already, such as cents.
    are_scaled: bool = False

    def __len__(self) -> int:
        return len(self.amounts)

    @classmethod
    def of(
        cls, table: Any, currency: str, *, names: Optional[Mapping[str, str]] = None,
        decimals: int = 2, are_scaled: bool = False,
    ) -> "PurchaseLines":
        """The lines of a pandas DataFrame, an Arrow table or a mapping of names to columns.

        :param names: of its columns, by those of this class; `customer`, `day`, `time`, `amount`,
            `margin`, `cost`, `quantity`, `order`, `product`, `category`, `promotion` and `channel`
            where nothing else is said. Columns that are not there are left out.
        """
        known = _column_names(table)
        chosen: Dict[str, Any] = {}
        wanted = dict(_TABLE_NAMES)
        for field, name in (names or {}).items():
            if field not in wanted:
                raise fault(
                    "valueOutOfRange", f"lines have no column {field!r}",
                    hint="one of " + ", ".join(wanted), field="names")
            if name not in known:
                raise fault(
                    "unknownColumn", f"the table has no column {name!r}",
                    hint="it has " + ", ".join(map(str, known)), field="names")
            wanted[field] = name
        for field, name in wanted.items():
            if name in known:
                chosen[field] = table[name]
        for field in ("customers", "amounts"):
            if field not in chosen:
                raise fault(
                    "unknownColumn", f"the table has no column {wanted[field]!r}",
                    hint=f"name it: names={{{field!r}: …}}", field="names")
        return cls(currency=currency, decimals=decimals, are_scaled=are_scaled, **chosen)

    def columns(self) -> List[WrittenColumn]:
        """As the wire has them; raises FixRequest for what cannot be sent."""
        if isinstance(self.decimals, bool) or not isinstance(self.decimals, int) or not 0 <= self.decimals <= 4:
            raise fault(
                "valueOutOfRange", f"decimals is {self.decimals!r}", hint="0 to 4", field="decimals")
        count = len(self)
        if not 1 <= count <= LINES:
            raise fault(
                "tooManyItems" if count else "valueOutOfRange", f"{count} lines",
                hint=f"1 to {LINES:,}; send more in several calls", field="rowCount")
        if (self.days is None) == (self.times is None):
            raise fault(
                "duplicateColumn" if self.days is not None else "unknownColumn",
                "lines with both days and times" if self.days is not None
                else "lines without days and times",
                hint="give one of days and times", field="lineDay")
        if self.margins is not None and self.costs is not None:
            raise fault(
                "duplicateColumn", "lines with both margins and costs",
                hint="give that which the plan maps", field="lineMargin")
        money = _scaled if self.are_scaled else _money(self.decimals)
        made: List[WrittenColumn] = [_customers(_list(self.customers))]
        if self.days is not None:
            made.append((LINE_DAY, INT32, _each("days", _list(self.days), _day)))
        if self.times is not None:
            made.append((LINE_TIME, INT64, _each("times", _list(self.times), _instant)))
        for number, name, values in (
            (LINE_AMOUNT, "amounts", self.amounts), (LINE_MARGIN, "margins", self.margins),
            (LINE_COST, "costs", self.costs),
        ):
            if values is not None:
                made.append((number, INT64, _each(name, _list(values), money)))
        if self.quantities is not None:
            made.append((LINE_QUANTITY, FLOAT32, _each("quantities", _list(self.quantities), _quantity)))
        for number, name, texts in (
            (LINE_ORDER, "orders", self.orders), (LINE_PRODUCT, "products", self.products),
            (LINE_CATEGORY, "categories", self.categories),
            (LINE_PROMOTION, "promotions", self.promotions), (LINE_CHANNEL, "channels", self.channels),
        ):
            if texts is not None:
                made.append((number, TEXT, _texts(name, _list(texts))))
        for number, _, cells in made:
            if len(cells) != count:
                raise fault(
                    "valueOutOfRange", f"{len(cells)} {_FIELDS[number]} for {count} amounts",
                    hint="a value a line", field=_FIELDS[number])
        return made


_TABLE_NAMES = {
    "customers": "customer", "days": "day", "times": "time", "amounts": "amount",
    "margins": "margin", "costs": "cost", "quantities": "quantity", "orders": "order",
    "products": "product", "categories": "category", "promotions": "promotion",
    "channels": "channel",
}
_FIELDS = {
    ENTITY_ID: "customers", LINE_DAY: "days", LINE_TIME: "times", LINE_AMOUNT: "amounts",
    LINE_MARGIN: "margins", LINE_COST: "costs", LINE_QUANTITY: "quantities",
    LINE_ORDER: "orders", LINE_PRODUCT: "products", LINE_CATEGORY: "categories",
    LINE_PROMOTION: "promotions", LINE_CHANNEL: "channels",
}
assert set(_TABLE_NAMES) <= {field.name for field in fields(PurchaseLines)}


def line_column(number: int) -> str:
    """The column of `PurchaseLines` with a number of the wire."""
    return _FIELDS.get(number, f"column {number}")


def _column_names(table: Any) -> List[Any]:
    for attribute in ("column_names", "columns"):
        found = getattr(table, attribute, None)
        if found is not None:
            return list(found)
    if isinstance(table, Mapping):
        return list(table)
    raise fault(
        "valueOutOfRange", f"lines from a {type(table).__name__}",
        hint="a DataFrame, an Arrow table, or a dictionary of columns", field="lines")


def _list(values: Any) -> List[Any]:
    """A column as a list of Python's values."""
    if isinstance(values, (str, bytes)):
        raise fault(
            "valueOutOfRange", f"a column is {type(values).__name__}", hint="a sequence of values",
            field="lines")
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind == "M":
        return _instants(values)
    if hasattr(values, "to_pylist"):
        # Arrow.
        return list(values.to_pylist())
    if hasattr(values, "tolist"):
        # NumPy, masked too, and pandas.
        return list(values.tolist())
    return list(values)


def _instants(values: Any) -> List[Any]:
    """datetime64 of NumPy or pandas: whole days as dates, anything finer as seconds."""
    import numpy

    if getattr(values.dtype, "tz", None) is not None:
        # Of pandas, with a time zone: its Timestamps know it.
        return list(values)
    array = numpy.asarray(values)
    missing = numpy.isnat(array)
    days = array.astype("datetime64[D]")
    if numpy.datetime_data(array.dtype)[0] == "D":
        numbers = days.astype("i8").tolist()
        return [None if gone else _Day(number) for number, gone in zip(numbers, missing.tolist())]
    seconds = array.astype("datetime64[s]").astype("i8").tolist()
    whole = (days.astype(array.dtype) == array).tolist()
    return [
        None if gone else _Instant(second, is_day)
        for second, gone, is_day in zip(seconds, missing.tolist(), whole)]


class _Day(int):
    """Days since 1970-01-01."""


class _Instant:
    """A datetime64 of a unit below a day."""

    __slots__ = ("seconds", "is_day")

    def __init__(self, seconds: int, is_day: bool) -> None:
        self.seconds, self.is_day = seconds, is_day

    def __repr__(self) -> str:
        return str(datetime.datetime.fromtimestamp(self.seconds, datetime.timezone.utc))


def is_missing(value: Any) -> bool:
    """None, NaN, NaT, and what pandas and NumPy have in their place."""
    if value is None:
        return True
    if isinstance(value, (str, int)):
        return False
    try:
        # NaN and NaT differ from themselves; pandas' NA says neither.
        return not value == value
    except (ArithmeticError, TypeError, ValueError):
        return True


def _each(name: str, values: List[Any], convert: Callable[[Any], Any]) -> List[Cell]:
    found: List[Cell] = []
    for line, value in enumerate(values):
        if is_missing(value):
            found.append(None)
            continue
        if hasattr(value, "item"):
            # A scalar of NumPy.
            value = value.item()
        try:
            found.append(convert(value))
            continue
        except ValueError as error:
            hint = str(error)
        except (ArithmeticError, TypeError):
            hint = "a value of the column's type"
        raise fault(
            "valueOutOfRange", f"{name} of line {line} is {value!r}", hint=hint, field=name)
    return found


def _whole(value: Any, bits: int, what: str) -> int:
    number: int
    try:
        number = int(value) if isinstance(value, float) else operator.index(value)
    except (ArithmeticError, TypeError, ValueError):
        raise ValueError(what) from None
    if isinstance(value, bool) or number != value:
        raise ValueError(what)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f"{what} of {bits} bits")
    return number


def _day(value: Any) -> int:
    what = "a date, or a whole number of days since 1970-01-01"
    if isinstance(value, _Instant):
        if not value.is_day:
            raise ValueError("a day without a time; instants go to times=")
        return value.seconds // 86_400
    if isinstance(value, datetime.datetime):
        raise ValueError("a date; instants go to times=")
    if isinstance(value, datetime.date):
        return (value - _EPOCH).days
    return _whole(value, 32, what)


def _instant(value: Any) -> int:
    what = "a datetime with a time zone, or whole seconds since 1970-01-01T00:00Z"
    if isinstance(value, _Instant):
        return value.seconds
    if isinstance(value, _Day):
        raise ValueError("an instant; days go to days=")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime with a time zone")
        return math.floor(value.timestamp())
    if isinstance(value, datetime.date):
        raise ValueError("an instant; days go to days=")
    return _whole(value, 64, what)


def _scaled(value: Any) -> int:
    return _whole(value, 64, "a whole number of the smallest unit")


def _money(decimals: int) -> Callable[[Any], int]:
    """Currency units to 10^-decimals of them."""
    scale = 10**decimals

    def convert(value: Any) -> int:
        number: int
        if isinstance(value, bool):
            raise ValueError("a number")
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError("a finite number")
            number = round(value * scale)
        elif isinstance(value, (str, Decimal)):
            try:
                exact = Decimal(value) * scale
            except InvalidOperation:
                raise ValueError("a number") from None
            if not exact.is_finite():
                raise ValueError("a finite number")
            number = int(exact)
            if number != exact:
                raise ValueError(f"at most {decimals} decimal places, or decimals= of more")
        else:
            number = operator.index(value) * scale
        if not -(1 << 63) <= number < 1 << 63:
            raise ValueError("an amount of 64 bits")
        return number

    return convert


def _quantity(value: Any) -> float:
    if isinstance(value, (bool, str)):
        raise ValueError("a number")
    number = float(value)
    if not abs(number) <= _LARGEST_FLOAT32:
        raise ValueError("a finite number of 32 bits")
    return number


def _texts(name: str, values: List[Any]) -> List[Cell]:
    found: List[Cell] = []
    for value in values:
        if is_missing(value):
            found.append(None)
        elif isinstance(value, str):
            encode_text(value, LINE_TEXT_BYTES, name)
            found.append(value)
        else:
            found += _each(
                name, [value], lambda value: str(_whole(value, 64, "a text, or a whole number")))
    return found


def _customers(values: List[Any]) -> WrittenColumn:
    known = [value for value in values if not is_missing(value)]
    texts = sum(isinstance(value, str) for value in known)
    if texts and texts != len(known):
        raise fault(
            "wrongIDKind", "integer and text ids in one call", hint="ids of one kind",
            field="customers")
    if texts:
        for value in known:
            encode_id_text(value)
        return ENTITY_ID, TEXT, [None if is_missing(value) else value for value in values]
    return ENTITY_ID, INT64, _each(
        "customers", values, lambda value: _whole(value, 64, "an integer, or a text"))



__all__ = ["LINES", "PurchaseLines", "is_missing", "line_column"]
