"""Checked reads from a body: every field that reaches past it is `truncatedBody`."""

from __future__ import annotations

import struct
from typing import Union

from .errors import malformed

TEXT_BYTES = 4096

Buffer = Union[bytes, memoryview]


class Body:
    """Reads at offsets; each names its field for the error."""

    __slots__ = ("data", "size")

    def __init__(self, data: Buffer) -> None:
        self.data = memoryview(data)
        self.size = len(data)

    def _integer(self, form: str, width: int, offset: int, field: str) -> int:
        if offset + width > self.size:
            raise malformed("truncatedBody", field, f"{field} is cut off", offset)
        value: int = struct.unpack_from(form, self.data, offset)[0]
        return value

    def u8(self, offset: int, field: str) -> int:
        return self._integer("<B", 1, offset, field)

    def u16(self, offset: int, field: str) -> int:
        return self._integer("<H", 2, offset, field)

    def u32(self, offset: int, field: str) -> int:
        return self._integer("<I", 4, offset, field)

    def u64(self, offset: int, field: str) -> int:
        return self._integer("<Q", 8, offset, field)

    def i32(self, offset: int, field: str) -> int:
        return self._integer("<i", 4, offset, field)

    def limited(self, value: int, limit: int, offset: int, field: str) -> int:
        if value > limit:
            raise malformed("tooManyItems", field, f"{field} is {value}, at most {limit}", offset)
        return value

    def take(self, offset: int, count: int, field: str) -> memoryview:
        if offset + count > self.size:
            raise malformed("truncatedBody", field, f"{field} reaches past the body", offset)
        return self.data[offset : offset + count]

    def zero(self, offset: int, count: int, field: str = "reserved") -> None:
        part = self.take(offset, count, field)
        if part != bytes(count):
            raise malformed("nonzeroReserved", field, f"{field} is not 0", offset)

    def text(self, offset: int, count: int, field: str) -> str:
        try:
            return bytes(self.take(offset, count, field)).decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("invalidText", field, f"{field} is not UTF-8", offset) from None

    def end(self, offset: int) -> None:
        if offset != self.size:
            raise malformed(
                "trailingBytes", "body", f"{self.size - offset} bytes after the last field", offset)
