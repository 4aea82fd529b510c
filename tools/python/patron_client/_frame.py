"""Frames: protocol/WIRE.md, sections 2 to 4. Bytes in, values out, no input or output.

    0  length   4  magic D7 50   6  version   7  headerWords   8  opcode   10  flags
    12 requestID   16 rawLength   20 aux   24 bodyCRC   28 headerCRC   32 …
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from ._crc32c import crc32c
from .errors import malformed

try:
    from lz4 import block as _block
except ImportError:
    _block = None
#: The package for compressed bodies; None where it is not installed.
lz4_block: Any = _block

MAGIC = b"\xd7\x50"
HEADER_BYTES = 32
FRAME_BYTES_BEFORE_HELLO = 4096
FRAME_BYTES = 16 << 20
LARGEST_FRAME_BYTES = 64 << 20
META_BYTES = 4096
META_ITEMS = 32

RESPONSE = 0x8000
HELLO, PING, GOAWAY, CREDIT, CANCEL, PROGRESS = 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006
#: Requests that may name the snapshot that answers: from DESCRIBE to SCAN.
LABELLED = frozenset([0x0010, *range(0x0020, 0x002A), 0x0030, 0x0031, 0x0032])

FLAG_LZ4, FLAG_MORE, FLAG_META = 1, 2, 4
_UNKNOWN_CRITICAL_FLAGS = 0x00F8

TAG_IDEMPOTENCY_KEY, TAG_TRACE_ID, TAG_PRIORITY, TAG_WARNING = 1, 2, 3, 4
TAG_RETRY_AFTER, TAG_TIMINGS, TAG_MODEL_LABEL = 5, 6, 0x8004

_HEADER = struct.Struct("<I2sBBHHIIII")
_U32 = struct.Struct("<I")
_ITEM = struct.Struct("<HH")

Payload = Union[bytes, memoryview]


class Frame(NamedTuple):
    """A frame whose checksums were right; what follows the header is not yet looked at."""

    opcode: int
    flags: int
    request_id: int
    raw_length: int
    #: The deadline of a request, the status of an answer.
    aux: int
    #: Meta block and body.
    payload: memoryview
    #: Bytes on the wire, the length field included: what a stream's credit pays for.
    size: int


@dataclass(frozen=True)
class Timings:
    """Where the server spent its time, in microseconds."""

    queue: int
    compute: int
    encode: int


@dataclass(frozen=True)
class Meta:
    """The known items of a meta block."""

    idempotency_key: Optional[bytes] = None
    trace_id: Optional[bytes] = None
    priority: Optional[int] = None
    warning: Optional[str] = None
    retry_after_milliseconds: Optional[int] = None
    timings: Optional[Timings] = None
    #: Of the snapshot that shall answer.
    model_label: Optional[str] = None


NO_META = Meta()


def encode_meta(items: List[Tuple[int, bytes]]) -> bytes:
    """A meta block; empty for no items."""
    if not items:
        return b""
    block = b"".join(_ITEM.pack(tag, len(value)) + value for tag, value in items)
    return _U32.pack(len(block)) + block


class EncodedRequest(NamedTuple):
    """A request but for what differs between two tries: its id and deadline."""

    opcode: int
    flags: int
    raw_length: int
    #: Meta block and body.
    payload: bytes
    payload_crc: int

    @property
    def length(self) -> int:
        return HEADER_BYTES - 4 + len(self.payload)

    def frame(self, request_id: int, deadline_milliseconds: int) -> bytes:
        head = _HEADER.pack(
            self.length, MAGIC, 1, 8, self.opcode, self.flags, request_id, self.raw_length,
            deadline_milliseconds, self.payload_crc,
        )
        return head + _U32.pack(crc32c(head)) + self.payload


def encode_request(opcode: int, body: bytes, meta: bytes = b"") -> EncodedRequest:
    """`meta` is a whole block."""
    payload = meta + body
    flags = FLAG_META if meta else 0
    return EncodedRequest(opcode, flags, len(body), payload, crc32c(payload) if payload else 0)


#: Bodies of which bytes are compressed, and what it must save to be worth it.
_COMPRESSED_BYTES, _SAVED_SHARE = 4096, 8


def compress(request: EncodedRequest) -> EncodedRequest:
    """The request with its body as an LZ4 block, where that is smaller by an eighth; section 3.1."""
    size = request.raw_length
    if size < _COMPRESSED_BYTES or lz4_block is None:
        return request
    start = len(request.payload) - size
    block = lz4_block.compress(request.payload[start:], store_size=False)
    if len(block) > size - size // _SAVED_SHARE:
        return request
    payload = request.payload[:start] + block
    return request._replace(
        flags=request.flags | FLAG_LZ4, payload=payload, payload_crc=crc32c(payload))


def credit_frame(request_id: int, credit: int) -> bytes:
    """Lets the server send that many more bytes of a stream."""
    return encode_request(CREDIT, struct.pack("<II", credit, 0)).frame(request_id, 0)


def cancel_frame(request_id: int) -> bytes:
    return encode_request(CANCEL, b"").frame(request_id, 0)


def open_frame(frame: Frame, *, streams: bool = False) -> Tuple[Meta, memoryview]:
    """Checks flags, meta block and rawLength; the meta items and the body."""
    flags = frame.flags
    if flags & _UNKNOWN_CRITICAL_FLAGS:
        raise malformed("unsupportedFlag", "flags", f"flags {flags:#06x}", 10)
    if flags & FLAG_MORE and not streams:
        raise malformed("unsupportedFlag", "flags", "MORE where one frame is the answer", 10)
    if flags & FLAG_LZ4:
        raise malformed("compressionNotNegotiated", "flags", "a compressed body", 10)
    meta, body = NO_META, frame.payload
    if flags & FLAG_META:
        meta, body = read_meta(body, takes_label=frame.opcode in LABELLED)
        # Behind the block the body's lanes are nowhere near a multiple of 8.
        moved = aligned_buffer(len(body))
        moved[:] = body
        body = moved.toreadonly()
    if frame.raw_length != len(body):
        raise malformed(
            "rawLengthMismatch", "rawLength", f"{frame.raw_length} for {len(body)} bytes", 16)
    return meta, body


def read_meta(payload: memoryview, *, takes_label: bool = False) -> Tuple[Meta, memoryview]:
    """The items, and what follows the block; a label only where the frame may have one."""
    if len(payload) < 4:
        raise malformed("invalidMeta", "meta", "no byteCount")
    (size,) = _U32.unpack_from(payload)
    if size > META_BYTES or size > len(payload) - 4:
        raise malformed("invalidMeta", "meta", f"byteCount {size}")
    block = bytes(payload[4 : 4 + size])
    seen: Dict[int, bytes] = {}
    offset = 0
    while offset < size:
        if offset + 4 > size:
            raise malformed("invalidMeta", "meta", "an item runs past the block")
        tag, count = _ITEM.unpack_from(block, offset)
        offset += 4
        if offset + count > size:
            raise malformed("invalidMeta", "meta", f"tag {tag:#06x} runs past the block")
        if tag in seen:
            raise malformed("invalidMeta", "meta", f"tag {tag:#06x} twice")
        if len(seen) == META_ITEMS:
            raise malformed("invalidMeta", "meta", f"more than {META_ITEMS} items")
        seen[tag] = block[offset : offset + count]
        _check_item(tag, count, takes_label)
        offset += count
    return _known_items(seen), payload[4 + size :]


_SIZES = {
    TAG_IDEMPOTENCY_KEY: (16, 16),
    TAG_TRACE_ID: (1, 64),
    TAG_PRIORITY: (1, 1),
    TAG_WARNING: (1, 1024),
    TAG_RETRY_AFTER: (4, 4),
    TAG_TIMINGS: (12, 12),
}
LABEL_BYTES = 64


def _check_item(tag: int, size: int, takes_label: bool) -> None:
    known = _SIZES.get(tag)
    if takes_label and tag == TAG_MODEL_LABEL:
        known = (1, LABEL_BYTES)
    if known is None:
        if tag & 0x8000:
            raise malformed("unsupportedTag", "meta", f"tag {tag:#06x}")
    elif not known[0] <= size <= known[1]:
        raise malformed("invalidMeta", "meta", f"tag {tag} of {size} bytes")


def _known_items(items: Dict[int, bytes]) -> Meta:
    priority, warning = items.get(TAG_PRIORITY), items.get(TAG_WARNING)
    retry_after, timings = items.get(TAG_RETRY_AFTER), items.get(TAG_TIMINGS)
    label = items.get(TAG_MODEL_LABEL)
    try:
        text = None if warning is None else warning.decode("utf-8")
        label_text = None if label is None else label.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("invalidMeta", "meta", "a text that is not UTF-8") from None
    return Meta(
        idempotency_key=items.get(TAG_IDEMPOTENCY_KEY),
        trace_id=items.get(TAG_TRACE_ID),
        priority=None if priority is None else priority[0],
        warning=text,
        retry_after_milliseconds=None if retry_after is None else _U32.unpack(retry_after)[0],
        timings=None if timings is None else Timings(*struct.unpack("<III", timings)),
        model_label=label_text,
    )


def decompress(frame: Frame, limit: int) -> Frame:
    """The frame with its body as it was; section 3.1."""
    payload, raw_length = frame.payload, frame.raw_length
    start = 0
    if frame.flags & FLAG_META:
        start = 4 + (_U32.unpack_from(payload)[0] if len(payload) >= 4 else 0)
        if len(payload) < start:
            raise malformed("invalidMeta", "meta", "a block that runs past the frame")
    block = payload[start:]
    if raw_length > limit:
        raise malformed("overBudget", "rawLength", f"{raw_length} above {limit}", 16)
    fault_of_block = malformed(
        "invalidBlock", "body", f"{len(block)} bytes are no LZ4 block of rawLength {raw_length}")
    if not 0 < raw_length <= 255 * len(block) + 64 or lz4_block is None:
        raise fault_of_block
    try:
        plain = lz4_block.decompress(block, uncompressed_size=raw_length)
    except lz4_block.LZ4BlockError:
        raise fault_of_block from None
    if len(plain) != raw_length:
        raise fault_of_block
    body = aligned_buffer(start + raw_length)
    body[:start] = payload[:start]
    body[start:] = plain
    return frame._replace(flags=frame.flags & ~FLAG_LZ4, payload=body.toreadonly())


def aligned_buffer(size: int) -> memoryview:
    """`size` bytes that begin at a multiple of 64, so that the lanes of a body do too."""
    storage = bytearray(size + 63)
    address = ctypes.addressof(ctypes.c_char.from_buffer(storage))
    start = -address % 64
    return memoryview(storage)[start : start + size]


class FrameReader:
    """Cuts a byte stream into frames and checks each in the order of section 2.

    Bytes come in either by `feed`, or, without a copy of a large body, by receiving into
    `buffer()` and then telling `received`. After a fault it is of no more use.
    """

    _CHUNK_BYTES = 1 << 16

    def __init__(self, maximum_length: int = FRAME_BYTES_BEFORE_HELLO) -> None:
        self.maximum_length = maximum_length
        #: Whether HELLO agreed on compressed bodies: they are plain when they leave here.
        self.decompresses = False
        self._chunk = memoryview(bytearray(self._CHUNK_BYTES))
        self._start = 0
        self._end = 0
        #: Bytes of the frame at `_start` with its length field; 0 before its header was checked.
        self._total = 0
        self._header_bytes = 0
        self._fields: Tuple[int, ...] = ()
        #: The payload of a frame that the chunk does not hold, and how much of it is there.
        self._large: Optional[memoryview] = None
        self._filled = 0

    @property
    def is_between_frames(self) -> bool:
        return self._large is None and self._start == self._end

    def buffer(self) -> memoryview:
        """Where to receive to; at least a byte."""
        if self._large is not None:
            return self._large[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._chunk):
            rest = bytes(self._chunk[self._start : self._end])
            self._chunk[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._chunk[self._end :]

    def received(self, count: int) -> List[Frame]:
        """The frames that the bytes now in `buffer()` complete."""
        if self._large is not None:
            self._filled += count
            if self._filled < len(self._large):
                return []
            payload, self._large = self._large, None
            return [self._complete(payload)]
        self._end += count
        frames: List[Frame] = []
        while self._start < self._end:
            frame = self._next()
            if frame is None:
                break
            frames.append(frame)
        return frames

    def feed(self, data: Payload) -> List[Frame]:
        frames: List[Frame] = []
        rest = memoryview(data)
        while rest:
            room = self.buffer()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            frames += self.received(count)
            rest = rest[count:]
        return frames

    def ended(self) -> None:
        """The stream has ended: a fault inside a frame."""
        if not self.is_between_frames:
            raise malformed("unexpectedEnd", "frame", "the stream ended inside a frame")

    def _next(self) -> Optional[Frame]:
        start, available = self._start, self._end - self._start
        if self._total == 0:
            if available < 6:
                return None
            if self._chunk[start + 4 : start + 6] != MAGIC:
                found = bytes(self._chunk[start + 4 : start + 6]).hex()
                raise malformed("badMagic", "magic", f"{found}: this is not Patron's protocol", 4)
            if available < HEADER_BYTES:
                return None
            self._check_header(start)
        if available >= self._total:
            payload = memoryview(bytes(self._chunk[start + 32 : start + self._total]))
            self._start += self._total
            return self._complete(payload)
        if self._total > len(self._chunk) // 4:
            # Received where it stays. What is there of it already is moved.
            size = self._total - HEADER_BYTES
            self._large = aligned_buffer(size)
            self._filled = available - HEADER_BYTES
            self._large[: self._filled] = self._chunk[start + HEADER_BYTES : self._end]
            self._start = self._end = 0
        elif start + self._total > len(self._chunk):
            rest = bytes(self._chunk[start : self._end])
            self._chunk[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return None

    def _check_header(self, start: int) -> None:
        head = self._chunk[start : start + HEADER_BYTES]
        (length, _, version, words, opcode, flags, request_id, raw_length, aux,
         body_crc) = _HEADER.unpack_from(head)
        if _U32.unpack_from(head, 28)[0] != crc32c(head[:28]):
            raise malformed("headerChecksumMismatch", "headerCRC", "a damaged header", 28)
        if version != 1:
            raise malformed("unsupportedVersion", "version", f"version {version}", 6)
        if length < HEADER_BYTES - 4:
            raise malformed("frameTooSmall", "length", f"length {length}", 0)
        if length > self.maximum_length:
            raise malformed(
                "frameTooLarge", "length", f"length {length} above {self.maximum_length}", 0)
        if words < 8 or 4 * words > length + 4:
            raise malformed("badHeaderSize", "headerWords", f"headerWords {words}", 7)
        self._total = length + 4
        self._header_bytes = 4 * words
        self._fields = (opcode, flags, request_id, raw_length, aux, body_crc)

    def _complete(self, payload: memoryview) -> Frame:
        opcode, flags, request_id, raw_length, aux, body_crc = self._fields
        size, self._total = self._total, 0
        if (crc32c(payload) if len(payload) else 0) != body_crc:
            raise malformed("bodyChecksumMismatch", "bodyCRC", "a damaged frame", 24)
        excess = self._header_bytes - HEADER_BYTES
        payload = payload.toreadonly()
        if excess:
            payload = memoryview(bytes(payload[excess:]))
        frame = Frame(opcode, flags, request_id, raw_length, aux, payload, size)
        return decompress(frame, self.maximum_length) if flags & FLAG_LZ4 and self.decompresses else frame
