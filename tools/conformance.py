#!/usr/bin/env python3
"""Checks whether a server speaks the Patron wire protocol as protocol/WIRE.md says.

    conformance.py HOST:PORT [--token T] [--tls] [--customer ID] [--product ID] [--vectors DIR]
                   [--only WORD] [--seconds N] [--append] [--json]

Written from WIRE.md alone, standard library only. A line a check with its section of WIRE.md, then
a summary; exit code 0 when nothing failed, 1 when something did, 2 when no check could be made.
Every byte that the server sends meanwhile is checked too. It only reads, and nothing on the server
changes, unless --append is given. The server should have a snapshot published; use one that is not in production.

--token T      bytes of a token, as 0x and hex digits or as text, for a server that wants one
--tls          speak TLS; the server's certificate is not verified
--customer ID, --product ID   one of each that the snapshot has; found by themselves where SCAN,
               or a LOOKUP of small integers, gives customers
--vectors DIR  vectors/v1 of the kit; beside this program's folder by default, left out if absent
--append       send purchase lines of one customer (and of a new one), which stay there: for a workspace
               that is thrown away
--only WORD    only checks whose section or name contains it
--seconds N    no check begins later than this; 50 by default
"""

import argparse
import json
import math
import pathlib
import socket
import ssl
import struct
import sys
import threading
import time

HELLO, PING, GOAWAY, CREDIT, CANCEL, DESCRIBE, LOOKUP = 1, 2, 3, 4, 5, 0x10, 0x20
TOP_PRODUCTS, TOP_CUSTOMERS, SIMILAR, SEGMENTS, SEGMENT_PROFILES = 0x22, 0x23, 0x24, 0x26, 0x27
OFFER_PRODUCTS, OFFER_CUSTOMERS, COUNT, AUDIENCE, SCAN = 0x28, 0x29, 0x30, 0x31, 0x32
APPEND, ERASE, SCORE, EXPLAIN = 0x40, 0x41, 0x21, 0x25
PROGRESS, MODELS, SNAPSHOT, PUBLISH, STATS, DRAIN, SHADOW = 6, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55
NAMES = {value: name for name, value in list(globals().items())
         if name.isupper() and isinstance(value, int)}
RESERVED = ()
ADMIN = (MODELS, SNAPSHOT, PUBLISH, STATS, DRAIN, SHADOW)
LZ4, MORE, META, QUIET = 1, 2, 4, 0x100
LZ4_FEATURE, STREAMS, TIMINGS, AFFINITY_FACTS = 1, 1 << 1, 1 << 2, 1 << 3
JUNK_FEATURES = 0xFF << 56
KIB256, MIB16, MIB64 = 1 << 18, 1 << 24, 1 << 26
STATUS = {
    0: "ok", 101: "truncatedBody", 102: "trailingBytes", 103: "valueOutOfRange",
    104: "tooManyItems", 105: "nonzeroReserved", 106: "misalignedBuffer", 107: "invalidText",
    108: "invalidMeta", 109: "unknownColumn", 110: "duplicateColumn", 111: "wrongIDKind",
    112: "overBudget", 113: "requestIDInUse", 114: "bufferOutsideBody", 115: "invalidOffsets",
    116: "answerTooLarge", 117: "rawLengthMismatch", 118: "notFinite", 119: "invalidRule",
    120: "invalidBlock",
    130: "unusableLines", 131: "otherCurrency", 410: "logBusy", 510: "notDurable", 1010: "readOnly",
    201: "unknownCustomer", 202: "unknownProduct", 203: "unknownSegmentation",
    204: "unknownLabel", 205: "unknownGeneration", 504: "workspaceLocked",
    301: "snapshotChanged", 401: "tooManyInFlight", 402: "tooManyConnections", 403: "outputFull",
    501: "loading", 502: "draining", 503: "notInSnapshot", 601: "authenticationFailed",
    602: "scopeMissing", 701: "badMagic", 702: "headerChecksumMismatch",
    703: "unsupportedVersion", 704: "badHeaderSize", 705: "frameTooSmall", 706: "frameTooLarge",
    707: "bodyChecksumMismatch", 708: "helloRequired", 709: "unexpectedHello",
    710: "wrongDirection", 711: "handshakeTimeout", 712: "idleTimeout", 713: "peerTooSlow",
    714: "unexpectedEnd", 801: "deadlinePassed", 901: "cancelled", 1001: "unsupportedOperation",
    1002: "unsupportedFlag", 1003: "compressionNotNegotiated", 1004: "unsupportedTag",
    1005: "unsupportedEncoding", 1006: "unsupportedType", 1007: "unsupportedFeature",
    1101: "snapshotDamaged", 1201: "internalError",
}
UNKNOWN_CUSTOMER, UNKNOWN_PRODUCT, NOT_IN_SNAPSHOT = 201, 202, 503


class Fault(Exception):
    """What the server did wrong."""


class Skip(Exception):
    """Why a check cannot be made of this server."""


def need(condition, text):
    if not condition:
        raise Fault(text)


def name_of(status):
    return f"{status} {STATUS.get(status, '')}".strip()


# Section 1 and 2: bytes that a client sends


def _crc_table():
    table = []
    for index in range(256):
        word = index
        for _ in range(8):
            word = word >> 1 ^ (0x82F63B78 if word & 1 else 0)
        table.append(word)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    state, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


def frame(opcode, body=b"", request_id=7, *, flags=0, meta=None, aux=0, length=None, magic=0x50D7,
          version=1, words=8, excess=b"", raw_length=None, body_crc=None, header_crc=None):
    """A whole frame; what is named can be made wrong while the rest is right."""
    block = b""
    if meta is not None:
        block = meta if isinstance(meta, bytes) else meta_block(meta)
        flags |= META
    payload = excess + block + body
    header = struct.pack(
        "<IHBBHHIIII", 28 + len(payload) if length is None else length, magic, version, words,
        opcode, flags, request_id, len(body) if raw_length is None else raw_length, aux,
        crc32c(payload) if body_crc is None else body_crc)
    return header + struct.pack("<I", crc32c(header) if header_crc is None else header_crc) + payload


def meta_block(items):
    data = b"".join(struct.pack("<HH", tag, len(value)) + value for tag, value in items)
    return struct.pack("<I", len(data)) + data


def ping(token=5):
    return struct.pack("<Q", token)


def hello(versions=(1, 1), frame_bytes=MIB16, required=0, optional=1 << 60, token=None,
          name=b"patron-conformance 1"):
    secret = token or b""
    return struct.pack("<BBHIQQHHHH", *versions, 0, frame_bytes, required, optional,
                       0 if token is None else 1, len(secret), len(name), 0) + secret + name


def kind_of(value):
    return 1 if isinstance(value, int) else 2


def one_id(value):
    if isinstance(value, int):
        return struct.pack("<q", value)
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def lookup(ids, columns=(), options=0, kind=None):
    kind = kind or kind_of(ids[0])
    head = struct.pack("<BBHI", kind, options, len(columns), len(ids))
    head += struct.pack(f"<{len(columns)}H", *columns)
    head += bytes(-len(head) % 8)
    if kind == 1:
        return head + struct.pack(f"<{len(ids)}q", *ids)
    texts = [text.encode() for text in ids]
    offsets = [0]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    return head + struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(texts)


def top(identifier, count=10, options=0):
    return struct.pack("<BBHI", kind_of(identifier), options, 0, count) + one_id(identifier)


def similar(identifier, subject, count=10):
    return struct.pack("<BBHI", kind_of(identifier), subject, 0, count) + one_id(identifier)


def offer_products(identifier, count=10, options=0, offer=0, rank=0, lowest=0, highest=0, ratio=0,
                   categories=(), bought=()):
    lists = b"".join(struct.pack("<H", len(text)) + text
                     for text in (item.encode() for item in (*categories, *bought)))
    return struct.pack("<BBBBIqqHHHH", kind_of(identifier), options, offer, rank, count, lowest,
                       highest, ratio, len(categories), len(bought), 0) + one_id(identifier) + lists


def offer_customers(identifier, count=10, options=0, rank=0):
    return struct.pack("<BBBBI", kind_of(identifier), options, rank, 0, count) + one_id(identifier)


