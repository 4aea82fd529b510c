"""CRC-32C (Castagnoli), as protocol/WIRE.md section 1 defines it.

A package made for it is used where one is installed (`google-crc32c` or `crc32c`). Otherwise the
checksum is computed here, without a loop over the bytes: a message is a polynomial over GF(2), its
checksum the remainder by P = 0x1EDC6F41, and the remainder by P is also that of the remainder by
any multiple of P. Two multiples have few terms:

    x^5685 + x^1362 + x^426 + 1            x^290 + x^136 + x^113 + x^107 + x^32 + 1

and so have their squares (every exponent doubled), the squares of these, and so on. Dividing by
such a multiple takes one shift and one exclusive or a term, of numbers as long as the message,
which Python and NumPy do at the speed of memory. What remains, 37 bytes, goes through the usual
table. That both are multiples of P is checked by the tests.
"""

from __future__ import annotations

from functools import reduce
from operator import getitem, xor
from typing import Callable, List, Sequence, Tuple, Union

Buffer = Union[bytes, bytearray, memoryview]

#: Exponents of the multiples, the highest first, without the 0.
MULTIPLES: Tuple[Tuple[int, ...], ...] = ((5685, 1362, 426), (290, 136, 113, 107, 32))


def _make_table() -> Tuple[int, ...]:
    table: List[int] = []
    for index in range(256):
        word = index
        for _ in range(8):
            word = (word >> 1) ^ (0x82F63B78 if word & 1 else 0)
        table.append(word)
    return tuple(table)


TABLE = _make_table()


def by_table(data: Buffer, state: int = 0xFFFFFFFF) -> int:
    """Byte by byte; the reference."""
    table = TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


#: As many bytes as are summed up by their places.
_SHORT = 64


def _make_places() -> Tuple[Tuple[int, ...], ...]:
    """What a byte adds to the checksum of what follows it, the farthest from the end first."""
    places = [TABLE]
    for _ in range(_SHORT - 1):
        places.append(tuple((word >> 8) ^ TABLE[word & 0xFF] for word in places[-1]))
    return tuple(reversed(places))


_PLACES = _make_places()
#: Of so many bytes 0.
_ZEROS = tuple(by_table(bytes(size)) for size in range(_SHORT + 1))


def by_places(data: Buffer) -> int:
    """At most 64 bytes. The checksum is linear: of every byte one summand, 1.3 to 1.6 times as fast
    as the table, since no step is a line of Python."""
    size = len(data)
    return reduce(xor, map(getitem, _PLACES[_SHORT - size :], bytes(data)), _ZEROS[size])


def _make_levels() -> Tuple[Tuple[int, int, Tuple[int, ...]], ...]:
    """(degree, most bits a fold takes, shifts), the largest degree first.

    The first bit of the stream is bit 0 of the number and has the highest power, so a term x^e
    of a multiple of degree a moves the bits taken off the front by a - e.
    """
    sparse, dense = MULTIPLES
    levels = []
    for terms, doublings in ((sparse, range(17)), (dense, range(5))):
        for doubling in doublings:
            degree = terms[0] << doubling
            width = degree - (terms[1] << doubling)
            shifts = [degree - (term << doubling) - width for term in terms[1:]]
            levels.append((degree, width, tuple(shifts[1:] + [degree - width])))
    return tuple(sorted(levels, reverse=True))


_LEVELS = _make_levels()
_SPARSE_LEVELS = tuple(level for level in _LEVELS if level[0] % MULTIPLES[0][0] == 0)


def by_folding(data: Buffer) -> int:
    """Any number of bytes, with Python's long integers."""
    size = len(data)
    if size <= _SHORT:
        return by_places(data)
    # Pieces that stay in a cache: what is left of one goes before the next.
    value = int.from_bytes(data[:_PIECE], "little") ^ 0xFFFFFFFF
    bits = 8 * min(size, _PIECE)
    for start in range(_PIECE, size, _PIECE):
        value, bits = _fold(value, bits, _SPARSE_LEVELS)
        piece = data[start : start + _PIECE]
        value |= int.from_bytes(piece, "little") << bits
        bits += 8 * len(piece)
    return _finish(value, bits)


_PIECE = 1 << 16


def _fold(
    value: int, bits: int, levels: Sequence[Tuple[int, int, Tuple[int, ...]]]
) -> Tuple[int, int]:
    """A shorter message of the same remainder, and its bits."""
    for degree, widest, shifts in levels:
        while bits > degree:
            width = bits - degree
            if width > widest:
                width = widest
            taken = value & ((1 << width) - 1)
            value >>= width
            # The second term moves the bits least: with the whole width, not at all.
            extra = widest - width
            value ^= taken << extra
            for shift in shifts:
                value ^= taken << (shift + extra)
            bits -= width
    return value, bits


def _finish(value: int, bits: int) -> int:
    value, bits = _fold(value, bits, _LEVELS)
    # Leading zeros change nothing where the state starts as 0.
    padding = -bits % 8
    size = (bits + padding) // 8
    rest = (value << padding).to_bytes(size, "little")
    return reduce(xor, map(getitem, _PLACES[_SHORT - size :], rest), 0xFFFFFFFF)


def _make_best() -> Tuple[str, Callable[[Buffer], int]]:
    try:
        import google_crc32c
    except ImportError:
        pass
    else:
        if getattr(google_crc32c, "implementation", "") == "c":
            value = google_crc32c.value
            # The extension takes bytes only.
            return "google-crc32c", lambda data: int(value(bytes(data)))
    try:
        import crc32c as package
    except ImportError:
        pass
    else:
        return "crc32c", package.crc32c
    try:
        import numpy
    except ImportError:
        return "python", by_folding

    # Three doublings make every exponent a number of bytes.
    levels = [
        (degree // 8, widest // 8, tuple(shift // 8 for shift in shifts))
        for degree, widest, shifts in _SPARSE_LEVELS
        if degree % (8 * MULTIPLES[0][0]) == 0
    ]
    smallest = 2 * levels[-1][0]

    def by_numpy(data: Buffer) -> int:
        size = len(data)
        if size < smallest:
            return by_folding(data)
        # A copy: the message stays as it is.
        array = numpy.array(numpy.frombuffer(data, numpy.uint8))
        array[:4] ^= 0xFF
        start = 0
        for degree, widest, shifts in levels:
            while size > degree:
                width = min(size - degree, widest)
                taken = array[start : start + width]
                start += width
                place = start + widest - width
                array[place : place + width] ^= taken
                for shift in shifts:
                    array[place + shift : place + shift + width] ^= taken
                size -= width
        return _finish(int.from_bytes(array[start:].tobytes(), "little"), 8 * size)

    return "numpy", by_numpy


#: The name of what computes, and the function.
IMPLEMENTATION, crc32c = _make_best()
