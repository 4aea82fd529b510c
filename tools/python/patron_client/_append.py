"""APPEND: protocol/WIRE.md, section 7.17."""

from __future__ import annotations

import os
import struct
from typing import Optional

from . import _columns as numbers
from ._body import Body
from ._frame import Meta
from ._lines import CURRENCY_BYTES, PurchaseLines, line_column
from ._requests import Request, encode_text
from ._table import INT32, read_stamp, read_table
from ._write_table import write_table
from .answers import AppendAnswer, Refusal, RefusalReason
from .errors import fault, malformed

KEY_BYTES = 16
_NO_SEQUENCE = (1 << 64) - 1


def new_key() -> bytes:
    """A random idempotency key."""
    while True:
        key = os.urandom(KEY_BYTES)
        if any(key):
            return key


def check_key(key: Optional[bytes]) -> bytes:
    if key is None:
        return new_key()
    if not isinstance(key, (bytes, bytearray, memoryview)) or len(key) != KEY_BYTES or not any(key):
        raise fault(
            "invalidMeta", f"an idempotency key of {key!r}",
            hint="16 bytes of which not all are zero, or None", field="idempotencyKey")
    return bytes(key)


class Append(Request[AppendAnswer]):
    """Appends lines once: a repetition has the same key."""

    opcode = 0x0040
    idempotent = False
    takes_label = False

    def __init__(self, lines: PurchaseLines, key: Optional[bytes] = None) -> None:
        if not isinstance(lines, PurchaseLines):
            raise fault(
                "valueOutOfRange", f"lines are {type(lines).__name__}",
                hint="PurchaseLines(…), or PurchaseLines.of(table, currency)", field="lines")
        self.rows = len(lines)
        self.currency = encode_text(lines.currency, CURRENCY_BYTES, "currency")
        if not self.currency or b"\0" in self.currency:
            raise fault(
                "valueOutOfRange", f"currency is {lines.currency!r}",
                hint="its code, such as EUR", field="currency")
        self.columns = lines.columns()
        self.decimals = lines.decimals
        self.idempotency_key = check_key(key)

    def body(self) -> bytes:
        head = struct.pack("<B3x8s52x", self.decimals, self.currency)
        return head + write_table(self.columns, self.rows, len(head))

    def read(self, body: Body, meta: Meta) -> AppendAnswer:
        return read_append(body, meta, self.idempotency_key or b"")


def read_append(body: Body, meta: Meta, key: bytes = b"") -> AppendAnswer:
    snapshot, start = read_stamp(body)
    sequence = body.u64(start, "sequence")
    accepted, refused = body.u32(start + 8, "acceptedLines"), body.u32(start + 12, "refusedLines")
    is_repeat = body.u8(start + 16, "isRepeat")
    if is_repeat > 1:
        raise malformed("valueOutOfRange", "isRepeat", f"isRepeat {is_repeat}", start + 16)
    body.zero(start + 17, 47)
    table = read_table(body, start + 64)
    lists = []
    for number in (numbers.REFUSED_LINE, numbers.REFUSED_COLUMN, numbers.REFUSAL_REASON):
        lanes = table.columns.get(number)
        if lanes is None or lanes.kind != INT32 or (table.rows and lanes.missing):
            name = numbers.PROTOCOL_NAMES[number]
            raise malformed("unknownColumn", name, f"an answer to APPEND without {name}")
        lists.append(lanes.list())
    refusals = [
        Refusal(int(line or 0), line_column(int(column or 0)), RefusalReason.of(int(reason or 0)))
        for line, column, reason in zip(*lists)]
    return AppendAnswer(
        snapshot, None if sequence == _NO_SEQUENCE else sequence, accepted, refused,
        bool(is_repeat), refusals, key, meta.timings)


__all__ = ["Append", "check_key", "new_key", "read_append"]
