"""Tables in requests: protocol/WIRE.md, section 8.2."""

from __future__ import annotations

import struct
from typing import List, Optional, Sequence, Tuple, Union

INT32, INT64, FLOAT32, FLOAT64, TEXT = 1, 2, 3, 4, 5
_LANES = {INT32: ("i", 4), INT64: ("q", 8), FLOAT32: ("f", 4), FLOAT64: ("d", 8)}

Cell = Union[None, int, float, str]
#: Number, type, a value a row.
WrittenColumn = Tuple[int, int, Sequence[Cell]]


def write_table(columns: Sequence[WrittenColumn], rows: int, start: int) -> bytes:
    """The table that begins at byte `start` of a body, a multiple of 64."""
    directory, buffers = b"", bytearray()
    base = start + 16 + 32 * len(columns)
    base += -base % 64

    def place(data: bytes) -> int:
        buffers.extend(bytes(-len(buffers) % 64))
        at = base + len(buffers)
        buffers.extend(data)
        return at

    for number, kind, values in columns:
        valid = [value is not None for value in values]
        constant = _constant(kind, values, valid)
        if constant is not None:
            flags = 0 if any(valid) else 2
            directory += struct.pack("<HBBB3x", number, kind, 1, flags) + constant + bytes(16)
            continue
        validity = 0
        if not all(valid):
            bits = bytearray((rows + 7) // 8)
            for row, has in enumerate(valid):
                bits[row // 8] |= has << row % 8
            validity = place(bytes(bits))
        if kind == TEXT:
            texts = [str(value).encode("utf-8") if has else b"" for value, has in zip(values, valid)]
            offsets = [0]
            for text in texts:
                offsets.append(offsets[-1] + len(text))
            at = place(struct.pack(f"<{rows + 1}I", *offsets))
            joined = b"".join(texts)
            fields = (validity, at, 4 * (rows + 1), place(joined), len(joined))
        else:
            form, size = _LANES[kind]
            lanes = [value if has else 0 for value, has in zip(values, valid)]
            fields = (validity, place(struct.pack(f"<{rows}{form}", *lanes)), rows * size, 0, 0)
        directory += struct.pack("<HBBB3x5I4x", number, kind, 0, int(not all(valid)), *fields)
    head = struct.pack("<IHH8x", rows, len(columns), 32) + directory
    if not buffers:
        return head
    return head + bytes(base - start - len(head)) + bytes(buffers)


def _constant(kind: int, values: Sequence[Cell], valid: List[bool]) -> Optional[bytes]:
    """The eight bytes of a value that all rows have, or of none."""
    if not valid:
        return None
    if not any(valid):
        return bytes(8)
    if kind == TEXT or not all(valid):
        return None
    if values[0] != values[-1]:
        return None
    form, size = _LANES[kind]
    lanes = {struct.pack("<" + form, value) for value in values}
    return lanes.pop() + bytes(8 - size) if len(lanes) == 1 else None