def plain_table(columns, rows):
    """A table (8.2) that begins at a multiple of 64 of the body: number, type, values."""
    def build(start):
        directory, buffers = b"", b""
        place = start + 16 + 32 * len(columns)
        base = place + -place % 64
        for number, kind, values in columns:
            form, _ = TYPES[kind]
            valid = bytearray((rows + 7) // 8)
            for row, value in enumerate(values):
                if value is not None:
                    valid[row // 8] |= 1 << row % 8
            has_gaps = None in values
            validity = base + len(buffers) if has_gaps else 0
            if has_gaps:
                buffers += bytes(valid) + bytes(-len(valid) % 64)
            data, text = b"", b""
            if kind == 5:
                offsets = [0]
                for value in values:
                    text += (value or "").encode()
                    offsets.append(len(text))
                data = struct.pack(f"<{rows + 1}I", *offsets)
            else:
                data = struct.pack(f"<{rows}{form}", *[value or 0 for value in values])
            at = base + len(buffers)
            buffers += data + bytes(-len(data) % 64)
            text_at = base + len(buffers) if kind == 5 else 0
            buffers += text + (bytes(-len(text) % 64) if kind == 5 else b"")
            directory += struct.pack("<HBBB3x5I4x", number, kind, 0, 1 if has_gaps else 0, validity, at,
                                     len(data), text_at, len(text))
            end = (text_at + len(text)) if kind == 5 and text else at + len(data)
        buffers = buffers[:end - base]
        head = struct.pack("<IHH8x", rows, len(columns), 32)
        return head + directory + bytes(base - place) + buffers
    return build


def score(columns, rows, wanted=(), attributes=()):
    head = struct.pack("<HHI", len(wanted), len(attributes), 0) + struct.pack(f"<{len(wanted)}H", *wanted)
    for name in attributes:
        head += struct.pack("<H", len(name.encode())) + name.encode()
    head += bytes(-len(head) % 64)
    return head + plain_table(columns, rows)(len(head))


def explain(identifier, name):
    return struct.pack("<BBHI", kind_of(identifier), 0, len(name.encode()), 0) + one_id(identifier) + name.encode()


def segments(name=""):
    return struct.pack("<HH", len(name.encode()), 0) + name.encode()


def count_rule(rule):
    data = rule.encode()
    return struct.pack("<II", len(data), 0) + data


def stream(rule="", columns=(), credit=MIB16, token=bytes(32)):
    data = rule.encode()
    return (struct.pack("<IHH", credit, len(columns), 0) + token + struct.pack("<II", len(data), 0)
            + struct.pack(f"<{len(columns)}H", *columns) + data)


def credit(amount):
    return struct.pack("<II", amount, 0)


# Sections 2 to 8: bytes that a server sends


class Body:
    """Checked reads; what is wrong is told with the section and the field."""

    def __init__(self, data):
        self.data = data

    def take(self, offset, count, what):
        need(offset + count <= len(self.data),
             f"{what} reaches past the body ({offset} + {count} of {len(self.data)})")
        return self.data[offset:offset + count]

    def read(self, form, offset, what):
        return struct.unpack("<" + form, self.take(offset, struct.calcsize("<" + form), what))[0]

    def zero(self, offset, count, what):
        need(not any(self.take(offset, count, what)), f"{what} is not zero at byte {offset}")

    def text(self, offset, count, what):
        try:
            return self.take(offset, count, what).decode()
        except UnicodeDecodeError:
            raise Fault(f"{what} is not UTF-8") from None

    def end(self, offset, what="the body"):
        need(offset == len(self.data), f"{what} has {len(self.data)} bytes, its fields {offset}")


def read_meta(payload, features):
    need(len(payload) >= 4, "META without a block (section 4)")
    size = struct.unpack_from("<I", payload)[0]
    need(size <= 4096 and size + 4 <= len(payload), f"a meta block of {size} bytes (section 4)")
    items, offset = {}, 4
    while offset < 4 + size:
        need(offset + 4 <= 4 + size, "a meta item is cut (section 4)")
        tag, count = struct.unpack_from("<HH", payload, offset)
        need(offset + 4 + count <= 4 + size, "a meta item runs past its block (section 4)")
        need(tag not in items and len(items) < 32, f"meta tag {tag:#x} twice, or too many")
        value = payload[offset + 4:offset + 4 + count]
        sizes = {1: (16, 16), 2: (1, 64), 3: (1, 1), 4: (1, 1024), 5: (4, 4), 6: (12, 12)}
        if tag in sizes:
            low, high = sizes[tag]
            need(low <= count <= high, f"meta tag {tag} of {count} bytes (section 4)")
        need(not tag & 0x8000, f"critical meta tag {tag:#x} that nobody asked for (section 11)")
        need(tag != 6 or features & TIMINGS, "timings though the feature is not active (section 5)")
        if tag == 4:
            Body(value).text(0, count, "the warning of the meta block")
        items[tag] = value
        offset += 4 + count
    return items, payload[4 + size:]


def read_stamp(body):
    size = body.read("I", 0, "stampBytes")
    need(size >= 64 and size % 64 == 0, f"stampBytes {size} (8.1)")
    stamp = Body(body.take(0, size, "the stamp"))
    models = stamp.read("H", 16, "modelCount")
    need(models <= 64, f"{models} models (8.1)")
    stamp.zero(18, 6, "the stamp's reserved field (8.1)")
    used = stamp.take(24, 8, "currency").rstrip(b"\0")
    need(b"\0" not in used, "zeros within the currency (8.1)")
    Body(used).text(0, len(used), "currency")
    offset, names = 32, []
    for _ in range(models):
        count = stamp.read("H", offset + 8, "model name")
        need(count <= 4096, "a model name above 4,096 bytes (8.1)")
        stamp.zero(offset + 10, 2, "a model's reserved field (8.1)")
        names.append(stamp.text(offset + 12, count, "model name"))
        offset += 12 + count
    stamp.zero(offset, size - offset, "the stamp's padding (8.1)")
    need(size - offset < 64, f"stampBytes {size} is not the least multiple of 64 (8.1)")
    generation = stamp.read("Q", 8, "generation")
    need(generation >= 1, "a stamp of generation 0 (8.1)")
    return {"generation": generation, "asOfDay": stamp.read("i", 4, "asOfDay"),
            "currency": used.decode(), "models": names}, size


TYPES = {1: ("i", 4), 2: ("q", 8), 3: ("f", 4), 4: ("d", 8), 5: ("I", 4)}


def read_texts(body, count, offsets_at, text_at, size, what):
    offsets = struct.unpack_from(f"<{count + 1}I", body.data, offsets_at)
    need(offsets[0] == 0 and offsets[-1] == size
         and all(low <= high for low, high in zip(offsets, offsets[1:])),
         f"text offsets of {what} (8.2)")
    return [body.text(text_at + low, high - low, what) for low, high in zip(offsets, offsets[1:])]


class Table:
    """A table as the writer has to make it (8.2), stricter than a reader is."""

    def __init__(self, body, start):
        self.body, self.rows = body, body.read("I", start, "rowCount")
        count, stride = body.read("H", start + 4, "columnCount"), body.read("H", start + 6, "stride")
        need(self.rows <= 1 << 20 and count <= 1024, f"a table of {self.rows} rows, {count} columns")
        need(stride >= 32 and stride % 8 == 0, f"descriptorBytes {stride} (8.2)")
        self.subject_status = body.read("B", start + 8, "subjectStatus")
        body.zero(start + 9, 7, "the table's reserved field (8.2)")
        self.directory_end = start + 16 + count * stride
        body.take(start + 16, count * stride, "the directory")
        self.buffers, self.columns, self.types = [], {}, {}
        for index in range(count):
            place = start + 16 + index * stride
            number = body.read("H", place, "column id")
            need(number != 0 and number not in self.columns, f"column {number} 0 or twice (8.2)")
            kind, values = self.column(place, f"column {number:#x}")
            self.types[number], self.columns[number] = kind, values
        end = max([self.directory_end] + [at + size for at, size in self.buffers])
        body.end(end, "the table")
        self.gaps(end)

    def gaps(self, end):
        at = self.directory_end
        for start, size in sorted(self.buffers) + [(end, 0)]:
            need(start >= at or size == 0, f"buffers overlap at byte {start} (8.2)")
            if start > at:
                self.body.zero(at, start - at, "a gap between buffers (8.2)")
            at = max(at, start + size)

    def use(self, offset, size, what):
        need(offset % 64 == 0, f"a buffer of {what} at {offset}, not a multiple of 64 (8.2)")
        need(self.directory_end <= offset <= offset + size <= len(self.body.data),
             f"a buffer of {what} outside the body or in the directory (8.2)")
        self.buffers.append((offset, size))

    def column(self, place, what):
        body = self.body
        kind, encoding, flags = body.take(place + 2, 3, "descriptor")
        body.zero(place + 5, 3, f"the reserved field of {what} (8.2)")
        need(flags & 0xF8 == 0 or flags & 4, f"unassigned flags {flags:#x} of {what} (8.2)")
        if kind not in TYPES or encoding > 1:
            need(flags & 4, f"{what} of type {kind}, encoding {encoding}, not skippable (8.2)")
            return kind, None
        return kind, (self.constant if encoding else self.plain)(place, kind, flags, what)

    def constant(self, place, kind, flags, what):
        body, missing = self.body, flags & 2
        need(not flags & 1 and (kind != 5 or missing), f"flags {flags} of constant {what} (8.2)")
        form, lane = TYPES[kind]
        body.zero(place + 16, 16, f"what follows the constant of {what} (8.2)")
        if missing:
            body.zero(place + 8, 8, f"the constant of {what} without values (8.2)")
            return [None] * self.rows
        body.zero(place + 8 + lane, 8 - lane, f"what follows the constant of {what} (8.2)")
        value = body.read(form, place + 8, "constant")
        need(kind not in (3, 4) or math.isfinite(value), f"{what} is {value} (section 1)")
        return [value] * self.rows

    def plain(self, place, kind, flags, what):
        body, rows = self.body, self.rows
        need(not flags & 2, f"flag 1 of plain {what} (8.2)")
        validity, values_at, size, text_at, text_size = struct.unpack_from(
            "<5I", body.data, place + 8)
        body.zero(place + 28, 4, f"the end of the descriptor of {what} (8.2)")
        form, lane = TYPES[kind]
        need(size == (rows + (kind == 5)) * lane, f"valuesBytes {size} of {what} (8.2)")
        self.use(values_at, size, what)
        valid = [True] * rows
        if flags & 1:
            self.use(validity, (rows + 7) // 8, what)
            bits = int.from_bytes(body.data[validity:validity + (rows + 7) // 8], "little")
            need(bits >> rows == 0, f"bits past the last row of {what} (8.2)")
            valid = [bool(bits >> row & 1) for row in range(rows)]
            need(not all(valid), f"a bitmap with every row set of {what} (8.2: left out)")
            need(any(valid), f"{what} without any value is not constant (8.2)")
        else:
            need(validity == 0, f"validityOffset of {what} without a bitmap (8.2)")
        if kind == 5:
            self.use(text_at, text_size, what)
            values = read_texts(body, rows, values_at, text_at, text_size, what)
            need(all(ok or not text for text, ok in zip(values, valid)),
                 f"a text in a row of {what} without a value (8.2)")
            return [text if ok else None for text, ok in zip(values, valid)]
        need(text_at == text_size == 0, f"text places of {what}, which has numbers (8.2)")
        lanes = body.data[values_at:values_at + size]
        pieces = {lanes[i:i + lane] for i in range(0, size, lane)}
        need(flags & 1 or not rows or len(pieces) > 1, f"{what} is the same in every row, not constant (8.2)")
        values = struct.unpack(f"<{rows}{form}", lanes)
        need(all(ok or not any(lanes[i * lane:(i + 1) * lane]) for i, ok in enumerate(valid)),
             f"a lane of {what} without a value is not 0 (8.2)")
        if kind in (3, 4):
            need(all(math.isfinite(value) for value in values), f"{what} is not finite (section 1)")
        return [value if ok else None for value, ok in zip(values, valid)]


def read_error(body, start=0):
    sizes = [body.read("H", start + 2 * i, "an error body") for i in range(3)]
    need(max(sizes) <= 4096, "an error text above 4,096 bytes (7.9)")
    body.zero(start + 6, 2, "the error body's reserved field (7.9)")
    body.zero(start + 12, 4, "the error body's reserved field (7.9)")
    result, offset = {"generation": body.read("Q", start + 16, "generation"),
                      "byteOffset": body.read("I", start + 8, "byteOffset")}, start + 24
    for key, size in zip(("text", "hint", "field"), sizes):
        result[key] = body.text(offset, size, key)
        offset += size
    body.end(offset, "an error body")
    return result


def read_hello(body, features):
    need(body.read("B", 0, "version") == 1, "HELLO's version is not 1 (7.1)")
    body.zero(1, 3, "HELLO's reserved field (7.1)")
    names = (("maximumFrameBytes", "I", 4), ("activeFeatures", "Q", 8), ("offeredFeatures", "Q", 16),
             ("maximumLookupIDs", "I", 24), ("maximumInFlight", "I", 28), ("idleMilliseconds", "I", 32),
             ("defaultDeadlineMilliseconds", "I", 36), ("generation", "Q", 40), ("asOfDay", "i", 48))
    result = {name: body.read(form, at, name) for name, form, at in names}
    need(4096 <= result["maximumFrameBytes"] <= MIB64, f"maximumFrameBytes {result['maximumFrameBytes']} (7.1)")
    need(result["generation"] or not result["asOfDay"], "asOfDay of generation 0 (7.1)")
    size = body.read("H", 52, "serverNameBytes")
    need(size <= 4096, "serverNameBytes above 4,096 (7.1)")
    body.zero(54, 2, "HELLO's reserved field (7.1)")
    result["serverName"] = body.text(56, size, "serverName")
    body.end(56 + size)
    return result


def read_ping(body, features):
    body.end(16)
    return {"token": body.read("Q", 0, "token"), "generation": body.read("Q", 8, "generation")}


def read_table(body, features):
    stamp, start = read_stamp(body)
    return {"stamp": stamp, "table": Table(body, start)}


def read_chunk(body, features):
    stamp, start = read_stamp(body)
    body.zero(start + 40, 24, "a chunk's reserved field (7.15)")
    return {"stamp": stamp, "scanned": body.read("Q", start, "scannedCustomers"),
            "token": body.take(start + 8, 32, "resume token"), "table": Table(body, start + 64)}


def read_count(body, features):
    stamp, start = read_stamp(body)
    body.zero(start + 16, 48, "COUNT's reserved field (7.14)")
    body.end(start + 64)
    result = {"stamp": stamp, "matching": body.read("Q", start, "matching"),
              "customers": body.read("Q", start + 8, "customers")}
    need(result["matching"] <= result["customers"], "more customers match than there are (7.14)")
    return result


def read_describe(body, features):
    stamp, start = read_stamp(body)
    result = {"stamp": stamp, "customers": body.read("Q", start, "customerCount"),
              "products": body.read("Q", start + 8, "productCount"),
              "customerKind": body.read("B", start + 16, "customerIDKind"),
              "productKind": body.read("B", start + 17, "productIDKind"),
              "variant": body.read("B", start + 18, "affinityVariant")}
    need(max(result["customerKind"], result["productKind"]) <= 2, "an id kind above 2 (7.4)")
    body.zero(start + 24, 40, "DESCRIBE's reserved field (7.4)")
    body.zero(start + 19, 1, "DESCRIBE's reserved field (7.4)")
    need(features & AFFINITY_FACTS or not result["variant"], "affinityFacts without the feature (7.4)")
    if not result["variant"]:
        body.zero(start + 20, 4, "offers without an affinityVariant (7.4)")
    table = Table(body, start + 64)
    wanted = {0xF020: 1, 0xF021: 5, 0xF022: 1, 0xF023: 5, 0xF024: 5}
    for number, kind in wanted.items():
        need(table.types.get(number) == kind and None not in table.columns[number],
             f"DESCRIBE's column {number:#x} is absent, of another type or has a gap (7.4)")
    result["columns"] = {}
    for number, name, kind, unit in zip(*(table.columns[n] for n in (0xF020, 0xF021, 0xF022, 0xF023))):
        need(1 <= number <= 0xEFFF and number not in result["columns"] and name,
             f"DESCRIBE gives column {number} {name!r} (8.4)")
        result["columns"][number] = {"name": name, "type": kind, "unit": unit}
    names = table.columns.get(0xF025) or [None] * table.rows
    for number, lines in zip(table.columns[0xF020], names):
        pairs = [line.partition(" ") for line in lines.split("\n")] if lines else []
        numbers = [int(first) for first, _, _ in pairs]
        need(numbers == sorted(set(numbers)), f"value names of column {number} do not ascend (7.4)")
        result["columns"][number]["valueNames"] = {int(a): b for a, _, b in pairs}
    return result


def read_append(body, features):
    stamp, start = read_stamp(body)
    result = {"stamp": stamp, "sequence": body.read("Q", start, "sequence"),
              "accepted": body.read("I", start + 8, "acceptedLines"),
              "refused": body.read("I", start + 12, "refusedLines"),
              "isRepeat": body.read("B", start + 16, "isRepeat")}
    need(result["isRepeat"] <= 1, f"isRepeat {result['isRepeat']} (7.17)")
    body.zero(start + 17, 47, "APPEND's reserved field (7.17)")
    table = result["table"] = Table(body, start + 64)
    need(all(table.types.get(number) == 1 for number in (0xF090, 0xF091, 0xF092)),
         "the refusals lack a column (7.17)")
    lines = table.columns[0xF090]
    need(lines == sorted(lines) and len(set(lines)) <= result["refused"], f"refusals of lines {lines} (7.17)")
    need((result["sequence"] == 2 ** 64 - 1) == (result["accepted"] == 0), "a sequence without lines (7.17)")
    return result


def read_erase(body, features):
    stamp, start = read_stamp(body)
    result = {"stamp": stamp, "sequence": body.read("Q", start, "sequence"),
              "erasedAt": body.read("q", start + 8, "erasedAt"), "isRepeat": body.read("B", start + 16, "isRepeat")}
    need(result["isRepeat"] <= 1, f"isRepeat {result['isRepeat']} (7.27)")
    body.zero(start + 17, 47, "ERASE's reserved field (7.27)")
    table = result["table"] = Table(body, start + 64)
    need(table.types.get(0xF0C0) == 1, "the receipt lacks erasureFound (7.27)")
    return result


def read_explain(body, features):
    stamp, start = read_stamp(body)
    known = body.read("I", start + 24, "known")
    need(known < 8, f"facts {known} of EXPLAIN (7.19)")
    result = {"stamp": stamp, "segment": body.read("i", start, "segment")}
    for bit, name, form, place in ((2, "next", "i", 4), (1, "distance", "d", 8), (4, "nextDistance", "d", 16)):
        result[name] = body.read(form, start + place, name)
        if not known & bit:
            need(not result[name], f"{name} of EXPLAIN that is not known (7.19)")
            result[name] = None
        need(form == "i" or result[name] is None or 0 <= result[name] < math.inf, f"{name} {result[name]} (7.19)")
    body.zero(start + 32, 32, "EXPLAIN's reserved field (7.19)")
    result["table"] = Table(body, start + 64)
    return result


def read_shadow(body, features):
    stamp, start = read_stamp(body)
    candidate, size = read_stamp(Body(body.data[start:]))
    start += size
    body.zero(start + 56, 8, "SHADOW's reserved field (7.25)")
    facts = struct.unpack_from("<IIQQQQQQ", body.data, start)
    need(sum(facts[3:7]) <= facts[2], "SHADOW has compared and dropped more than it chose (7.25)")
    need(facts[0] or not any(facts), "SHADOW has found something before the first start (7.25)")
    return {"stamp": stamp, "candidate": candidate, "state": facts[0], "table": Table(body, start + 64)}


def read_publish(body, features):
    stamp, start = read_stamp(body)
    body.zero(start + 16, 48, "PUBLISH's reserved field (7.22)")
    body.end(start + 64)
    return {"stamp": stamp, "previous": body.read("Q", start, "previous generation")}


ANSWERS = {EXPLAIN: read_explain, HELLO: read_hello, PING: read_ping, DESCRIBE: read_describe, COUNT: read_count,
           AUDIENCE: read_chunk, SCAN: read_chunk, APPEND: read_append, ERASE: read_erase, SHADOW: read_shadow,
           PUBLISH: read_publish}


def decompress(block, raw_length):
    """What one LZ4 block (section 3.1) stands for."""
    out, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            byte, at = block[at], at + 1
            total += byte
            if byte < 255:
                break
        return total

    try:
        while True:
            token, at = block[at], at + 1
            count = length(token >> 4)
            need(at + count <= len(block), "an LZ4 block's literals reach past it (3.1)")
            out += block[at:at + count]
            at += count
            if at == len(block):
                break
            distance, at = block[at] | block[at + 1] << 8, at + 2
            count = length(token & 15) + 4
            need(0 < distance <= len(out), f"a match of distance {distance} at {len(out)} (3.1)")
            need(len(out) + count <= raw_length - 5, "an LZ4 block does not end in five literals (3.1)")
            start = len(out) - distance
            while count:
                piece = bytes(out[start:start + count])
                out += piece
                count -= len(piece)
    except IndexError:
        raise Fault("an LZ4 block ends inside a sequence (3.1)") from None
    need(len(out) == raw_length, f"an LZ4 block of {len(out)} bytes, rawLength {raw_length} (3.1)")
    return bytes(out)


def compress(data):
    """A right block, of few matches: repeats of the eight bytes before."""
    out, start, at = bytearray(), 0, 8

    def sequence(literals, match=0):
        extra = match - 4 if match else 0
        out.append(min(15, len(literals)) << 4 | min(15, extra))
        for size in (len(literals), -1, extra):
            if size == -1:
                out.extend(literals)
                if not match:
                    return
                out.extend(b"\x08\x00")
            elif size >= 15:
                out.extend(b"\xff" * ((size - 15) // 255) + bytes([(size - 15) % 255]))

    while at + 12 <= len(data):
        end = at
        while end < len(data) - 5 and data[end] == data[end - 8]:
            end += 1
        if end - at >= 4:
            sequence(data[start:at], end - at)
            start = at = end
        else:
            at += 1
    sequence(data[start:])
    return bytes(out)


class Answer:
    """A frame of the server, checked."""

    error = {"text": "", "hint": "", "field": "", "byteOffset": 0xFFFFFFFF, "generation": 0}

    def __init__(self, data, features, largest):
        self.data = data
        (self.length, _, _, words, opcode, self.flags, self.request_id, raw_length, self.status,
         body_crc, _) = struct.unpack_from("<IHBBHHIIIII", data)
        need(self.length <= largest, f"a frame of length {self.length}, the client takes {largest} (section 2)")
        need(crc32c(data[32:]) == body_crc, "bodyCRC of an answer is wrong (section 2)")
        need(opcode & 0x8000, f"opcode {opcode:#x} of an answer lacks bit 15 (section 2)")
        self.opcode = opcode & 0x7FFF
        need(self.opcode not in (CREDIT, CANCEL), f"an answer to {NAMES[self.opcode]}, which has none (7.16)"
             if self.opcode in (CREDIT, CANCEL) else "")
        need(not self.flags & 0xF8, f"unknown critical flags {self.flags:#x} (section 3)")
        need(not self.flags & LZ4 or features & LZ4_FEATURE, "LZ4 that was not agreed on (section 3)")
        need(not self.flags & LZ4 or self.opcode != HELLO, "a compressed answer to HELLO (3.1)")
        self.more = bool(self.flags & MORE)
        need(not self.more or self.opcode in (AUDIENCE, SCAN) and self.status == 0,
             "MORE where it does not belong (section 3)")
        payload, self.meta = data[words * 4:], {}
        if self.flags & META:
            self.meta, payload = read_meta(payload, features)
        self.compressed = bool(self.flags & LZ4)
        if self.compressed:
            need(0 < raw_length <= largest, f"rawLength {raw_length}, the client takes {largest} (3.1)")
            payload = decompress(payload, raw_length)
        need(raw_length == len(payload), f"rawLength {raw_length} of {len(payload)} bytes (section 2)")
        need(5 not in self.meta or self.status // 100 in (4, 5), "retryAfterMilliseconds in another class (section 4)")
        body = Body(payload)
        if self.opcode == GOAWAY:
            need(self.request_id == 0, f"GOAWAY with requestID {self.request_id} (7.3)")
            need(self.status, "GOAWAY with status 0 (7.3)")
            self.grace = body.read("I", 0, "graceMilliseconds")
            body.zero(4, 4, "GOAWAY's reserved field (7.3)")
            need(self.status // 100 != 7 or self.grace == 0, "GOAWAY of class 7 with grace (section 10)")
            self.error = read_error(body, 8)
        elif self.status:
            need(self.status // 100 != 7, f"class 7 ({name_of(self.status)}) not as GOAWAY (section 6)")
            self.error = read_error(body)
        else:
            self.body = ANSWERS.get(self.opcode, read_table)(body, features)
            if self.opcode == HELLO:
                self.junk = any(0x7F00 <= tag <= 0x7FFF for tag in self.meta)

    @property
    def table(self):
        return self.body["table"]

    def __str__(self):
        return f"{NAMES.get(self.opcode, hex(self.opcode))} {self.request_id}: {name_of(self.status)}"


# Connections


class Peer:
    """One connection. `received` counts what all of them have checked."""

    received = [0]

    def __init__(self, target, greet=True, patience=6.0, **options):
        self.target, self.features, self.largest = target, 0, 4096
        self.sent, self.latest, self.buffer, self.ended = b"", b"", bytearray(), False
        self.socket = socket.create_connection((target.host, target.port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket, server_hostname=target.host)
        self.patience = patience
        target.peers.append(self)
        if greet:
            self.greet(**options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def send(self, data):
        self.sent = data
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def greet(self, **options):
        options.setdefault("token", self.target.token)
        self.send(frame(HELLO, hello(**options), 1, meta=[(0x7F01, b"junk")]))
        answer = self.answer_of(HELLO, 1)
        need(answer.status == 0, f"HELLO was answered with {name_of(answer.status)}: {answer.error['text']}")
        self.accept(answer, options.get("frame_bytes", MIB16))
        return answer

    def accept(self, answer, frame_bytes=MIB16):
        self.server, self.features, self.largest = answer.body, answer.body["activeFeatures"], frame_bytes

    def fill(self, count, until):
        while len(self.buffer) < count and not self.ended:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except (TimeoutError, socket.timeout):
                return False
            except OSError as error:
                self.ended = True
                raise Fault(f"the connection was reset: {error}") from None
            if not data:
                self.ended = True
            self.buffer += data
        return len(self.buffer) >= count

    def receive(self, patience=None, missing_is_fault=True):
        """The next frame; nil when the connection ended (or nothing came, if that is allowed)."""
        until = time.monotonic() + (self.patience if patience is None else patience)
        if not self.fill(32, until):
            need(not self.buffer, f"the stream stopped inside a header: {self.buffer.hex()}")
            need(self.ended or not missing_is_fault, "no answer in time")
            return None
        head = bytes(self.buffer[:32])
        need(head[4:6] == b"\xd7\x50", f"magic {head[4:6].hex()} of an answer (section 2)")
        need(struct.unpack_from("<I", head, 28)[0] == crc32c(head[:28]), "headerCRC of an answer is wrong (section 2)")
        length, words = struct.unpack_from("<I", head)[0], head[7]
        need(head[6] == 1, f"version {head[6]} of an answer (section 2)")
        need(28 <= length <= max(self.largest, 4096) and 8 <= words <= (length + 4) // 4,
             f"length {length} or headerWords {words} of an answer (section 2); the client takes {self.largest}")
        need(self.fill(length + 4, max(until, time.monotonic() + 2)), "the stream stopped inside a frame")
        self.latest = bytes(self.buffer[:length + 4])
        del self.buffer[:length + 4]
        self.received[0] += 1
        return Answer(self.latest, self.features, self.largest)

    def answer_of(self, opcode, request_id=7, patience=None):
        answer = self.receive(patience)
        need(answer is not None, f"the connection ended without an answer to {NAMES.get(opcode, hex(opcode))}")
        need(answer.opcode != GOAWAY or opcode == GOAWAY,
             f"GOAWAY {name_of(answer.status)} instead of an answer: {getattr(answer, 'error', {}).get('text')}")
        need((answer.opcode, answer.request_id) == (opcode, request_id),
             f"answer {answer} instead of one to {NAMES.get(opcode, hex(opcode))} {request_id}")
        return answer

    def ask(self, opcode, body=b"", request_id=7, status=0, **options):
        """The answer, which must have the status (or one of them)."""
        self.send(frame(opcode, body, request_id, **options))
        answer = self.answer_of(opcode & 0x7FFF, request_id)
        if status is not None:
            wanted = status if isinstance(status, (tuple, set, list)) else (status,)
            need(answer.status in wanted, f"{answer} instead of {' or '.join(map(name_of, wanted))}"
                 + (f": {answer.error['text']}" if answer.status else ""))
        return answer

    def lives(self):
        """The connection goes on: a PING is answered."""
        answer = self.ask(PING, ping(0x1122334455667788), 0xFFFFFFFE)
        need(answer.body["token"] == 0x1122334455667788, "PING's token came back changed (7.2)")

    def ends(self, status=None, patience=None):
        """GOAWAY with the status, and then the end of the stream."""
        if status is not None:
            answer = self.receive(patience)
            need(answer is not None, f"the connection ended without GOAWAY {name_of(status)}")
            need(answer.opcode == GOAWAY and answer.status == status,
                 f"{answer} instead of GOAWAY {name_of(status)}")
        need(not self.fill(1, time.monotonic() + (patience or self.patience)),
             f"more bytes after the last frame: {self.buffer[:64].hex()}")
        need(self.ended, "the connection was not closed")


class Target:
    """The server under test, and what is known of it."""

    def __init__(self, arguments):
        host, _, port = arguments.address.rpartition(":")
        self.host, self.port, self.tls = host.strip("[]") or "127.0.0.1", int(port), arguments.tls
        token = arguments.token
        self.token = None if token is None else (
            bytes.fromhex(token[2:]) if token.startswith("0x") else token.encode())
        self.peers = []
        self.vectors = arguments.vectors
        self.customer, self.product = arguments.customer, arguments.product
        self.customers, self.products = [], []

    def connect(self, **options):
        return Peer(self, **options)

    def learn(self):
        """What later checks need: the limits, the columns, a customer and a product."""
        with self.connect(optional=STREAMS | AFFINITY_FACTS | 1 << 60) as peer:
            self.server = peer.server
            self.offered = peer.server["offeredFeatures"]
            self.streams = bool(peer.features & STREAMS)
            answer = peer.ask(DESCRIBE, b"", 2, status=(0, 501))
            self.described = answer.body if answer.status == 0 else None
            if self.described:
                self.find_ids(peer)

    def typed(self, text, kind):
        return int(text) if kind == 1 else text

    def find_ids(self, peer):
        facts = self.described
        if self.customer is not None:
            self.customers = [self.typed(self.customer, facts["customerKind"])]
        elif self.streams and facts["customers"]:
            peer.send(frame(SCAN, stream(columns=[next(iter(facts["columns"]))]), 3))
            more = True
            while more:
                answer = peer.answer_of(SCAN, 3)
                need(answer.status == 0, f"SCAN: {answer}")
                if len(self.customers) < 2000:
                    self.customers += answer.table.columns[0xF002]
                more = answer.more
        elif facts["customerKind"] == 1:
            for start in (0, 10_000_000):
                ids = list(range(start, start + 4000))
                table = peer.ask(LOOKUP, lookup(ids, [next(iter(facts["columns"]))]), 4).table
                self.customers += [i for i, s in zip(ids, table.columns[0xF001]) if s == 0]
        if self.product is not None:
            self.products = [self.typed(self.product, facts["productKind"])]
        else:
            for customer in self.customers[:5]:
                answer = peer.ask(TOP_PRODUCTS, top(customer, 20), 5, status=None)
                if answer.status == 0 and answer.table.rows:
                    self.products = answer.table.columns[0xF002]
                    break

    def a_customer(self):
        if not self.customers:
            raise Skip("no customer is known: give --customer")
        return self.customers[0]

    def a_product(self):
        if not self.products:
            raise Skip("no product is known: give --product")
        return self.products[0]

    def facts(self):
        if not self.described:
            raise Skip("no snapshot is published")
        return self.described

    def unknown(self, of):
        """An id of the right kind that the snapshot does not have."""
        kind = self.facts()["customerKind" if of == "customer" else "productKind"]
        return -987654321987654321 if kind == 1 else "no such thing, surely"

    def need_streams(self):
        if not self.streams:
            raise Skip("the server does not offer streams")


CHECKS = []


def check(section, title, slow=False):
    def add(function):
        CHECKS.append((section, title, function, slow))
        return function
    return add


# Section 2


@check("2", "HELLO and PING dripped one byte at a time")
def dripped(target):
    with target.connect(greet=False) as peer:
        data = frame(HELLO, hello(token=target.token), 1, meta=[(0x7F10, b"")])
        for byte in data:
            peer.send(bytes([byte]))
        peer.accept(peer.answer_of(HELLO, 1))
        for byte in frame(PING, ping(9), 2):
            peer.send(bytes([byte]))
            time.sleep(0.0005)
        need(peer.answer_of(PING, 2).body["token"] == 9, "PING's token came back changed")


@check("2", "two frames split at every boundary")
def split(target):
    with target.connect() as peer:
        first = frame(PING, ping(1), 1, meta=[(2, b"trace"), (3, b"\1")])
        data = first + frame(PING, ping(2), 2, words=10, excess=bytes(8))
        for cut in range(1, len(data)):
            peer.send(data[:cut])
            time.sleep(0.001)
            peer.send(data[cut:])
            for request_id in (1, 2):
                answer = peer.answer_of(PING, request_id)
                need(answer.status == 0 and answer.body["token"] == request_id, f"split at {cut}: {answer}")


@check("2", "200 frames in one piece, and a frame of each that ends in the next piece")
def coalesced(target):
    with target.connect() as peer:
        data = b"".join(frame(PING, ping(i), i) for i in range(1, 201))
        for pieces in ((data,), (data[:4013], data[4013:])):
            for piece in pieces:
                peer.send(piece)
            tokens = {}
            for _ in range(200):
                answer = peer.receive()
                need(answer is not None and answer.status == 0, f"{answer} among 200 PINGs")
                tokens[answer.request_id] = answer.body["token"]
            need(tokens == {i: i for i in range(1, 201)}, "ids and tokens do not pair")


@check("2", "the magic is checked as soon as 6 bytes are there")
def magic_at_once(target):
    for data in (b"\x1c\0\0\0\x50\xd7", b"\xff\xff\xff\xff\0\0"):
        with target.connect() as peer:
            peer.send(data)
            peer.ends(701)


@check("2", "a length above the limit is refused from the header alone")
def length_from_header(target):
    with target.connect(greet=False) as peer:
        peer.send(frame(HELLO, hello(), 1, length=4097)[:32])
        peer.ends(706)
    with target.connect() as peer:
        limit = peer.server["maximumFrameBytes"]
        peer.send(frame(PING, ping(), 1, length=limit + 1)[:32])
        peer.ends(706)
    with target.connect() as peer:
        peer.send(frame(PING, ping(), 1, length=0xFFFFFFFF)[:32])
        peer.ends(706)


@check("2", "a frame of length 4,096 is taken before HELLO, one of 4,097 only after it")
def length_of_hello(target):
    token = target.token or b""
    with target.connect(greet=False) as peer:
        data = frame(HELLO, hello(token=target.token, name=b"x" * (4096 - 28 - 32 - len(token))), 1)
        need(struct.unpack_from("<I", data)[0] == 4096, "this program's HELLO is of another length")
        peer.send(data)
        answer = peer.answer_of(HELLO, 1)
        need(answer.status == 0, f"{answer}")
        peer.accept(answer)
        need(peer.ask(SEGMENTS, segments("y" * 4096), 2, status=None).status in (203, 501),
             "a segmentation name of 4,096 bytes")
        peer.lives()


@check("2", "checks come in their order: magic, headerCRC, version, length, limit, headerWords, bodyCRC")
def order_of_checks(target):
    for wanted, wrong in (
        (701, dict(magic=0xD750, header_crc=1, version=2)),
        (702, dict(header_crc=1, version=2, length=0xFFFFFFFF)),
        (703, dict(version=2, length=27)),
        (705, dict(length=27, words=7)),
        (705, dict(length=0)),
        (706, dict(length=0xFFFFFFF0, words=7)),
        (704, dict(words=0, body_crc=1)),
        (704, dict(words=255, body_crc=1)),
        (707, dict(body_crc=1, flags=8)),
    ):
        with target.connect() as peer:
            peer.send(frame(PING, ping(), 7, **wrong))
            peer.ends(wanted)


@check("2", "flags, meta block, rawLength, body are checked in this order, and the connection goes on")
def order_within(target):
    with target.connect() as peer:
        for wanted, wrong in (
            (1002, dict(flags=8, meta=b"\xff\0\0\0", raw_length=1)),
            (108, dict(meta=b"\xff\0\0\0", raw_length=1)),
            (117, dict(raw_length=2, body=b"1")),
            (101, dict(body=b"1")),
        ):
            peer.ask(PING, wrong.pop("body", ping()), 7, status=wanted, **wrong)
        peer.lives()


@check("2", "a header of 40 bytes, and the longest of 1,020, are skipped to the body")
def longer_header(target):
    with target.connect() as peer:
        for words in (9, 10, 255):
            answer = peer.ask(PING, ping(words), 7, words=words, excess=b"\xa5" * (words * 4 - 32))
            need(answer.body["token"] == words, "the excess was taken for the body")


@check("2", "a headerWords one past the frame is refused, one that fills it is not")
def header_fills(target):
    with target.connect() as peer:
        peer.ask(PING, b"", 7, status=101, words=10, excess=bytes(8))
        peer.send(frame(PING, bytes(8), 7, words=11))
        peer.ends(704)


@check("2", "request ids: any number and order are echoed, 0 is refused")
def request_ids(target):
    with target.connect() as peer:
        ids = [0xFFFFFFFF, 1, 0x80000000, 3, 2]
        peer.send(b"".join(frame(PING, ping(i), i) for i in ids))
        answers = [peer.receive() for _ in ids]
        need(sorted(a.request_id for a in answers) == sorted(ids), "not every id was answered")
        need(all(a.body["token"] == a.request_id for a in answers), "ids and answers do not pair")
        peer.ask(PING, ping(), 0, status=103)
        for _ in range(3):
            peer.ask(PING, ping(), 5)


@check("2", "an open request's id is refused for another, also of another operation")
def id_in_use(target):
    if target.streams and target.described and target.customers:
        with parked(target) as peer:
            for opcode, body in ((PING, ping()), (SCAN, stream()), (DESCRIBE, b"")):
                peer.send(frame(opcode, body, peer.stream_id))
                answer = peer.answer_of(opcode, peer.stream_id)
                need(answer.status == 113, f"{answer} instead of 113 requestIDInUse")
            peer.send(frame(CANCEL, b"", peer.stream_id))
            need(peer.answer_of(SCAN, peer.stream_id).status == 901, "CANCEL")
            peer.ask(PING, ping(), peer.stream_id)
        return
    product = target.a_product()
    with target.connect() as peer:
        one = frame(TOP_CUSTOMERS, top(product, 10_000), 9)
        peer.send(one + one)
        answers = sorted(peer.answer_of(TOP_CUSTOMERS, 9).status for _ in range(2))
        need(answers in ([0, 113], [0, 0]), f"two requests with one id: {answers}")
        peer.ask(TOP_CUSTOMERS, top(product, 1), 9)


@check("2", "bit 15 of an opcode, and GOAWAY, from the client: wrongDirection and the end")
def wrong_direction(target):
    for opcode, body in ((0x8000 | PING, ping()), (GOAWAY, bytes(32)), (0x8000 | CREDIT, credit(1)),
                         (0x8000 | CANCEL, b""), (0x8000 | GOAWAY, bytes(32)), (PROGRESS, bytes(24))):
        with target.connect() as peer:
            peer.send(frame(opcode, body, 7))
            peer.ends(710)


# Sections 3 and 4


@check("3", "optional flags 8 to 15 are ignored, critical ones 3 to 7 refused")
def flags_of_requests(target):
    with target.connect() as peer:
        for bit in range(8, 16):
            answer = peer.ask(PING, ping(bit), 7, flags=1 << bit)
            need(answer.body["token"] == bit, "PING's token came back changed")
        peer.ask(PING, ping(), 7, flags=0xFF00)
        for bit in range(3, 8):
            peer.ask(PING, ping(), 7, flags=1 << bit, status=1002)
        peer.ask(PING, ping(), 7, flags=LZ4, status=1003)
        for opcode, body in ((PING, ping()), (SCAN, stream()), (DESCRIBE, b"")):
            peer.ask(opcode, body, 7, flags=MORE, status=1002)
        peer.lives()


def need_lz4(target):
    if not target.offered & LZ4_FEATURE:
        raise Skip("the server does not offer lz4")


@check("3.1", "compressed requests are answered as plain ones are")
def compressed_requests(target):
    need_lz4(target)
    facts = target.facts()
    ids = (target.customers * 300)[:300] or [target.unknown("customer")] * 300
    body = lookup(ids, [next(iter(facts["columns"]))], kind=facts["customerKind"])
    with target.connect(optional=LZ4_FEATURE) as peer, target.connect(optional=0) as other:
        for opcode, plain in ((PING, ping(77)), (LOOKUP, body), (SEGMENTS, segments())):
            wanted = other.ask(opcode, plain, 7)
            block = compress(plain)
            need(decompress(block, len(plain)) == plain, "this program's own block")
            for items in (None, [(2, b"trace"), (3, b"\1")]):
                answer = peer.ask(opcode, block, 7, flags=LZ4, raw_length=len(plain), meta=items)
                if opcode == PING:
                    need(answer.body["token"] == 77, "PING's token came back changed")
                else:
                    need(answer.table.columns == wanted.table.columns, f"another answer to {NAMES[opcode]}")
        peer.lives()


@check("3.1", "compressed bodies that are wrong are refused, and the connection goes on")
def compressed_faults(target):
    need_lz4(target)
    plain = lookup([1] * 64)
    block = compress(plain)
    size = len(plain)
    limit = target.server["maximumFrameBytes"]
    cases = [
        (120, block[:-1], size), (120, block + b"\0", size), (120, block + b"\0\0", size),
        (120, block, size - 1), (120, block, size + 1), (120, block, 255 * len(block) + 65), (120, block, 0),
        (120, b"", 8), (120, b"", 0), (120, b"\0", 0), (120, b"\0" * 8, 8), (120, b"\xff" * 4000, 100_000),
        (120, b"\x17\0\0\0\x40\1\2\3\4", 16), (120, b"\x17\0\2\0\x50\1\2\3\4\5", 17),
        # Matches to the very end: no five literals.
        (120, b"\x1f\0\1\0\x04\0", 24),
        (112, block, limit + 1), (112, block, 0xFFFFFFFF), (112, b"\x1f\0\1\0" + b"\xff" * 70_000, limit + 1),
    ]
    with target.connect(optional=LZ4_FEATURE) as peer:
        for status, data, raw_length in cases:
            peer.ask(LOOKUP, data, 7, flags=LZ4, raw_length=raw_length, status=status)
        # What the block stands for is checked like any body.
        peer.ask(PING, compress(ping() + b"\0"), 7, flags=LZ4, raw_length=9, status=102)
        peer.ask(PING, compress(ping()[:7]), 7, flags=LZ4, raw_length=7, status=101)
        # Without the flag a block is a body of another size.
        peer.ask(LOOKUP, block, 7, raw_length=size, status=117)
        peer.lives()


@check("3.1", "answers are compressed only where agreed, and mean the same")
def compressed_answers(target):
    need_lz4(target)
    facts = target.facts()
    if len(target.customers) < 200:
        raise Skip("fewer than 200 customers are known")
    found = 0
    ids = target.customers[:2000]
    with target.connect(optional=LZ4_FEATURE | STREAMS) as peer, target.connect(optional=STREAMS) as other:
        asked = [(LOOKUP, lookup(ids, kind=facts["customerKind"])), (LOOKUP, lookup(ids[:1], kind=facts["customerKind"])),
                 (DESCRIBE, b""), (SEGMENTS, segments())]
        for opcode, body in asked:
            a, b = peer.ask(opcode, body, 7), other.ask(opcode, body, 7)
            same = a.body == b.body if opcode == DESCRIBE else a.table.columns == b.table.columns
            need(same, f"a compressed {NAMES[opcode]} says something else")
            need(not a.compressed or a.length < b.length, "a compressed answer that is not smaller (3.1)")
            found += a.compressed
        if target.streams:
            columns = list(facts["columns"])[:4]
            bodies = [whole_stream(one, SCAN, stream(columns=columns)) for one in (peer, other)]
            both = [[chunk.table.columns for chunk in chunks] for chunks in bodies]
            need(both[0] == both[1], "compressed chunks say something else")
            found += any(chunk.compressed for chunk in bodies[0])
        peer.lives()
    return f"{found} kinds of answers came compressed"


@check("5", "timings: where agreed, answers say where their time went")
def timings(target):
    if not target.offered & TIMINGS:
        raise Skip("the server does not offer timings")
    with target.connect(optional=TIMINGS) as peer:
        bodies = [(PING, ping())]
        if target.described:
            bodies += [(DESCRIBE, b""), (SEGMENTS, segments())]
        if target.customers:
            bodies += [(LOOKUP, lookup(target.customers[:1])), (LOOKUP, lookup(target.customers[:50]))]
        for opcode, body in bodies:
            answer = peer.ask(opcode, body, 7)
            need(6 in answer.meta, f"{answer} without timings (section 5)")
        need(6 not in peer.ask(LOOKUP, b"", 7, status=101).meta, "timings of a failure (section 5)")


@check("4", "meta items: known ones are read, unknown optional ones ignored, critical ones refused")
def meta_items(target):
    with target.connect() as peer:
        good = [(1, bytes(16)), (2, b"a"), (3, b"\0")]
        for items in ([], good, [(2, b"t" * 64)], [(3, b"\xff")], [(4, "größer".encode())], [(4, b"w" * 1024)],
                      [(7, b"")], [(0x0999, b"x")], [(0x7EFF, b"xy")], [(0, b"")],
                      [(0x7F00 + i, b"") for i in range(32)], [(0x7F00, bytes(4092))]):
            peer.ask(PING, ping(), 7, meta=items)
        for tag in (0x8000, 0x8001, 0x8004, 0xFFFF):
            peer.ask(PING, ping(), 7, meta=[(tag, b"x")], status=1004)
        peer.lives()


@check("4", "a meta block that is wrong is refused, and the connection goes on")
def meta_faults(target):
    with target.connect() as peer:
        for items in ([(1, bytes(15))], [(1, bytes(17))], [(2, b"")], [(2, bytes(65))], [(3, b"")],
                      [(3, bytes(2))], [(4, b"")], [(4, b"w" * 1025)], [(4, b"\xc3")], [(5, bytes(3))],
                      [(6, bytes(11))], [(3, b"\1"), (3, b"\1")], [(0x7F00, b""), (0x7F00, b"")],
                      [(0x7F00 + i, b"") for i in range(33)], [(0x7F00, bytes(4093))]):
            peer.ask(PING, ping(), 7, meta=items, status=108)
        for block in (b"", b"\1\0\0", struct.pack("<I", 3) + b"\3\0\1", struct.pack("<I", 0xFFFFFFFF),
                      struct.pack("<IHH", 4, 3, 0xFFFF)):
            peer.send(frame(PING, b"", 7, flags=META, meta=block, raw_length=0))
            need(peer.answer_of(PING).status == 108, f"meta block {block.hex()}")
        peer.lives()


# Section 5


@check("5", "a first frame that is not HELLO: helloRequired and the end")
def hello_first(target):
    for opcode, body in ((PING, ping()), (LOOKUP, lookup([1])), (0x7ABC, b""), (CANCEL, b"")):
        with target.connect(greet=False) as peer:
            peer.send(frame(opcode, body, 7))
            peer.ends(708)


@check("5", "a second HELLO: unexpectedHello and the end")
def hello_twice(target):
    with target.connect() as peer:
        peer.send(frame(HELLO, hello(token=target.token), 2))
        peer.ends(709)
    # Whatever its body is.
    for body in (b"", hello(token=target.token)[:-1]):
        with target.connect() as peer:
            peer.send(frame(HELLO, body, 2))
            peer.ends(709)


@check("5", "versions: 1 of any range that contains it, otherwise unsupportedVersion and the end")
def versions(target):
    for low, high in ((1, 1), (1, 2), (1, 255)):
        with target.connect(versions=(low, high)) as peer:
            peer.lives()
    for low, high in ((2, 2), (2, 255), (255, 255)):
        with target.connect(greet=False) as peer:
            peer.send(frame(HELLO, hello((low, high), token=target.token), 1))
            peer.ends(703)
    with target.connect(greet=False) as peer:
        peer.send(frame(HELLO, hello((1, 2), token=target.token), 1, version=2))
        peer.ends(703)


@check("5", "junk: features 56 to 63 and tags 0x7F00 to 0x7FFF are ignored, and sent by the server")
def junk(target):
    for optional in [1 << bit for bit in range(56, 64)] + [(1 << 64) - 1]:
        with target.connect(greet=False) as peer:
            peer.send(frame(HELLO, hello(optional=optional, token=target.token), 1,
                            meta=[(0x7F00 + optional % 251, b"\0\1"), (0x7FFF, b"")]))
            answer = peer.answer_of(HELLO, 1)
            need(answer.status == 0, f"{answer} with optional features {optional:#x}")
            active, offered = answer.body["activeFeatures"], answer.body["offeredFeatures"]
            need(active == optional & offered & ~JUNK_FEATURES, f"active features {active:#x} of offered "
                 f"{offered:#x} and asked {optional:#x}")
            need(offered & JUNK_FEATURES, "offeredFeatures has no junk")
            need(answer.junk, "the answer to HELLO has no junk tag")


@check("5", "features: what is not asked for is not active; required ones that are offered are")
def features(target):
    with target.connect(optional=0) as peer:
        need(peer.features == 0, f"active features {peer.features:#x}, none was asked for")
    for bit in range(56):
        if target.offered >> bit & 1:
            with target.connect(required=1 << bit) as peer:
                need(peer.features == 1 << bit, f"active features {peer.features:#x} of required bit {bit}")


@check("5", "a required feature that is not there: unsupportedFeature, and another HELLO succeeds")
def required_feature(target):
    for bit in (0, 47, 55, 56, 63):
        if target.offered >> bit & 1 and bit < 56:
            continue
        with target.connect(greet=False) as peer:
            peer.ask(HELLO, hello(required=1 << bit, token=target.token), 1, status=1007)
            peer.greet()
            peer.lives()


@check("7.1", "HELLO's faults are refused, and another HELLO succeeds on the connection")
def hello_faults(target):
    good = hello(token=target.token)
    def change(at, data):
        return good[:at] + data + good[at + len(data):]
    cases = [
        (103, change(0, b"\0\1")), (103, change(0, b"\2\1")), (105, change(2, b"\1")),
        (103, change(4, struct.pack("<I", 4095))), (103, change(4, struct.pack("<I", MIB64 + 1))),
        (103, change(24, b"\2\0")), (105, change(30, b"\1")), (101, good[:-1]), (102, good + b"\0"),
        (101, good[:31]), (101, b""), (107, hello(token=target.token, name=b"\xff")),
        (104, change(28, struct.pack("<H", 4097))), (104, change(24, struct.pack("<HH", 1, 1025))),
    ]
    with target.connect(greet=False) as peer:
        for wanted, body in cases:
            peer.ask(HELLO, body, 1, status=wanted)
        peer.greet()
        peer.lives()


@check("7.1", "maximumFrameBytes of 4,096 and of 64 MiB are taken")
def frame_bytes(target):
    for size in (4096, MIB64):
        with target.connect(frame_bytes=size) as peer:
            peer.lives()


@check("7.1", "a wrong token is refused, or not asked for", slow=True)
def wrong_token(target):
    with target.connect(greet=False) as peer:
        answer = peer.ask(HELLO, hello(token=b"surely not the token of this server"), 1, status=(0, 601))
        need(answer.status == 601 or target.token is None or target.server, f"{answer}")


# Section 6 and 7


@check("6, 9", "the error vectors that a server must answer")
def error_vectors(target):
    done = 0
    for path, meaning in vectors(target, "error"):
        data, status = path.read_bytes(), meaning["status"]
        if meaning["reader"] != "server" or needs_streams(path.stem) and not target.streams:
            continue
        features = meaning.get("features", 0)
        if features & ~target.offered or path.stem == "hello_required_feature" and target.offered & LZ4_FEATURE:
            continue
        done += 1
        first = path.stem.startswith("hello_") or meaning["maximumLength"] == 4096
        try:
            with target.connect(greet=not first, optional=STREAMS | features | 1 << 60) as peer:
                about = struct.unpack_from("<H", data, 8)[0] if len(data) > 9 else 0
                if about in (CREDIT, CANCEL) and not meaning["closes"]:
                    fault_about_another(target, data, status)
                    continue
                peer.send(data)
                if status == 714:
                    # Seen by the reader, never sent. TLS has no half to end.
                    if not target.tls:
                        peer.socket.shutdown(socket.SHUT_WR)
                        peer.ends()
                elif meaning["closes"]:
                    peer.ends(status)
                else:
                    answer = peer.answer_of(about)
                    # Without a key, or to a server that takes no purchases, a body is not looked at (7.17, 7.27).
                    others = ((108, 1010) if about in (APPEND, ERASE)
                              else other_kind(target, about, data[32:]))
                    # A token without the scope admin, or erase, is told so first.
                    allowed = (602,) if about in (*ADMIN, ERASE) else ()
                    need(answer.status in (status, *others, *allowed),
                         f"{answer} instead of {name_of(status)}")
                    peer.greet() if first else peer.lives()
        except Fault as fault:
            raise Fault(f"vector {path.stem} ({data[:80].hex()}): {fault}") from None
    return f"{done} vectors"


def fault_about_another(target, data, status):
    """What cannot be read of a CREDIT or CANCEL fails the request that it is about (7.16)."""
    if not (target.described and target.customers):
        return
    with parked(target, request_id=7) as peer:
        peer.send(data)
        answer = peer.answer_of(SCAN, 7)
        need(answer.status == status, f"{answer} instead of {name_of(status)}")
        peer.lives()


@check("7", "the requests of the ok vectors are read")
def ok_vectors(target):
    done, readable = 0, {0, 109, 111, 119, 201, 202, 203, 503, 301}
    for path, meaning in vectors(target, "ok"):
        opcode = meaning["frame"]["opcode"]
        # What would end the server or change what it serves is not tried on one that may be in use.
        if meaning["reader"] != "server" or opcode in ("CREDIT", "CANCEL", "PUBLISH", "DRAIN") or (
                needs_streams(path.stem) and not target.streams) or (
                opcode in ("MODELS", "SHADOW") and meaning["frame"]["body"]["action"]):
            continue
        agreed = meaning.get("features", 0)
        if agreed & ~target.offered:
            continue
        done += 1
        first = opcode == "HELLO"
        if opcode in ("APPEND", "ERASE"):
            # Its lines would stay there, its customers be gone.
            done -= 1
            continue
        if first and target.token:
            continue
        # The frame's rule and columns may be of another snapshot, a token of another generation.
        allowed = readable | ({103} if meaning["frame"]["body"].get("resumeToken") else set()) | (
            {602} if opcode in (NAMES[number] for number in ADMIN) else set()) | (
            {204} if meaning["frame"]["meta"] else set())
        try:
            with target.connect(greet=not first, optional=STREAMS | agreed | 1 << 60) as peer:
                peer.send(path.read_bytes())
                answer = peer.receive()
                need(answer is not None and NAMES.get(answer.opcode) == opcode, f"{answer} to {opcode}")
                need(answer.status in allowed, f"{answer}: {answer.error['text']}" if answer.status else "")
        except Fault as fault:
            raise Fault(f"vector {path.stem}: {fault}") from None
    return f"{done} vectors"


def needs_streams(name):
    return name.startswith(("stream_", "scan", "audience", "count_", "credit", "cancel", "chunk_"))


def vectors(target, folder):
    files = sorted((target.vectors / folder).glob("*.json")) if target.vectors else []
    if not files:
        raise Skip("no vectors here: give --vectors DIR")
    return [(path.with_suffix(".bin"), json.loads(path.read_text("utf-8"))) for path in files]


@check("7", "reserved and unknown opcodes: unsupportedOperation with the opcode echoed")
def unknown_opcodes(target):
    with target.connect() as peer:
        for opcode in (*RESERVED, 0, 0x7FFF, 0x0999):
            need(peer.ask(opcode, b"whatever", 7, status=1001).opcode == opcode, "the opcode is not echoed")
        peer.lives()


@check("7", "bodies cut at every byte are refused, and the connection goes on")
def cut_bodies(target):
    with target.connect(optional=STREAMS) as peer:
        bodies = [(PING, ping()), (LOOKUP, lookup([1, 2], [16, 19, 22])), (LOOKUP, lookup(["ab", "c"])),
                  (TOP_PRODUCTS, top(5)), (TOP_CUSTOMERS, top("product")), (SIMILAR, similar(5, 1)),
                  (SEGMENTS, segments("value")), (SEGMENT_PROFILES, segments("value")),
                  (OFFER_PRODUCTS, offer_products("c", categories=["a", "bc"], bought=["p"])),
                  (OFFER_CUSTOMERS, offer_customers("p"))]
        if target.streams:
            bodies += [(COUNT, count_rule("all")), (AUDIENCE, stream("all", [16, 19])), (SCAN, stream(columns=[16]))]
        for opcode, body in bodies:
            for size in range(len(body)):
                status = peer.ask(opcode, body[:size], 7, status=None).status
                need(status in (101, 115, *other_kind(target, opcode, body)),
                     f"{NAMES[opcode]} cut to {size} of {len(body)} bytes: {name_of(status)}")
            peer.ask(opcode, body + b"\0", 7, status=(102, *other_kind(target, opcode, body)))
        peer.lives()


def other_kind(target, opcode, body):
    """WIRE.md does not say whether ids of the other kind are read before they are refused (7.5)."""
    kind = target.described["customerKind"] if target.described else 0
    return (111,) if opcode == LOOKUP and body[:1] != bytes([kind]) and len(body) > 8 else ()


@check("7.2", "PING echoes its token and tells the generation")
def pings(target):
    with target.connect() as peer:
        for token in (0, 1, (1 << 64) - 1):
            answer = peer.ask(PING, ping(token), 7)
            need(answer.body["token"] == token, f"token {answer.body['token']} instead of {token}")
            need(answer.body["generation"] >= peer.server["generation"], "an older generation than HELLO's")


@check("7.4", "DESCRIBE: facts, columns, and zeros without the feature affinityFacts")
def describe(target):
    facts = target.facts()
    with target.connect(optional=0) as peer:
        plain = peer.ask(DESCRIBE, b"", 7).body
        need(plain["variant"] == 0, "affinityFacts without the feature")
        for key in ("customers", "products", "customerKind", "productKind", "columns"):
            need(plain[key] == facts[key] or plain["stamp"] != facts["stamp"], f"{key} differs between two answers")
        need(plain["columns"], "no columns")
    known = {1: "repeat_purchase_count", 2: "age_at_last_purchase_days", 3: "observed_age_days",
             4: "days_since_last_purchase", 5: "mean_order_value", 6: "revenue", 7: "margin",
             16: "probability_alive", 17: "expected_purchases", 18: "expected_order_value", 19: "lifetime_value",
             20: "churn_probability", 21: "simple_lifetime_value", 22: "value_tier",
             23: "lifetime_churn_probability", 28: "promotion_lift"}
    for number, column in facts["columns"].items():
        need(number >= 64 or number in known, f"column {number} is reserved (8.4)")
        if number in known:
            need(column["name"] == known[number], f"column {number} is called {column['name']} (8.4)")
    return f"{facts['customers']} customers, {len(facts['columns'])} columns"


@check("7.5", "LOOKUP: rows in the order of the ids, columns in the order asked, unknown ids as rows")
def lookups(target):
    customer, facts, unknown = target.a_customer(), target.facts(), target.unknown("customer")
    names = list(facts["columns"])
    with target.connect() as peer:
        one = peer.ask(LOOKUP, lookup([customer]), 7).table
        need(list(one.columns) == [0xF001, *names], "the columns are not DESCRIBE's with rowStatus before them")
        need(all(one.types[n] == facts["columns"][n]["type"] for n in names), "a type is not DESCRIBE's")
        need(one.rows == 1, f"{one.rows} rows for one id")
        ids = [customer, unknown, customer] + target.customers[1:40]
        many = peer.ask(LOOKUP, lookup(ids), 7).table
        need(many.rows == len(ids), f"{many.rows} rows for {len(ids)} ids")
        for number in many.columns:
            values = many.columns[number]
            need(values[0] == values[2] == one.columns[number][0], f"column {number:#x} differs between rows of one id")
            need(number == 0xF001 or values[1] is None, f"a value in column {number:#x} of an unknown id")
        need(many.columns[0xF001][1] == 1, "rowStatus of an unknown id is not 1")
        chosen = names[::-1][:7]
        table = peer.ask(LOOKUP, lookup([customer], chosen), 7).table
        need(list(table.columns) == [0xF001, *chosen], "columns are not in the order asked")
        need(all(table.columns[n] == one.columns[n] for n in chosen), "a chosen column has other values")
        peer.ask(LOOKUP, lookup([customer], [chosen[0], chosen[0]]), 7, status=110)


@check("7.5", "LOOKUP: unknown columns are refused, or left out when asked so")
def lookup_columns(target):
    customer, known = target.a_customer(), next(iter(target.facts()["columns"]))
    with target.connect() as peer:
        for missing in (0, 63, 0xEFFF, 0xFFFF):
            peer.ask(LOOKUP, lookup([customer], [known, missing]), 7, status=109)
            table = peer.ask(LOOKUP, lookup([customer], [missing, known], options=1), 7).table
            need(list(table.columns) == [0xF001, known], "more or less than the known column")
        table = peer.ask(LOOKUP, lookup([customer], [0xEFFF], options=1), 7).table
        need(list(table.columns) == [0xF001], "a column that nobody has")


@check("7.5", "LOOKUP: ids of the other kind are refused")
def lookup_kind(target):
    kind = target.facts()["customerKind"]
    with target.connect() as peer:
        peer.ask(LOOKUP, lookup(["a"] if kind == 1 else [1]), 7, status=111)
        peer.lives()


@check("7.5", "LOOKUP: whether the answer fits is told by the numbers of ids and columns alone")
def lookup_too_large(target):
    customer, unknown = target.a_customer(), target.unknown("customer")
    with target.connect(frame_bytes=4096) as peer:
        for count in (500, 20, 2):
            statuses = {peer.ask(LOOKUP, lookup([one] * count, kind=kind_of(customer)), 7, status=(0, 116)).status
                        for one in (customer, unknown)}
            need(len(statuses) == 1, f"{count} known and {count} unknown ids: {statuses}")
            need(count < 500 or statuses == {116}, f"{count} ids and all columns in 4,096 bytes: {statuses}")
        peer.ask(LOOKUP, lookup([customer], [next(iter(target.facts()["columns"]))]), 7)


@check("7.5, 9", "LOOKUP: limits of ids, columns and the size of an id")
def lookup_limits(target):
    target.facts()
    with target.connect() as peer:
        limit = peer.server["maximumLookupIDs"]
        need(limit <= 65536, f"maximumLookupIDs {limit}")
        peer.ask(LOOKUP, struct.pack("<BBHI", 1, 0, 0, limit + 1), 7, status=104)
        peer.ask(LOOKUP, struct.pack("<BBHI", 1, 0, 1025, 1), 7, status=104)
        too_long = lookup(["i" * 1025])
        peer.ask(LOOKUP, too_long, 7, status=(104, *other_kind(target, LOOKUP, too_long)))
        peer.ask(LOOKUP, lookup(["i" * 1024]), 7, status=(0, 111))
        columns = list(range(1, 1025))
        ids = lookup([target.unknown("customer")], columns, options=1)
        peer.ask(LOOKUP, ids, 7)
        if 28 + 8 + 8 * limit <= peer.server["maximumFrameBytes"] and target.described["customerKind"] == 1:
            answer = peer.ask(LOOKUP, lookup(list(range(-limit, 0)), [next(iter(target.described["columns"]))]), 7)
            need(answer.table.rows == limit, f"{answer.table.rows} rows for {limit} ids")


HISTORY = ((1, 1, [0, 2, 30]), (2, 1, [0, 200, 390]), (3, 1, [100, 300, 400]), (5, 4, [None, 25.5, 80.0]),
           (6, 4, [20.0, 71.0, 2500.0]))


def may_score(target, peer):
    target.facts()
    answer = peer.ask(SCORE, score(HISTORY, 3), 7, status=(0, NOT_IN_SNAPSHOT, 1001, 602))
    if answer.status:
        raise Skip(f"the server does not score: {name_of(answer.status)}")
    return answer.table


@check("7.18", "SCORE: a row a history, in the columns asked for")
def scores(target):
    with target.connect() as peer:
        table = may_score(target, peer)
        names = list(table.columns)
        need(names[0] == 0xF001 and table.rows == 3, "not rowStatus and three rows")
        need(set(names[1:]) <= {16, 17, 18, 19, 20, 21, 22, 23} and {16, 17} <= set(names), f"columns {names}")
        need(table.columns[0xF001] == [0, 0, 0], f"statuses {table.columns[0xF001]}")
        need(all(0 <= value <= 1 for value in table.columns[16]), f"probabilities {table.columns[16]}")
        wanted = [17, 16]
        again = peer.ask(SCORE, score(HISTORY, 3, wanted), 7).table
        need(list(again.columns) == [0xF001, *wanted], "not the columns asked for")
        need(again.columns[16] == table.columns[16], "another number for the same history")
        # Each by itself, in any company.
        for row in range(3):
            alone = peer.ask(SCORE, score([(n, k, [v[row]]) for n, k, v in HISTORY], 1), 7).table
            need(all(alone.columns[n] == [table.columns[n][row]] for n in names), "a row depends on others")
        many = peer.ask(SCORE, score([(n, k, v * 700) for n, k, v in HISTORY], 2100), 7).table
        need(all(many.columns[n] == table.columns[n] * 700 for n in names), "many rows say something else")
        poor = [column for column in HISTORY if column[0] != 6]
        without = peer.ask(SCORE, score(poor, 3), 7).table
        need(21 not in names or without.columns[21] == [None] * 3, "simpleLifetimeValue without revenue")
        named = peer.ask(SCORE, score([*HISTORY, (64, 5, ["a", None, "b"]), (65, 1, [1, 2, 3])], 3,
                                      attributes=["no such attribute, surely", "nor this"]), 7).table
        need(named.columns == table.columns, "attributes that nobody reads change something")


@check("7.18", "SCORE: histories that contradict themselves have a status, not the request")
def bad_histories(target):
    with target.connect() as peer:
        may_score(target, peer)
        rows = [(-1, 0, 9), (0, -1, 9), (0, 0, -1), (1, 10, 9), (0, 3, 9), (2, 5, 73_051), (1_000_001, 5, 9),
                (None, 0, 9), (0, None, 9), (0, 0, None), (0, 0, 2**31 - 1), (2**31 - 1, 3, 9), (0, 0, 9)]
        columns = [(n + 1, 1, [row[n] for row in rows]) for n in range(3)]
        table = peer.ask(SCORE, score(columns, len(rows)), 7).table
        statuses = table.columns[0xF001]
        need(statuses[-1] == 0 and all(status == 5 for status in statuses[:-1]), f"statuses {statuses}")
        need(all(v is None for n, values in table.columns.items() if n != 0xF001 for v in values[:-1]),
             "a value of a row that is not eligible")
        peer.lives()


@check("7.18", "SCORE: requests that are wrong")
def score_faults(target):
    with target.connect() as peer:
        may_score(target, peer)
        good = score(HISTORY, 3)
        cases = [(109, score(HISTORY[1:], 3)), (109, score([(1, 4, [0.0, 1.0, 2.0]), *HISTORY[1:]], 3)),
                 (109, score([*HISTORY[:4], (6, 1, [1, 2, 3])], 3)), (109, score(HISTORY, 3, [6])),
                 (109, score(HISTORY, 3, [64])), (109, score(HISTORY, 3, attributes=["a"])),
                 (110, score(HISTORY, 3, [16, 16])), (103, score(HISTORY, 3, attributes=["a", "a"])),
                 (103, score(HISTORY, 3, attributes=[""])), (105, good[:63] + b"\1" + good[64:]),
                 (105, good[:4] + b"\1" + good[5:]), (102, good + b"\0"), ((101, 114), good[:-1]), (101, good[:70]),
                 (101, b""), (104, good[:64] + struct.pack("<I", 65537) + good[68:]),
                 (103, score([(n, k, []) for n, k, _ in HISTORY[:3]], 0))]
        for status, body in cases:
            peer.ask(SCORE, body, 7, status=status)
        peer.lives()


@check("7.19", "EXPLAIN: why a customer is in a segment")
def explains(target):
    customer = target.a_customer()
    with target.connect() as peer:
        names = sorted(set(peer.ask(SEGMENTS, segments(), 7).table.columns[0xF010]) - {"tier"})
        found = 0
        for name in names:
            column = next((n for n, c in target.facts()["columns"].items()
                           if c["unit"] == "segment" and c["name"] in (name, f"{name}_segment")), None)
            for one in target.customers[:3] or [customer]:
                answer = peer.ask(EXPLAIN, explain(one, name), 7, status=(0, NOT_IN_SNAPSHOT, 1001, UNKNOWN_CUSTOMER))
                if answer.status == 1001:
                    raise Skip("the server does not explain")
                if answer.status:
                    continue
                found += 1
                table = answer.table
                need({0xF030, 0xF050, 0xF051, 0xF055, 0xF056} <= set(table.columns) and table.rows, "columns of EXPLAIN")
                if column is not None:
                    own = peer.ask(LOOKUP, lookup([one], [column]), 7).table.columns[column]
                    need(own == [answer.body["segment"]], f"segment {answer.body['segment']}, LOOKUP says {own}")
                if answer.body["distance"] is not None and answer.body["nextDistance"] is not None:
                    a, b = answer.body["distance"], answer.body["nextDistance"]
                    total = sum(value or 0 for value in table.columns[0xF055])
                    need(abs(total - (b * b - a * a)) <= 1e-6 * max(1, b * b), "the differences do not sum up")
        peer.ask(EXPLAIN, explain(target.unknown("customer"), names[0] if names else "a"), 7, status=(201, 203, 503))
        peer.ask(EXPLAIN, explain(customer, "no such segmentation, surely"), 7, status=(203, 503))
        peer.ask(EXPLAIN, explain("x" if kind_of(customer) == 1 else 1, "a"), 7, status=111)
        peer.lives()
    if not found:
        raise Skip("nothing could be explained")
    return f"{found} explanations"


def ranked(table, count, kind, what):
    need(list(table.columns)[:2] == [0xF002, 0xF003], f"{what}: columns {[hex(c) for c in table.columns]}")
    need(table.types[0xF002] == (2 if kind == 1 else 5), f"{what}: ids of another kind")
    need(table.types[0xF003] == 3, f"{what}: score is not float32")
    scores, ids = table.columns[0xF003], table.columns[0xF002]
    need(table.rows <= count and (table.rows or table.subject_status), f"{what}: {table.rows} rows, no subjectStatus")
    need(not table.rows or not table.subject_status, f"{what}: rows and a subjectStatus")
    need(None not in ids and len(set(ids)) == len(ids), f"{what}: an id twice or missing")
    need(None not in scores, f"{what}: a row without a score")
    return scores


@check("7.6, 7.7, 7.13", "TOP_PRODUCTS, TOP_CUSTOMERS, SIMILAR: best first, as many as asked")
def tops(target):
    facts, customer, product = target.facts(), target.a_customer(), target.a_product()
    kinds = {"customer": facts["customerKind"], "product": facts["productKind"]}
    with target.connect() as peer:
        for opcode, body, kind in (
            (TOP_PRODUCTS, lambda n, o=0: top(customer, n, o), "product"),
            (TOP_CUSTOMERS, lambda n, o=0: top(product, n, o), "customer"),
            (SIMILAR, lambda n, o=None: similar(customer, 1, n), "customer"),
            (SIMILAR, lambda n, o=None: similar(product, 2, n), "product"),
        ):
            best = []
            for count in (1, 10, 10_000):
                answer = peer.ask(opcode, body(count), 7, status=(0, NOT_IN_SNAPSHOT))
                if answer.status:
                    break
                scores = ranked(answer.table, count, kinds[kind], NAMES[opcode])
                need(scores == sorted(scores, reverse=True), f"{NAMES[opcode]}: not best first")
                ids = answer.table.columns[0xF002]
                need(ids[:len(best)] == best, f"{NAMES[opcode]}: {count} begin otherwise than fewer do")
                best = ids
                need(opcode != SIMILAR or all(-1.0001 <= score <= 1.0001 for score in scores),
                     "a cosine outside -1 … 1")
            if opcode != SIMILAR and best:
                fewer = peer.ask(opcode, body(10_000, 1), 7).table
                need(set(fewer.columns[0xF002]) <= set(best), "leaving out what was bought brought others")


@check("7.6, 7.7, 7.13", "ids that the snapshot does not have: unknownCustomer, unknownProduct")
def unknown_ids(target):
    target.a_product()
    customer, product = target.unknown("customer"), target.unknown("product")
    with target.connect() as peer:
        for opcode, body, status in (
            (TOP_PRODUCTS, top(customer), UNKNOWN_CUSTOMER), (TOP_CUSTOMERS, top(product), UNKNOWN_PRODUCT),
            (SIMILAR, similar(customer, 1), UNKNOWN_CUSTOMER), (SIMILAR, similar(product, 2), UNKNOWN_PRODUCT),
            (OFFER_PRODUCTS, offer_products(customer), UNKNOWN_CUSTOMER),
            (OFFER_CUSTOMERS, offer_customers(product), UNKNOWN_PRODUCT),
        ):
            answer = peer.ask(opcode, body, 7, status=(status, NOT_IN_SNAPSHOT))
            need(answer.error["text"], "an error without a word")
        other = "a" if target.facts()["customerKind"] == 1 else 1
        peer.ask(TOP_PRODUCTS, top(other), 7, status=(111, 201, 503))
        peer.lives()


@check("7.8", "SEGMENTS: all, one by name, an unknown one")
def segmentations(target):
    target.facts()
    with target.connect() as peer:
        table = peer.ask(SEGMENTS, segments(), 7).table
        need({0xF010, 0xF011, 0xF013} <= set(table.columns),
             "segmentation, segmentID or segmentCustomerCount is not there")
        rows = list(zip(table.columns[0xF010], table.columns[0xF011], table.columns[0xF013]))
        for name in sorted({row[0] for row in rows}):
            mine = [row for row in rows if row[0] == name]
            need(mine == sorted(mine, key=lambda row: row[1]), f"the segments of {name} are not in order")
            one = peer.ask(SEGMENTS, segments(name), 7).table
            need(list(zip(*(one.columns[n] for n in (0xF010, 0xF011, 0xF013)))) == mine, f"{name} alone is otherwise")
            peer.ask(SEGMENT_PROFILES, segments(name), 7)
        names = [row[0] for row in rows]
        need([n for i, n in enumerate(names) if i == 0 or names[i - 1] != n] == list(dict.fromkeys(names)),
             "the segmentations are mixed")
        for column, wanted in ((0xF014, 1), (0xF016, 1)):
            for name in dict.fromkeys(names) if column in table.columns else ():
                shares = [s for s, n in zip(table.columns[column], names) if n == name]
                need(None in shares or abs(sum(shares) - wanted) < 1e-6 or sum(shares) < wanted,
                     f"shares {column:#x} of {name} sum to {sum(s for s in shares if s)}")
        for opcode in (SEGMENTS, SEGMENT_PROFILES):
            peer.ask(opcode, segments("no such segmentation"), 7, status=203)
            peer.ask(opcode, segments("x" * 4096), 7, status=203)
            peer.ask(opcode, struct.pack("<HH", 4097, 0), 7, status=104)
        return f"{len(rows)} segments"


@check("7.10", "SEGMENT_PROFILES: columns and their sums")
def profiles(target):
    target.facts()
    with target.connect() as peer:
        table = peer.ask(SEGMENT_PROFILES, segments(), 7).table
        wanted = {0xF010: 5, 0xF011: 1, 0xF030: 5, 0xF032: 4, 0xF036: 4}
        need(not table.rows or all(table.types.get(n) == t for n, t in wanted.items()),
             f"columns {[hex(n) for n in table.columns]}")
        return f"{table.rows} rows"


@check("7.11", "OFFER_PRODUCTS: rankings, kinds, prices, categories, products bought since")
def offers_of_products(target):
    facts, customer, product = target.facts(), target.a_customer(), target.a_product()
    with target.connect() as peer:
        answered = 0
        for options in (dict(), dict(rank=1), dict(offer=1), dict(offer=2), dict(offer=2, ratio=101),
                        dict(options=1), dict(options=2), dict(options=4), dict(lowest=10_000, highest=500_000),
                        dict(categories=["no such category"]), dict(bought=[str(product)] * 2), dict(count=10_000)):
            answer = peer.ask(OFFER_PRODUCTS, offer_products(customer, **options), 7, status=(0, NOT_IN_SNAPSHOT))
            if answer.status:
                continue
            answered += 1
            table = answer.table
            if "categories" in options:
                need(table.rows == 0, "a category that no product has finds something")
                continue
            if not table.rows:
                continue
            scores = ranked(table, options.get("count", 10), facts["productKind"], "OFFER_PRODUCTS")
            best = scores if not options.get("rank") else table.columns[0xF005]
            need(None not in best and best == sorted(best, reverse=True), f"{options}: not best first")
            need(0xF004 not in table.columns or all(v is None or 0 <= v <= 1 for v in table.columns[0xF004]),
                 "a probability outside 0 … 1")
            bases = table.columns.get(0xF006, ())
            need(all(v is not None and 0 <= v <= 3 for v in bases), "affinityBasis outside 0 … 3")
        bought = peer.ask(OFFER_PRODUCTS, offer_products(customer, bought=[str(target.unknown("product"))]), 7,
                          status=(UNKNOWN_PRODUCT, NOT_IN_SNAPSHOT))
        need(bought.status, "")
        return f"{answered} of 12 answered"


@check("7.12", "OFFER_CUSTOMERS: rankings and promotion")
def offers_of_customers(target):
    facts, product = target.facts(), target.a_product()
    with target.connect() as peer:
        for options in (dict(), dict(rank=1), dict(options=1), dict(options=2), dict(options=3, rank=1)):
            answer = peer.ask(OFFER_CUSTOMERS, offer_customers(product, **options), 7, status=(0, NOT_IN_SNAPSHOT))
            if answer.status or not answer.table.rows:
                continue
            table = answer.table
            scores = ranked(table, 10, facts["customerKind"], "OFFER_CUSTOMERS")
            by_probability = options.get("rank") or options.get("options", 0) & 2
            best = table.columns[0xF004] if by_probability else scores
            need(None not in best and best == sorted(best, reverse=True), f"{options}: not best first")
            need(not options.get("options", 0) & 2 or 0xF007 in table.columns, "promotionLift is not there")


@check("6, 7.9", "error bodies say what, and name the generation")
def error_bodies(target):
    target.facts()
    with target.connect() as peer:
        for opcode, body, status in ((TOP_PRODUCTS, struct.pack("<BBHIq", 1, 0, 0, 0, 1), 103),
                                     (LOOKUP, struct.pack("<BBHIq", 9, 0, 0, 1, 1), 103),
                                     (SEGMENTS, segments("no such one"), 203)):
            error = peer.ask(opcode, body, 7, status=status).error
            need(error["text"], f"status {status} without a text")
            need(error["generation"] >= peer.server["generation"], "generation 0 or an older one")
            need(error["byteOffset"] == 0xFFFFFFFF or error["byteOffset"] <= len(body), "byteOffset past the body")


@check("2, 6", "a deadline is met, or answered with deadlinePassed")
def deadlines(target):
    product = target.a_product()
    with target.connect() as peer:
        peer.ask(PING, ping(), 7, aux=0xFFFFFFFF)
        peer.ask(TOP_CUSTOMERS, top(product), 7, aux=60_000)
        peer.send(b"".join(frame(TOP_CUSTOMERS, top(product, 10_000), i, aux=1) for i in range(1, 101)))
        statuses = [peer.receive() for _ in range(100)]
        need(all(a is not None and a.status in (0, 801) for a in statuses), "another status than 0 and 801")
        need(sorted(a.request_id for a in statuses) == list(range(1, 101)), "an id was answered twice")
        return f"{sum(a.status == 801 for a in statuses)} of 100 late"


@check("9", "more requests than maximumInFlight: each is answered, with tooManyInFlight at the worst")
def in_flight(target):
    product = target.a_product()
    with target.connect() as peer:
        count = peer.server["maximumInFlight"] + 100
        if count > 20_000:
            raise Skip(f"maximumInFlight is {count - 100}")
        one = top(product, 1)
        peer.send(b"".join(frame(TOP_CUSTOMERS, one, i) for i in range(1, count + 1)))
        seen = {}
        for _ in range(count):
            answer = peer.receive()
            need(answer is not None and answer.request_id not in seen, f"{answer}: ended, or answered twice")
            need(answer.status in (0, 401), f"{answer}")
            seen[answer.request_id] = answer.status
        peer.lives()
        return f"{sum(s == 401 for s in seen.values())} of {count} refused"


# Sections 7.14 to 7.16 and 8.5: rules and streams


QUIET_SECONDS = 0.25


def chunks_until_quiet(peer, opcode, request_id):
    """The chunks that come without more credit: answers, and whether the last was the last."""
    answers = []
    while True:
        answer = peer.receive(QUIET_SECONDS, missing_is_fault=False)
        if answer is None:
            need(not peer.ended, "the connection ended in a stream")
            return answers, False
        need((answer.opcode, answer.request_id) == (opcode, request_id), f"{answer} in a stream")
        if answer.status:
            raise Fault(f"a stream ended with {answer}: {answer.error['text']}")
        answers.append(answer)
        if not answer.more:
            return answers, True


def parked(target, request_id=3, columns=(), aux=0):
    """A connection with a SCAN that has spent its credit and waits."""
    target.need_streams()
    size = getattr(target, "parking_frame", 4096)
    while size < 1 << 18:
        peer = target.connect(frame_bytes=size, optional=STREAMS | 1 << 60)
        peer.send(frame(SCAN, stream(columns=columns, credit=KIB256), request_id, aux=aux))
        answer = peer.answer_of(SCAN, request_id)
        if answer.status == 116:
            peer.close()
            size = size * 9 // 8
            continue
        need(answer.status == 0, f"SCAN: {answer}")
        target.parking_frame = size
        rest, ended = ([], True) if not answer.more else chunks_until_quiet(peer, SCAN, request_id)
        if ended:
            peer.close()
            raise Skip("too few customers to spend a credit of 256 KiB")
        peer.stream_id, peer.frame_bytes, peer.chunks = request_id, size, [answer, *rest]
        peer.left = KIB256 - sum(len(chunk.data) for chunk in peer.chunks)
        return peer
    raise Skip("no row fits into 256 KiB")


def whole_stream(peer, opcode, body, request_id=3):
    peer.send(frame(opcode, body, request_id))
    answers = []
    while not answers or answers[-1].more:
        answer = peer.answer_of(opcode, request_id)
        need(answer.status == 0, f"{answer}: {answer.error['text']}" if answer.status else "")
        answers.append(answer)
        if answer.more:
            peer.send(frame(CREDIT, credit(len(answer.data)), request_id))
    return answers


def ids_of(answers):
    return [identifier for answer in answers for identifier in answer.table.columns[0xF002]]


def streaming(target, **options):
    target.need_streams()
    target.facts()
    return target.connect(optional=STREAMS | 1 << 60, **options)


@check("5, 7.15", "streams without the feature: unsupportedFeature; COUNT needs none")
def streams_inactive(target):
    target.need_streams()
    target.facts()
    with target.connect(optional=0) as peer:
        peer.ask(SCAN, stream(), 7, status=1007)
        peer.ask(AUDIENCE, stream("all"), 7, status=1007)
        peer.ask(COUNT, count_rule("all"), 7)
        peer.lives()


@check("7.15", "SCAN: every customer once, as LOOKUP gives them")
def scans(target):
    facts = target.facts()
    with streaming(target) as peer:
        chosen = list(facts["columns"])[::-1][:5]
        answers = whole_stream(peer, SCAN, stream(columns=chosen))
        ids, scanned = ids_of(answers), 0
        for answer in answers:
            table = answer.table
            need(list(table.columns) == [0xF002, 0xF001, *chosen] or set(table.columns) == {0xF002, 0xF001, *chosen},
                 f"columns {[hex(n) for n in table.columns]}")
            need([n for n in table.columns if n < 0xF000] == chosen, "columns are not in the order asked")
            scanned += table.rows
            need(answer.body["scanned"] == scanned, f"scannedCustomers {answer.body['scanned']} after {scanned}")
            need(len(answer.data) <= KIB256, f"a chunk of {len(answer.data)} bytes")
            need(table.rows or not answer.more, "a chunk without rows that is not the last")
            need(answer.body["stamp"] == answers[0].body["stamp"], "chunks of two snapshots")
        need(len(ids) == len(set(ids)) == facts["customers"],
             f"{len(ids)} customers, DESCRIBE says {facts['customers']}")
        kind = 2 if facts["customerKind"] == 1 else 5
        need(all(answer.table.types[0xF002] == kind for answer in answers), "ids of another kind")
        some = ids[:300]
        table = peer.ask(LOOKUP, lookup(some, chosen), 7).table if some else None
        for number in (0xF001, *chosen) if some else ():
            scanned_values = [v for answer in answers for v in answer.table.columns[number]][:300]
            need(scanned_values == table.columns[number], f"column {number:#x} is not LOOKUP's")
        return f"{len(ids)} customers in {len(answers)} chunks"


@check("7.15", "chunks keep to a small client's frame limit; too small a limit is answerTooLarge")
def small_chunks(target):
    with streaming(target, frame_bytes=4096) as peer:
        column = next(iter(target.facts()["columns"]))
        answers = whole_stream(peer, SCAN, stream(columns=[column]))
        need(len(ids_of(answers)) == target.facts()["customers"], "customers are missing")
        need(all(answer.table.rows or not answer.more for answer in answers), "a chunk without rows")
        peer.send(frame(SCAN, stream(), 4))
        answer = peer.answer_of(SCAN, 4)
        need(answer.status in (0, 116), f"{answer}")
        while answer.more:
            answer = peer.answer_of(SCAN, 4)
            need(answer.status == 0, f"{answer}")
        return f"{len(answers)} chunks"


@check("7.15", "AUDIENCE: the customers of a rule, those of COUNT; none at all is one empty chunk")
def audiences(target):
    facts = target.facts()
    with streaming(target) as peer:
        everybody = ids_of(whole_stream(peer, SCAN, stream(columns=[next(iter(facts["columns"]))])))
        column = some_numbers(target)
        for rule in ("all", f"{column[1]} >= {column[2]!r}", f"not {column[1]} >= {column[2]!r}"):
            answers = whole_stream(peer, AUDIENCE, stream(rule, [column[0]]))
            ids = ids_of(answers)
            count = peer.ask(COUNT, count_rule(rule), 7).body
            need(len(ids) == count["matching"], f"{rule}: {len(ids)} customers, COUNT says {count['matching']}")
            need(count["customers"] == facts["customers"], f"COUNT says {count['customers']} customers")
            chosen = set(ids)
            need([i for i in everybody if i in chosen] == ids, f"{rule}: not in the order of SCAN, or others")
            need(answers[-1].body["scanned"] == facts["customers"], "the last chunk has not gone past all")
            for answer in answers:
                for value in answer.table.columns[column[0]]:
                    need(rule == "all" or value is not None and (value >= column[2]) == (rule[:3] != "not"),
                         f"{rule}: a customer with {value}")
        empty = whole_stream(peer, AUDIENCE, stream("not all"))
        need(len(empty) == 1 and empty[0].table.rows == 0, f"{len(empty)} chunks of an empty audience")


def some_numbers(target):
    """A column of numbers without a unit of names, with a value in the middle of it."""
    facts, customers = target.facts(), target.customers
    target.a_customer()
    with target.connect() as peer:
        for number, column in facts["columns"].items():
            if column["type"] not in (2, 4) or " " in column["name"]:
                continue
            values = peer.ask(LOOKUP, lookup(customers[:500], [number]), 7).table.columns[number]
            values = sorted(value for value in values if value is not None)
            if values and values[0] < values[-1]:
                return number, column["name"], values[len(values) // 2]
    raise Skip("no column with different numbers")


@check("8.5", "rules: words, operators, lists, missing values, brackets")
def rules(target):
    number, name, middle = some_numbers(target)
    with streaming(target) as peer:
        def count(rule, status=0):
            answer = peer.ask(COUNT, count_rule(rule), 7, status=status)
            return answer.body["matching"] if answer.status == 0 else answer.error
        everybody = count("all")
        missing = count(f"{name} is missing")
        have = everybody - missing
        value = repr(middle)
        need(count(f"{name} is not missing") == have == count(f"not {name} is missing"), "is not missing")
        less, equal, more = (count(f"{name} {sign} {value}") for sign in ("<", "=", ">"))
        need(less + equal + more == have, f"<, = and > of {name}: {less}, {equal}, {more} of {have}")
        for rule, wanted in (
            (f"{name} <= {value}", less + equal), (f"{name} >= {value}", equal + more),
            (f"{name} != {value}", less + more),
            (f"not {name} < {value}", equal + more), (f"NOT({name}<{value})", equal + more),
            (f"{name} < {value} or {name} > {value}", less + more), (f"{name}\t<\n{value} OR {name} >= {value}", have),
            (f"{name} < {value} and {name} > {value}", 0), (f"all and {name} = {value}", equal),
            (f"{name} between {value} and 1e300", equal + more), (f"{name} Not Between {value} And 1e300", less),
            (f"{name} in ({value})", equal), (f"{name} not in ({value}, 1e300)", less + more),
            (f"({name} is missing or {name} = {value})", missing + equal), ("not all", 0), ("All", everybody),
            (f"{name} < {value} or {name} > {value} and not all", less),
            (f"{name} is missing and {name} = {value}", 0),
        ):
            found = count(rule)
            need(found == wanted, f"{rule[:80]!r}: {found} customers instead of {wanted}")
        for rule in ("", " ", "nobody", "all all", f"{name} =", f"{name} ~ 1", f"= 1", f"{name} = 'no such name'",
                     f"{name} between 2 and", f"{name} between 2 and 1", f"{name} in ()", f"{name.upper()} = 1",
                     "(all", "all)", f"{name} is", f"{name} = \"open", "all\0", "all or"):
            error = count(rule, (103,) if rule == "" else (119,))
            place = error["byteOffset"]
            need(rule == "" or place == 0xFFFFFFFF or place <= len(rule.encode()),
                 f"{rule[:40]!r}: byteOffset {place}")
            need(error["text"], f"{rule[:40]!r}: no words")
        return f"{name}: {less} below, {equal} at, {more} above {value}, {missing} without"


@check("8.5", "rules: 64 levels of parentheses and not, 4,096 comparisons and values, and no more")
def rule_limits(target):
    # A list is a comparison and its values. The shortest name, for all to fit into a rule.
    columns = target.facts()["columns"].values()
    name = min((c["name"] for c in columns if c["type"] != 5), key=len)
    with streaming(target) as peer:
        for count, wanted in ((4096, 0), (4097, 119)):
            peer.ask(COUNT, count_rule(f"{name} in (" + ",".join(["1"] * (count - 1)) + ")"), 7, status=wanted)
            many = " or ".join([f"{name}=1"] * count)
            if len(many) <= 65536:
                peer.ask(COUNT, count_rule(many), 7, status=wanted)
        for levels, wanted in ((63, 0), (65, 119), (64, 0)):
            for rule in ("(" * levels + "all" + ")" * levels, "not " * levels + "all",
                         "(not " * (levels // 2) + "(" * (levels % 2) + "all" + ")" * (levels // 2 + levels % 2)):
                answer = peer.ask(COUNT, count_rule(rule), 7, status=None)
                need(answer.status == wanted, f"{levels} levels of {rule[:5]!r}…: {answer} instead of {name_of(wanted)}"
                     + f" ({answer.error['text']})")


@check("8.5", "rules: names of segments and tiers in quotes stand for their numbers")
def rule_names(target):
    named = [(c["name"], c["valueNames"]) for c in target.facts()["columns"].values() if c.get("valueNames")]
    if not named:
        raise Skip("no column has names for its numbers")
    with streaming(target) as peer:
        def count(rule):
            return peer.ask(COUNT, count_rule(rule), 7).body["matching"]
        for column, names in named:
            for label in set(names.values()):
                numbers = [number for number, name in names.items() if name == label]
                one = ", ".join(map(str, numbers))
                for quote in "\"'":
                    quoted = quote + label.replace(quote, quote * 2) + quote
                    found = {count(f"{column} {rest}") for rest in (f"= {quoted}", f"in ({one})", f"in ({quoted})")}
                    need(len(found) == 1, f"{column} = {quoted}: another count than of {one}")
    return f"{len(named)} columns"


@check("7.15, 7.16", "credit: no byte more than given, none withheld, CREDIT goes on")
def credits(target):
    with parked(target) as peer:
        floor = min(KIB256, peer.frame_bytes)
        for step, amount in enumerate((0, 1, floor - 1, floor, 2 * floor + 1)):
            if amount:
                peer.send(frame(CREDIT, credit(amount), peer.stream_id))
                peer.left += amount
                answers, ended = chunks_until_quiet(peer, SCAN, peer.stream_id)
                peer.left -= sum(len(answer.data) for answer in answers)
                need(ended or amount < floor or answers, f"{amount} bytes of credit bring no chunk of {floor}")
                if ended:
                    return f"the stream ended after {step} CREDIT"
            need(peer.left >= 0, f"{-peer.left} bytes more than the credit")
            need(peer.left < floor, f"a stream with {peer.left} bytes of credit waits, a chunk takes {floor}")
        peer.lives()
        answer = peer.ask(DESCRIBE, b"", 99, status=(0, 116))
        return f"{len(peer.chunks)} chunks before it waited; then {answer}"


@check("7.15", "the credit of a connection: 16 MiB and no more")
def credit_of_connection(target):
    with parked(target) as peer:
        if peer.left == 0:
            raise Skip("the stream has spent its credit to the byte")
        peer.send(frame(CREDIT, credit(MIB16), peer.stream_id))
        answer = peer.answer_of(SCAN, peer.stream_id)
        need(answer.status == 104 and not answer.more, f"{answer} instead of 104 tooManyItems")
        peer.lives()
    with parked(target) as peer:
        peer.ask(SCAN, stream(credit=MIB16), 4, status=104)
        peer.send(frame(CANCEL, b"", peer.stream_id))
        need(peer.answer_of(SCAN, peer.stream_id).status == 901, "CANCEL")
        peer.lives()


@check("7.16", "CANCEL ends a stream and frees its id; late CREDIT and CANCEL are ignored")
def cancels(target):
    with parked(target) as peer:
        peer.send(frame(CANCEL, b"", peer.stream_id))
        answer = peer.answer_of(SCAN, peer.stream_id)
        need(answer.status == 901 and not answer.more, f"{answer} instead of 901 cancelled")
        for _ in range(3):
            peer.send(frame(CANCEL, b"", peer.stream_id) + frame(CREDIT, credit(9), peer.stream_id))
        peer.lives()
        peer.ask(PING, ping(), peer.stream_id)


@check("7.16", "CREDIT and CANCEL for requests that are not open, and twice, have no answer")
def cancel_nothing(target):
    target.need_streams()
    with target.connect(optional=STREAMS) as peer:
        peer.send(frame(CANCEL, b"", 50) + frame(CREDIT, credit(1), 50) + frame(CREDIT, credit(MIB16), 51))
        peer.lives()
    with target.connect(optional=0) as peer:
        peer.send(frame(CANCEL, b"", 50))
        peer.lives()


# Labels and administration


@check("7.20", "labels: stable answers as none does, unknown ones are refused, wrong ones too")
def labels(target):
    if not target.described:
        raise Skip("nothing is published")
    with target.connect(optional=STREAMS | AFFINITY_FACTS | 1 << 60) as peer:
        generation = peer.ask(DESCRIBE, b"", 7).body["stamp"]["generation"]
        stable = peer.ask(DESCRIBE, b"", 7, meta=[(0x8004, b"stable")])
        need(stable.body["stamp"]["generation"] >= generation, "stable is not the current generation")
        requests = [(DESCRIBE, b""), (SEGMENTS, segments("")), (COUNT, count_rule("all"))]
        if target.customers:
            customer = target.customers[0]
            requests += [(LOOKUP, lookup([customer])), (LOOKUP, lookup([customer, customer])),
                         (TOP_PRODUCTS, top(customer))]
        if target.streams:
            requests.append((SCAN, stream()))
        for opcode, body in requests:
            answer = peer.ask(opcode, body, 7, meta=[(0x8004, b"surely-no-label")], status=204)
            need(answer.error["text"], "unknownLabel without words")
            for value in (b"", b"l" * 65, b"\xc3"):
                peer.ask(opcode, body, 7, meta=[(0x8004, value)], status=108)
        peer.lives()


@check("7.20-7.25", "MODELS, SNAPSHOT, STATS and the report of SHADOW, or scopeMissing for all of them")
def administration(target):
    if not target.described:
        raise Skip("nothing is published")
    listing = struct.pack("<BBHIQ", 0, 0, 0, 0, 0)
    with target.connect() as peer:
        answers = [peer.ask(opcode, body, 7, status=(0, 602, 1001))
                   for opcode, body in ((MODELS, listing), (SNAPSHOT, b""), (STATS, b""), (SHADOW, listing))]
        statuses = {answer.status for answer in answers}
        if 602 in statuses:
            need(statuses == {602}, f"some need a scope, others do not: {statuses}")
            need(peer.ask(DRAIN, b"", 7, status=602).error["text"], "scopeMissing without words")
            raise Skip("the token does not allow it")
        models, snapshot, stats, shadow = answers
        if models.status == 0:
            table = models.table
            need(set(table.columns) >= {0xF0A0, 0xF0A1, 0xF0A9, 0xF0AA, 0xF0AB}, "columns of MODELS (7.20)")
            need(table.columns[0xF0A0][0] == "stable", "MODELS does not begin with stable (7.20)")
        if snapshot.status == 0:
            generations = snapshot.table.columns[0xF0A1]
            need(generations == sorted(set(generations)), "generations do not ascend (7.21)")
            states = snapshot.table.columns[0xF0A7]
            need(sum(state & 2 for state in states) <= 2, "two generations are served without a label (7.21)")
            largest = (1 << 63) - 1
            peer.ask(PUBLISH, struct.pack("<Q", largest), 7, status=205)
            peer.ask(MODELS, struct.pack("<BBHIQ", 1, 6, 0, 0, largest) + b"canary", 7, status=205)
            peer.ask(MODELS, struct.pack("<BBHIQ", 1, 6, 0, 0, 1) + b"stable", 7, status=103)
            peer.ask(MODELS, struct.pack("<BBHIQ", 2, 9, 0, 0, 0) + b"no-label!", 7, status=204)
        if stats.status == 0:
            need(set(stats.table.columns) >= {0xF0AC, 0xF0AD, 0xF0AE, 0xF0AF}, "columns of STATS (7.23)")
            need("server" in stats.table.columns[0xF0AC], "STATS says nothing of the server (7.23)")
        peer.lives()


@check("7.16", "an unreadable CREDIT or CANCEL whose request is not open has no answer either")
def unreadable_credit(target):
    target.need_streams()
    for data in (frame(CREDIT, credit(0), 50), frame(CREDIT, b"", 50), frame(CANCEL, b"\0", 50),
                 frame(CREDIT, credit(1), 50, flags=8), frame(CREDIT, credit(1), 50, raw_length=3)):
        with target.connect(optional=STREAMS) as peer:
            peer.send(data)
            try:
                peer.lives()
            except Fault as fault:
                raise Fault(f"after {data.hex()}: {fault}; the server sent {peer.latest[:64].hex()}") from None


@check("7.16", "a CANCEL of a COUNT or of a ranking, sent with it: one answer")
def cancel_others(target):
    target.need_streams()
    with target.connect(optional=STREAMS) as peer:
        requests = ((COUNT, count_rule("all")), (TOP_CUSTOMERS, top(target.a_product(), 100)), (SCAN, stream()))
        for request_id, (opcode, body) in enumerate(requests, 20):
            peer.send(frame(opcode, body, request_id) + frame(CANCEL, b"", request_id))
            answer = peer.answer_of(opcode, request_id)
            while answer.more:
                answer = peer.answer_of(opcode, request_id)
            need(answer.status in (0, 901), f"{answer} instead of 901 cancelled")
            peer.lives()


@check("7.15", "resume tokens go on behind their chunk, on another connection")
def resumes(target):
    columns = [next(iter(target.facts()["columns"]))]
    with streaming(target, frame_bytes=4096) as peer, streaming(target, frame_bytes=8192) as other:
        for opcode, rule in ((SCAN, ""), (AUDIENCE, "all")):
            answers = whole_stream(peer, opcode, stream(rule, columns))
            everybody = ids_of(answers)
            for place in sorted({0, len(answers) // 2, len(answers) - 1}):
                token = answers[place].body["token"]
                rest = whole_stream(other, opcode, stream(rule, columns, token=token))
                seen = len(ids_of(answers[:place + 1]))
                need(ids_of(rest) == everybody[seen:],
                     f"{NAMES[opcode]} resumed behind {seen} of {len(everybody)} customers gives others")
                need(rest[-1].body["scanned"] == answers[-1].body["scanned"], "scannedCustomers begins anew")
        token = answers[0].body["token"]
        other.ask(AUDIENCE, stream("not all", columns, token=token), 8, status=103)
        other.ask(AUDIENCE, stream("all", list(target.described["columns"])[:2], token=token), 8, status=103)
        other.ask(SCAN, stream("", columns, token=token), 8, status=(103,))
        for place in range(32):
            wrong = token[:place] + bytes([token[place] ^ 0x81]) + token[place + 1:]
            other.send(frame(AUDIENCE, stream("all", columns, token=wrong), 8))
            answer = other.answer_of(AUDIENCE, 8)
            while answer.more:
                answer = other.answer_of(AUDIENCE, 8)
            need(answer.status in (0, 103, 301), f"a token changed at byte {place}: {answer}")
        other.lives()
        return f"{len(answers)} chunks"


@check("7.15", "two streams at once, and look-ups between them")
def two_streams(target):
    columns = [next(iter(target.facts()["columns"]))]
    with streaming(target, frame_bytes=4096) as peer:
        peer.send(frame(SCAN, stream(columns=columns, credit=MIB16 // 2), 11)
                  + frame(AUDIENCE, stream("all", columns, credit=MIB16 // 2), 12) + frame(PING, ping(), 13))
        got, ended, pinged = {11: [], 12: []}, set(), False
        while len(ended) < 2 or not pinged:
            answer = peer.receive()
            need(answer is not None and answer.status == 0, f"{answer}")
            if answer.request_id == 13:
                pinged = True
                continue
            need(answer.request_id in got and answer.request_id not in ended, f"{answer} after its end")
            need(answer.opcode == (SCAN if answer.request_id == 11 else AUDIENCE), f"{answer}")
            got[answer.request_id].append(answer)
            if not answer.more:
                ended.add(answer.request_id)
        need(ids_of(got[11]) == ids_of(got[12]), "AUDIENCE of all is not SCAN")


@check("7.15", "look-ups are answered while a stream waits for credit, and another stream runs beside it")
def beside_a_stream(target):
    with parked(target) as peer:
        peer.ask(LOOKUP, lookup([target.a_customer()], [next(iter(target.described["columns"]))]), 40)
        peer.ask(COUNT, count_rule("all"), 41)
        columns = [next(iter(target.described["columns"]))]
        whole_stream(peer, AUDIENCE, stream("not all", columns, credit=KIB256), 42)
        peer.send(frame(CREDIT, credit(peer.frame_bytes), peer.stream_id))
        answers, _ = chunks_until_quiet(peer, SCAN, peer.stream_id)
        need(answers, "the stream does not go on")


@check("7.15", "a stream that waits past its deadline ends with deadlinePassed")
def stream_deadline(target):
    with parked(target, aux=1500) as peer:
        answer = peer.answer_of(SCAN, peer.stream_id, patience=4)
        need(answer.status == 801 and not answer.more, f"{answer} instead of 801 deadlinePassed")
        peer.lives()


@check("7.15", "streams abandoned by closing the connection harm nobody")
def abandoned(target):
    columns = [next(iter(target.facts()["columns"]))]
    for _ in range(20):
        with streaming(target, frame_bytes=4096) as peer:
            peer.send(frame(SCAN, stream(columns=columns), 3))
            peer.answer_of(SCAN, 3)
    with target.connect() as peer:
        peer.lives()


@check("7.15", "requests of a stream that are wrong")
def stream_faults(target):
    with streaming(target) as peer:
        good = stream("all", [1])
        for wanted, body in (
            (103, stream("all", credit=KIB256 - 1)), (103, stream("all", credit=MIB16 + 1)),
            (103, stream("")), (105, good[:6] + b"\1" + good[7:]), (105, good[:44] + b"\1" + good[45:]),
            (104, good[:40] + struct.pack("<I", 65537) + good[44:]), (104, struct.pack("<IH", KIB256, 1025) + good[6:]),
            (109, stream("all", [0xEFFF])), (110, stream("all", [16, 16])), (102, good + b"\0"),
            (119, stream("nonsense")),
        ):
            peer.ask(AUDIENCE, body, 7, status=wanted)
        peer.ask(SCAN, stream("all"), 7, status=104)
        peer.ask(COUNT, count_rule(""), 7, status=103)
        peer.ask(COUNT, struct.pack("<II", 65537, 0), 7, status=104)
        peer.ask(COUNT, struct.pack("<II", 3, 1) + b"all", 7, status=105)
        peer.ask(COUNT, struct.pack("<II", 1, 0) + b"\xff", 7, status=107)
        peer.lives()


# Section 7.17


def lines_body(currency, columns, decimals=2):
    """An APPEND's body of plain columns: {id: (type, values)}, None for a missing value."""
    head = struct.pack("<B3x8s52x", decimals, currency.encode())
    rows = len(next(iter(columns.values()))[1])
    directory, buffers = b"", b""
    base = 64 + 16 + 32 * len(columns)
    base += -base % 64
    def place(data):
        nonlocal buffers
        at = base + len(buffers)
        buffers += data + bytes(-len(data) % 64)
        return at
    end = base
    for number, (kind, values) in columns.items():
        valid = [value is not None for value in values]
        bitmap = 0
        if not all(valid):
            bits = sum(1 << row for row, ok in enumerate(valid) if ok)
            bitmap = place(bits.to_bytes((rows + 7) // 8, "little"))
        if kind == 5:
            texts = [(value or "").encode() for value in values]
            ends = [sum(map(len, texts[:row])) for row in range(rows + 1)]
            data, text = struct.pack(f"<{rows + 1}I", *ends), b"".join(texts)
            at = place(data)
            text_at = place(text)
            end = text_at + len(text)
        else:
            form = {1: "i", 2: "q", 3: "f"}[kind]
            data, text, text_at = struct.pack(f"<{rows}{form}", *(value or 0 for value in values)), b"", 0
            at = place(data)
            end = at + len(data)
        directory += struct.pack("<HBBB3xIIIIII", number, kind, 0, 0 if all(valid) else 1, bitmap, at,
                                 len(data), text_at, len(text), 0)
    body = head + struct.pack("<IHHB7x", rows, len(columns), 32, 0) + directory
    body += bytes(base - len(body)) + buffers
    return body[:end]


def key_of(*words):
    return [(1, struct.pack("<QQ", *words))]


def line_columns(customers, seconds, amounts):
    kind = 2 if isinstance(customers[0], int) else 5
    return {0xF002: (kind, customers), 0xF081: (2, seconds), 0xF082: (2, amounts)}


@check("7.17", "an APPEND that is wrong is refused, and the connection goes on")
def wrong_appends(target):
    currency = target.facts()["stamp"]["currency"]
    good = line_columns([1], [1], [None])
    with target.connect() as peer:
        status = peer.ask(APPEND, b"", 7, status=(108, 1010)).status
        peer.ask(APPEND, b"", 7, meta=key_of(0, 0), status=status)
        if status == 1010:
            peer.ask(APPEND, lines_body(currency, good), 7, meta=key_of(1, 2), status=1010)
            peer.lives()
            return "takes no purchases"
        body = lines_body(currency, good)
        without = {number: column for number, column in good.items() if number != 0xF082}
        for wanted, data in (
            (101, b""), (101, body[:64]), (102, body + bytes(1)), (103, b"\x05" + body[1:]),
            (105, body[:1] + b"\1" + body[2:]), (103, body[:4] + bytes(8) + body[12:]),
            (105, body[:63] + b"\1" + body[64:]), (103, body[:64] + bytes(4) + body[68:]),
            (104, body[:64] + struct.pack("<I", 65537) + body[68:]), (105, body[:72] + b"\1" + body[73:]),
            (109, lines_body(currency, without)), (109, lines_body(currency, good | {6: (2, [1])})),
            (109, lines_body(currency, good | {0xF082: (1, [1])})),
            (110, lines_body(currency, good | {0xF080: (1, [1])})),
            (131, lines_body("no money", good)),
        ):
            peer.ask(APPEND, data, 7, meta=key_of(1, 2), status=wanted)
        peer.lives()


@check("7.17", "lines are taken once, refused ones aside, and look-ups count them on every connection")
def appends(target):
    if not target.appends:
        raise Skip("give --append for a workspace that is thrown away")
    facts = target.facts()
    currency, day = facts["stamp"]["currency"], facts["stamp"]["asOfDay"]
    known = target.a_customer()
    new = 2 ** 62 + time.time_ns() if isinstance(known, int) else f"conformance {time.time_ns()}"
    columns = [number for number in (1, 4, 6) if number in facts["columns"]]
    noon = (day + 3) * 86400 + 43200
    def values(peer, customer):
        table = peer.ask(LOOKUP, lookup([customer], columns), 9).table
        return [table.columns[0xF001][0]] + [table.columns[number][0] for number in columns]
    with target.connect() as peer, target.connect() as other:
        if peer.ask(APPEND, b"", 7, status=(108, 1010)).status == 1010:
            raise Skip("the server takes no purchases")
        need(values(other, new)[0] == 1, "a new customer is known already")
        before = values(other, known)
        lines = line_columns([known, new, new, known], [noon, noon, noon + 9 * 86400, noon],
                             [1250, 700, 300, None])
        key = key_of(time.time_ns(), 7)
        answer = peer.ask(APPEND, lines_body(currency, lines), 7, meta=key, status=(0, 130))
        if answer.status == 130:
            lines[0xF083] = (2, [100, 50, 20, 1])
            answer = peer.ask(APPEND, lines_body(currency, lines), 7, meta=key)
        first = answer.body
        need((first["accepted"], first["refused"], first["isRepeat"]) == (3, 1, 0), f"{first}")
        need([first["table"].columns[n] for n in (0xF090, 0xF091, 0xF092)] == [[3], [0xF082], [5]],
             "the line without an amount is not refused as such (8.6)")
        after, fresh = values(other, known), values(other, new)
        need(fresh[0] == 0, f"a customer who has bought has row status {fresh[0]}")
        need(columns == [] or after != before, f"a purchase has not changed {after}")
        if 6 in columns:
            place = 1 + columns.index(6)
            need(abs((after[place] or 0) - (before[place] or 0) - 12.5) < 1e-6, f"revenue {before} to {after}")
            need(abs(fresh[place] - 10) < 1e-6, f"revenue of a new customer: {fresh}")
        if 4 in columns:
            need(fresh[1 + columns.index(4)] == 0, f"days since the last purchase of a new customer: {fresh}")
        again = peer.ask(APPEND, lines_body(currency, lines), 8, meta=key).body
        need((again["isRepeat"], again["sequence"], again["accepted"]) == (1, first["sequence"], 3), f"{again}")
        need(values(peer, known) == after, "a batch that came twice counts twice")
        nothing = peer.ask(APPEND, lines_body(currency, line_columns([new], [None], [5])
                                              | ({0xF083: (2, [1])} if 0xF083 in lines else {})),
                           8, meta=key_of(time.time_ns(), 8)).body
        need((nothing["accepted"], nothing["refused"]) == (0, 1), f"{nothing}")
        later = peer.ask(APPEND, lines_body(currency, {number: (kind, column[1:3]) for number, (kind, column)
                                                       in lines.items()}), 8,
                         meta=key_of(time.time_ns(), 9)).body
        need(later["sequence"] > first["sequence"], "sequences do not ascend")
        peer.lives()


# Section 7.27


def erase_body(ids):
    return lookup(ids, [])


@check("7.27", "an ERASE that is wrong is refused, and the connection goes on")
def wrong_erasures(target):
    with target.connect() as peer:
        status = peer.ask(ERASE, b"", 7, status=(108, 602, 1010)).status
        peer.ask(ERASE, b"", 7, meta=key_of(0, 0), status=status)
        if status != 108:
            peer.ask(ERASE, struct.pack("<BxxxIq", 1, 1, 1), 7, meta=key_of(1, 2), status=status)
            peer.lives()
            return "takes no purchases" if status == 1010 else "the token may not erase"
        body = struct.pack("<BxxxIqq", 1, 2, 5, 6)
        for wanted, data in (
            (101, b""), (101, body[:-1]), (102, body + bytes(1)), (103, b"\x03" + body[1:]),
            (105, body[:1] + b"\1" + body[2:]), (105, body[:2] + b"\1" + body[3:]),
            (103, struct.pack("<BxxxI", 1, 0)), (104, struct.pack("<BxxxI", 1, (1 << 20) + 1)),
            (111, struct.pack("<BxxxIII", 2, 1, 0, 1) + b"a" if isinstance(target.a_customer(), int)
             else struct.pack("<BxxxIq", 1, 1, 5)),
        ):
            peer.ask(ERASE, data, 7, meta=key_of(1, 2), status=wanted)
        peer.lives()


@check("7.27", "who is erased is shown on no connection, once; who buys again is new")
def erasures(target):
    if not target.appends:
        raise Skip("give --append for a workspace that is thrown away")
    facts = target.facts()
    currency, day = facts["stamp"]["currency"], facts["stamp"]["asOfDay"]
    known = target.a_customer()
    new, other = ((2 ** 62 + time.time_ns() + n if isinstance(known, int) else f"conformance {time.time_ns()} {n}")
                  for n in (0, 1))
    columns = [6] if 6 in facts["columns"] else []
    noon = (day + 3) * 86400 + 43200
    def buy(peer, amount):
        lines = line_columns([new], [noon], [amount])
        answer = peer.ask(APPEND, lines_body(currency, lines), 7, meta=key_of(time.time_ns(), 7), status=(0, 130))
        if answer.status == 130:
            lines[0xF083] = (2, [100])
            peer.ask(APPEND, lines_body(currency, lines), 7, meta=key_of(time.time_ns(), 7))
    def row(peer):
        table = peer.ask(LOOKUP, lookup([new], columns), 9).table
        return [table.columns[0xF001][0]] + [table.columns[number][0] for number in columns]
    with target.connect() as peer, target.connect() as second:
        status = peer.ask(ERASE, b"", 7, status=(108, 602, 1010)).status
        if status != 108:
            raise Skip("the server erases nobody" if status == 1010 else "the token may not erase")
        buy(peer, 1250)
        need(row(second)[0] == 0, "who has bought is not known")
        key = key_of(time.time_ns(), 7)
        first = peer.ask(ERASE, erase_body([new, other, new]), 7, meta=key).body
        need(first["table"].columns[0xF0C0] == [2, 0, 2], f"found {first['table'].columns[0xF0C0]}")
        need(not first["isRepeat"] and abs(first["erasedAt"] - time.time()) < 86400, f"{first}")
        for connection in (peer, second):
            need(row(connection)[0] == 1, "who is erased is shown")
        again = second.ask(ERASE, erase_body([other, new]), 7, meta=key).body
        need((again["isRepeat"], again["sequence"], again["erasedAt"]) == (1, first["sequence"], first["erasedAt"]), f"{again}")
        peer.ask(ERASE, erase_body([other]), 7, meta=key, status=108)
        buy(peer, 500)
        after = row(second)
        need(after[0] == 0, "who buys again is not known")
        need(not columns or abs(after[1] - 5) < 1e-6, f"what was erased counts: {after}")
        later = peer.ask(ERASE, erase_body([new]), 7, meta=key_of(time.time_ns(), 8)).body
        need(later["sequence"] > first["sequence"], "sequences do not ascend")
        need(row(second)[0] == 1, "who is erased is shown")
        peer.lives()


# Section 10


@check("10", "other protocols on the port: GOAWAY badMagic and the end")
def foreign(target):
    tls = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + bytes(160)
    for name, data in (("HTTP", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
                       ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                       ("TLS", tls), ("RESP", b"*1\r\n$4\r\nPING\r\n"), ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
                       ("zeros", bytes(4096)), ("ones", b"\xff" * 64)):
        with target.connect(greet=False) as peer:
            peer.send(data)
            try:
                peer.ends(701)
            except Fault as fault:
                raise Fault(f"{name}: {fault}") from None


@check("10", "after a fault of class 7 nothing more is answered")
def nothing_after_fault(target):
    with target.connect() as peer:
        peer.send(frame(PING, ping(1), 1) + frame(PING, ping(), 2, header_crc=1) + frame(PING, ping(3), 3))
        need(peer.answer_of(PING, 1).body["token"] == 1, "the request before the fault")
        peer.ends(702)


@check("10", "a client may close between frames, within one, and half of the stream")
def closing(target):
    for data in (b"", frame(PING, ping(), 7)[:20], frame(LOOKUP, lookup([1] * 50), 7)[:100]):
        with target.connect() as peer:
            peer.send(data)
    with target.connect() as peer:
        if not target.tls:
            peer.socket.shutdown(socket.SHUT_WR)
            peer.ends()
    with target.connect() as peer:
        peer.lives()


@check("10", "generations of answers on one connection do not go back")
def generations(target):
    target.facts()
    with target.connect() as peer:
        seen = [peer.server["generation"]]
        for _ in range(5):
            seen.append(peer.ask(PING, ping(), 7).body["generation"])
            seen.append(peer.ask(DESCRIBE, b"", 7).body["stamp"]["generation"])
        need(seen == sorted(seen), f"generations {seen}")


@check("10", "no HELLO in 3 s: handshakeTimeout and the end", slow=True)
def handshake(target):
    def run(data):
        with target.connect(greet=False) as peer:
            began = time.monotonic()
            peer.send(data)
            peer.ends(711, patience=8)
            took = time.monotonic() - began
            need(2.5 <= took <= 6, f"closed after {took:.1f} s")
    for data in (b"", frame(HELLO, hello(), 1)[:20]):
        run(data)


@check("10", "a header not complete after 10 s: peerTooSlow and the end", slow=True)
def slow_header(target):
    with target.connect() as peer:
        began = time.monotonic()
        peer.send(frame(PING, ping(), 7)[:20])
        peer.ends(713, patience=16)
        took = time.monotonic() - began
        need(9.5 <= took <= 14, f"closed after {took:.1f} s")


@check("10", "a body that does not arrive: peerTooSlow and the end", slow=True)
def slow_body(target):
    with target.connect() as peer:
        peer.send(frame(PING, ping(), 7)[:36])
        peer.ends(713, patience=16)


@check("10", "a connection that is silent for idleMilliseconds: idleTimeout and the end", slow=True)
def idle(target):
    limit = target.server["idleMilliseconds"] / 1000
    if not 0 < limit <= 15:
        raise Skip(f"idleMilliseconds is {limit * 1000:.0f}")
    with target.connect() as peer:
        peer.ends(712, patience=limit + 4)


# Running


def run_check(target, entry, began):
    section, title, function, _ = entry
    start = time.monotonic()
    mine = len(target.peers)
    try:
        if start - began > target.seconds:
            raise Skip(f"the time of {target.seconds} s is over")
        detail, result = function(target) or "", "passed"
    except Skip as reason:
        detail, result = str(reason), "skipped"
    except Fault as fault:
        detail, result = str(fault), "failed"
    except OSError as error:
        detail, result = f"the connection failed: {error}", "failed"
    record = {"section": section, "check": title, "result": result, "detail": detail,
              "milliseconds": round(1000 * (time.monotonic() - start))}
    return record, mine


def show(record, out):
    mark = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[record["result"]]
    detail = f" ({record['detail']})" if record["detail"] else ""
    print(f"{mark} {record['section']:>15}  {record['check']}{detail}", file=out, flush=True)


def latest_bytes(target, since):
    """What the connections of a failed check last sent and got, for the one who looks into it."""
    for peer in target.peers[since:][-1:]:
        yield "sent", peer.sent
        yield "received", peer.latest


def run(target, only, out):
    began, records = time.monotonic(), []
    chosen = [entry for entry in CHECKS if not only or only in entry[0] or only.lower() in entry[1].lower()]
    # Those that mostly wait run beside the others.
    slow = [entry for entry in chosen if entry[3]]
    beside = {}
    def wait(entry):
        beside[entry[2]] = run_check(Lane(target), entry, began)[0]
    threads = [threading.Thread(target=wait, args=(entry,), daemon=True) for entry in slow]
    for thread in threads:
        thread.start()
    for entry in chosen:
        if entry[3]:
            continue
        lane = Lane(target)
        record, since = run_check(lane, entry, began)
        show(record, out)
        if record["result"] == "failed":
            record["bytes"] = {key: data[:4096].hex() for key, data in latest_bytes(lane, since)}
            for key, text in record["bytes"].items():
                print(f"{'':>22}{key}: {text[:256]}{'…' if len(text) > 256 else ''}", file=out)
        records.append(record)
        for peer in lane.peers:
            peer.close()
        target.parking_frame = getattr(lane, "parking_frame", target.parking_frame)
    for entry, thread in zip(slow, threads):
        thread.join(max(0, 60 - (time.monotonic() - began)))
        record = beside.get(entry[2], {"section": entry[0], "check": entry[1], "result": "failed",
                                       "detail": "not done in 60 s", "milliseconds": 60_000})
        show(record, out)
        records.append(record)
    return records, time.monotonic() - began


class Lane:
    """The target with connections of its own, for one check."""

    def __init__(self, target):
        self.__dict__.update(target.__dict__)
        self.peers = []

    def __getattr__(self, name):
        function = getattr(Target, name, None)
        if function is None:
            raise AttributeError(name)
        return function.__get__(self)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--token")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--customer")
    parser.add_argument("--product")
    kit = pathlib.Path(__file__).resolve().parent.parent / "protocol/vectors/v1"
    parser.add_argument("--vectors", type=pathlib.Path, default=kit)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("--append", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        target = Target(arguments)
    except ValueError as error:
        parser.error(f"HOST:PORT or --token: {error}")
    target.seconds, target.parking_frame = arguments.seconds, 4096
    target.appends = arguments.append
    try:
        target.learn()
    except OSError as error:
        print(f"conformance: {arguments.address} cannot be asked: {error}", file=sys.stderr)
        return 2
    except Fault as fault:
        print(f"FAIL  the first requests, which every other check needs: {fault}", file=sys.stderr)
        for key, data in latest_bytes(target, 0):
            print(f"{'':>6}{key}: {data[:128].hex()}", file=sys.stderr)
        return 1
    out = sys.stderr if arguments.json else sys.stdout
    print(f"{target.server['serverName']} at {arguments.address}, generation {target.server['generation']}, "
          f"features {target.offered:#x}", file=out)
    records, seconds = run(target, arguments.only, out)
    counts = {key: sum(r["result"] == key for r in records) for key in ("passed", "failed", "skipped")}
    print(f"{counts['passed']} checks passed, {counts['failed']} failed, {counts['skipped']} skipped; "
          f"{Peer.received[0]} answers checked byte for byte in {seconds:.1f} s", file=out)
    if arguments.json:
        json.dump({"server": target.server, "counts": counts, "answers": Peer.received[0],
                   "seconds": round(seconds, 3), "checks": records}, sys.stdout, indent=2, ensure_ascii=False)
        print()
    if not records:
        return 2
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
