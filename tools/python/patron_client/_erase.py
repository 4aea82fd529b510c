"""ERASE: protocol/WIRE.md, section 7.27."""

from __future__ import annotations

import datetime
import struct
from typing import Any, Optional, Sequence

from . import _columns as numbers
from ._append import check_key
from ._body import Body
from ._frame import Meta
from ._requests import LOOKUP_IDS, IDs, Request
from ._table import INT32, read_stamp, read_table
from .answers import ErasedCustomer, EraseReceipt, PatronID
from .errors import fault, malformed

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_IN_SNAPSHOT, _APPENDED = 1, 2


class Erase(Request[EraseReceipt]):
    """Erases customers once: a repetition has the same key."""

    opcode = 0x0041
    idempotent = False
    takes_label = False

    def __init__(self, customers: Any, key: Optional[bytes] = None) -> None:
        self.ids = IDs(customers)
        if len(self.ids) > LOOKUP_IDS:
            raise fault(
                "tooManyItems", f"{len(self.ids)} customers",
                hint=f"at most {LOOKUP_IDS:,}; send more in several calls", field="idCount")
        self.idempotency_key = check_key(key)

    def body(self) -> bytes:
        return struct.pack("<B3xI", self.ids.kind, len(self.ids)) + self.ids.encode()

    def read(self, body: Body, meta: Meta) -> EraseReceipt:
        return read_receipt(body, meta, self.ids.given, self.idempotency_key or b"")


def read_receipt(
    body: Body, meta: Meta, ids: Sequence[PatronID], key: bytes = b""
) -> EraseReceipt:
    snapshot, start = read_stamp(body)
    sequence = body.u64(start, "sequence")
    (seconds,) = struct.unpack("<q", body.take(start + 8, 8, "erasedAt"))
    is_repeat = body.u8(start + 16, "isRepeat")
    if is_repeat > 1:
        raise malformed("valueOutOfRange", "isRepeat", f"isRepeat {is_repeat}", start + 16)
    body.zero(start + 17, 47)
    table = read_table(body, start + 64)
    lanes = table.columns.get(numbers.ERASURE_FOUND)
    if lanes is None or lanes.kind != INT32 or (table.rows and lanes.missing):
        raise malformed("unknownColumn", "erasureFound", "a receipt without erasureFound")
    if table.rows != len(ids):
        raise malformed("valueOutOfRange", "rowCount", f"{table.rows} rows for {len(ids)} ids")
    try:
        erased_at = _EPOCH + datetime.timedelta(seconds=seconds)
    except OverflowError:
        raise malformed("valueOutOfRange", "erasedAt", f"erasedAt {seconds}", start + 8) from None
    bits = [int(found or 0) for found in lanes.list()]
    customers = [
        ErasedCustomer(customer, bool(found & _IN_SNAPSHOT), bool(found & _APPENDED))
        for customer, found in zip(ids, bits)]
    return EraseReceipt(
        snapshot, sequence, erased_at, bool(is_repeat), customers, key, meta.timings)


__all__ = ["Erase", "read_receipt"]
