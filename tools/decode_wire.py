#!/usr/bin/env python3
"""Decodes Patron wire frames to JSON. Written from protocol/WIRE.md, standard library only.

    decode_wire.py [--reader server|client] [--maximum-length N] [--lz4] FILE
                                      every frame of a byte dump; --lz4: HELLO agreed on it
    decode_wire.py --check DIR        compares DIR/ok and DIR/error with their JSON; exit 1 if not

The reader is the side that receives: 'server' reads requests, 'client' reads answers. Without
--reader, bit 15 of each opcode decides.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

STATUS = {
    "truncatedBody": 101, "trailingBytes": 102, "valueOutOfRange": 103, "tooManyItems": 104,
    "nonzeroReserved": 105, "misalignedBuffer": 106, "invalidText": 107, "invalidMeta": 108,
    "unknownColumn": 109, "duplicateColumn": 110, "overBudget": 112, "bufferOutsideBody": 114,
    "invalidOffsets": 115, "rawLengthMismatch": 117, "notFinite": 118, "invalidBlock": 120,
    "badMagic": 701,
    "headerChecksumMismatch": 702, "unsupportedVersion": 703, "badHeaderSize": 704,
    "frameTooSmall": 705, "frameTooLarge": 706, "bodyChecksumMismatch": 707,
    "wrongDirection": 710, "unexpectedEnd": 714, "unsupportedOperation": 1001,
    "unsupportedFlag": 1002, "compressionNotNegotiated": 1003, "unsupportedTag": 1004,
    "unsupportedEncoding": 1005, "unsupportedType": 1006, "unsupportedFeature": 1007,
}
OPCODES = {
    1: "HELLO", 2: "PING", 3: "GOAWAY", 0x10: "DESCRIBE", 0x20: "LOOKUP", 0x22: "TOP_PRODUCTS",
    0x23: "TOP_CUSTOMERS", 0x24: "SIMILAR", 0x26: "SEGMENTS", 0x27: "SEGMENT_PROFILES",
    0x28: "OFFER_PRODUCTS", 0x29: "OFFER_CUSTOMERS", 4: "CREDIT", 5: "CANCEL", 0x30: "COUNT",
    0x31: "AUDIENCE", 0x32: "SCAN", 0x21: "SCORE", 0x25: "EXPLAIN", 0x40: "APPEND",
    0x41: "ERASE", 6: "PROGRESS", 0x50: "MODELS", 0x51: "SNAPSHOT", 0x52: "PUBLISH", 0x53: "STATS", 0x54: "DRAIN",
    0x55: "SHADOW",
}
# Requests that may name the snapshot that answers.
LABELLED = {0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x30, 0x31, 0x32}
SUPPORTED_FEATURES = 1 << 1 | 1 << 3 | 1 << 4
LZ4_FEATURE = 1
LARGEST_FRAME = 64 << 20


class Refused(Exception):
    """Bytes that the specification refuses; `status` is the number it gives them."""

    def __init__(self, name, detail=""):
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name
        self.status = STATUS[name]


def _crc_table():
    table = []
    for index in range(256):
        word = index
        for _ in range(8):
            word = (word >> 1) ^ (0x82F63B78 if word & 1 else 0)
        table.append(word)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state = CRC_TABLE[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


class Body:
    """Checked reads from bytes; every one names its field."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def unpack(self, form, offset, field):
        size = struct.calcsize("<" + form)
        if offset + size > len(self.data):
            raise Refused("truncatedBody", field)
        return struct.unpack_from("<" + form, self.data, offset)[0]

    def u8(self, offset, field):
        return self.unpack("B", offset, field)

    def u16(self, offset, field):
        return self.unpack("H", offset, field)

    def u32(self, offset, field):
        return self.unpack("I", offset, field)

    def u64(self, offset, field):
        return self.unpack("Q", offset, field)

    def count(self, form, offset, limit, field):
        value = self.unpack(form, offset, field)
        if value > limit:
            raise Refused("tooManyItems", f"{field} {value}")
        return value

    def take(self, offset, count, field):
        if offset + count > len(self.data):
            raise Refused("truncatedBody", field)
        return self.data[offset : offset + count]

    def zero(self, offset, count, field="reserved"):
        if any(self.take(offset, count, field)):
            raise Refused("nonzeroReserved", field)

    def text(self, offset, count, field):
        try:
            return self.take(offset, count, field).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("invalidText", field) from None

    def end(self, offset):
        if offset != len(self.data):
            raise Refused("trailingBytes", f"{len(self.data)} instead of {offset}")


# Section 2: frame


def split_frame(data, start, maximum_length):
    """The frame at `start`: header fields, payload, end offset."""
    view = data[start:]
    if len(view) >= 6 and view[4:6] != b"\xd7\x50":
        raise Refused("badMagic")
    if len(view) < 32:
        raise Refused("unexpectedEnd", "header")
    (length, _, version, words, opcode, flags, request_id, raw_length, aux, body_crc,
     header_crc) = struct.unpack_from("<IHBBHHIIIII", view)
    if crc32c(view[:28]) != header_crc:
        raise Refused("headerChecksumMismatch")
    if version != 1:
        raise Refused("unsupportedVersion", str(version))
    if length < 28:
        raise Refused("frameTooSmall", str(length))
    if length > maximum_length:
        raise Refused("frameTooLarge", str(length))
    if words < 8 or words * 4 > length + 4:
        raise Refused("badHeaderSize", str(words))
    if len(view) < length + 4:
        raise Refused("unexpectedEnd", "frame")
    if crc32c(view[32 : length + 4]) != body_crc:
        raise Refused("bodyChecksumMismatch")
    header = {"opcode": opcode, "flags": flags, "requestID": request_id,
              "rawLength": raw_length, "aux": aux}
    return header, view[words * 4 : length + 4], start + length + 4


# Sections 3 and 4: flags and meta block


def open_payload(header, payload, features, limit):
    flags = header["flags"]
    if flags & 0xF8:
        raise Refused("unsupportedFlag", hex(flags))
    if flags & 2 and header["opcode"] not in (0x8031, 0x8032):
        raise Refused("unsupportedFlag", "MORE")
    if flags & 1 and not features & LZ4_FEATURE:
        raise Refused("compressionNotNegotiated")
    meta = []
    if flags & 4:
        meta, payload = read_meta(payload, header["opcode"] in LABELLED)
    raw_length = header["rawLength"]
    if flags & 1:
        if raw_length > min(limit, LARGEST_FRAME):
            raise Refused("overBudget", f"rawLength {raw_length}")
        if not 0 < raw_length <= 255 * len(payload) + 64:
            raise Refused("invalidBlock", f"rawLength {raw_length} of {len(payload)} bytes")
        return meta, read_block(payload, raw_length)
    if raw_length != len(payload):
        raise Refused("rawLengthMismatch")
    return meta, payload


def read_block(block, raw_length):
    """One LZ4 block (lz4_Block_format.md) of exactly `raw_length` bytes."""
    result, at = bytearray(), 0

    def more(length):
        nonlocal at
        if length == 15:
            while True:
                byte = block[at]
                at += 1
                length += byte
                if byte < 255:
                    break
        return length

    try:
        while True:
            token = block[at]
            at += 1
            count = more(token >> 4)
            if at + count > len(block) or len(result) + count > raw_length:
                raise IndexError
            result += block[at : at + count]
            at += count
            if at == len(block):
                break
            distance = block[at] | block[at + 1] << 8
            at += 2
            count = more(token & 15) + 4
            # The last five bytes are literals.
            if not 0 < distance <= len(result) or len(result) + count > raw_length - 5:
                raise IndexError
            while count:
                part = result[len(result) - distance :][:count]
                result += part
                count -= len(part)
    except IndexError:
        raise Refused("invalidBlock", f"at byte {at}") from None
    if len(result) != raw_length:
        raise Refused("invalidBlock", f"{len(result)} bytes instead of {raw_length}")
    return bytes(result)


def read_meta(payload, takes_label):
    if len(payload) < 4:
        raise Refused("invalidMeta", "no size")
    size = struct.unpack_from("<I", payload)[0]
    if size > len(payload) - 4 or size > 4096:
        raise Refused("invalidMeta", f"size {size}")
    block = payload[4 : 4 + size]
    items, seen, offset = [], set(), 0
    while offset < len(block):
        if offset + 4 > len(block):
            raise Refused("invalidMeta", "item header")
        tag, count = struct.unpack_from("<HH", block, offset)
        value = block[offset + 4 : offset + 4 + count]
        if len(value) != count or tag in seen or len(seen) == 32:
            raise Refused("invalidMeta", f"tag {tag}")
        seen.add(tag)
        item = read_meta_item(tag, value, takes_label)
        if item is not None:
            items.append(item)
        offset += 4 + count
    return items, payload[4 + size :]


def read_meta_item(tag, value, takes_label):
    size = len(value)
    if tag == 0x8004 and takes_label:
        try:
            if 1 <= size <= 64:
                return {"modelLabel": value.decode("utf-8")}
        except UnicodeDecodeError:
            pass
        raise Refused("invalidMeta", "modelLabel")
    if tag == 1 and size == 16:
        return {"idempotencyKey": value.hex()}
    if tag == 2 and 1 <= size <= 64:
        return {"traceID": value.hex()}
    if tag == 3 and size == 1:
        return {"priority": value[0]}
    if tag == 4 and 1 <= size <= 1024:
        try:
            return {"warning": value.decode("utf-8")}
        except UnicodeDecodeError:
            raise Refused("invalidMeta", "warning") from None
    if tag == 5 and size == 4:
        return {"retryAfterMilliseconds": struct.unpack("<I", value)[0]}
    if tag == 6 and size == 12:
        names = ("queueMicroseconds", "computeMicroseconds", "encodeMicroseconds")
        return {"timings": dict(zip(names, struct.unpack("<III", value)))}
    if 1 <= tag <= 6:
        raise Refused("invalidMeta", f"tag {tag} of {size} bytes")
    if tag & 0x8000:
        raise Refused("unsupportedTag", hex(tag))
    return None


# Section 7: requests


def read_id_kind(body, offset):
    kind = body.u8(offset, "idKind")
    if kind not in (1, 2):
        raise Refused("valueOutOfRange", f"idKind {kind}")
    return kind


def read_options(body, offset):
    options = body.u8(offset, "options")
    if options & ~1:
        raise Refused("nonzeroReserved", "options")
    return options == 1


def read_frame_bytes(body, offset):
    value = body.u32(offset, "maximumFrameBytes")
    if not 4096 <= value <= LARGEST_FRAME:
        raise Refused("valueOutOfRange", f"maximumFrameBytes {value}")
    return value


def hello_request(body, features=0):
    low, high = body.u8(0, "minimumVersion"), body.u8(1, "maximumVersion")
    if low < 1 or high < low:
        raise Refused("valueOutOfRange", "versions")
    body.zero(2, 2)
    frame_bytes = read_frame_bytes(body, 4)
    required, optional = body.u64(8, "requiredFeatures"), body.u64(16, "optionalFeatures")
    kind = body.u16(24, "credentialKind")
    if kind > 1:
        raise Refused("valueOutOfRange", f"credentialKind {kind}")
    credential_size = body.count("H", 26, 1024 if kind else 0, "credentialBytes")
    name_size = body.count("H", 28, 4096, "clientNameBytes")
    body.zero(30, 2)
    credential = body.take(32, credential_size, "credential")
    name = body.text(32 + credential_size, name_size, "clientName")
    body.end(32 + credential_size + name_size)
    if low > 1:
        raise Refused("unsupportedVersion", f"{low} to {high}")
    if required & ~(SUPPORTED_FEATURES | features):
        raise Refused("unsupportedFeature", hex(required))
    return {"minimumVersion": low, "maximumVersion": high, "maximumFrameBytes": frame_bytes,
            "requiredFeatures": required, "optionalFeatures": optional,
            "token": credential.hex() if kind else None, "clientName": name}


def ping_request(body):
    token = body.u64(0, "token")
    body.end(8)
    return {"token": token}


def describe_request(body):
    body.end(0)
    return {}


def lookup_request(body):
    kind = read_id_kind(body, 0)
    leaves_out = read_options(body, 1)
    column_count = body.count("H", 2, 1024, "columnCount")
    id_count = body.count("I", 4, 65536, "idCount")
    if id_count == 0:
        raise Refused("valueOutOfRange", "idCount")
    columns = [body.u16(8 + 2 * i, "columns") for i in range(column_count)]
    end = 8 + 2 * column_count
    start = (end + 7) // 8 * 8
    body.zero(end, start - end)
    if len(set(columns)) != len(columns):
        raise Refused("duplicateColumn")
    if kind == 1:
        body.take(start, 8 * id_count, "ids")
        body.end(start + 8 * id_count)
        ids = list(struct.unpack_from(f"<{id_count}q", body.data, start))
    else:
        body.take(start, 4 * (id_count + 1), "ids")
        text_start = start + 4 * (id_count + 1)
        size = body.u32(text_start - 4, "ids")
        body.take(text_start, size, "ids")
        body.end(text_start + size)
        ids = read_texts(body, id_count, start, text_start, size)
        if any(len(text.encode()) > 1024 for text in ids):
            raise Refused("tooManyItems", "text id")
    return {"idKind": kind, "leavesOutUnknownColumns": leaves_out, "columns": columns or None,
            "ids": ids}


def top_request(body):
    kind = read_id_kind(body, 0)
    excludes = read_options(body, 1)
    body.zero(2, 2)
    count = body.count("I", 4, 10000, "count")
    if count == 0:
        raise Refused("valueOutOfRange", "count")
    if kind == 1:
        identifier = body.unpack("q", 8, "id")
        body.end(16)
    else:
        size = body.count("I", 8, 1024, "id")
        identifier = body.text(12, size, "id")
        body.end(12 + size)
    return {"id": identifier, "count": count, "excludesPurchased": excludes}


def read_choice(body, offset, choices, name):
    number = body.u8(offset, name)
    if number not in choices:
        raise Refused("valueOutOfRange", name)
    return choices[number]


def read_top_count(body):
    count = body.count("I", 4, 10000, "count")
    if count == 0:
        raise Refused("valueOutOfRange", "count")
    return count


def read_id(body, kind, offset):
    """An id and the offset behind it."""
    if kind == 1:
        return body.unpack("q", offset, "id"), offset + 8
    size = body.count("I", offset, 1024, "id")
    return body.text(offset + 4, size, "id"), offset + 4 + size


def offer_products_request(body):
    kind = read_id_kind(body, 0)
    options = body.u8(1, "options")
    if options > 7:
        raise Refused("nonzeroReserved", "options")
    if options & 3 == 3:
        raise Refused("valueOutOfRange", "options")
    result = {"bought": {0: "included", 1: "leftOut", 2: "only"}[options & 3],
              "includesOutOfStock": bool(options & 4)}
    result["offer"] = read_choice(body, 2, {0: "next", 1: "crossSell", 2: "upSell"}, "offer")
    result["rank"] = read_choice(body, 3, {0: "affinity", 1: "margin"}, "rank")
    result["count"] = read_top_count(body)
    low, high = body.unpack("q", 8, "lowestPrice"), body.unpack("q", 16, "highestPrice")
    if low < 0:
        raise Refused("valueOutOfRange", "lowestPrice")
    if high != 0 and high < low:
        raise Refused("valueOutOfRange", "highestPrice")
    ratio = body.unpack("H", 24, "largestRatio")
    if 0 < ratio <= 100:
        raise Refused("valueOutOfRange", "largestRatio")
    result.update(lowestPrice=low, highestPrice=high, largestRatioPercent=ratio)
    counts = {"categories": body.count("H", 26, 1024, "categories"),
              "boughtSince": body.count("H", 28, 1024, "boughtSince")}
    body.zero(30, 2)
    result["id"], offset = read_id(body, kind, 32)
    for name, limit in (("categories", 4096), ("boughtSince", 1024)):
        result[name] = []
        for _ in range(counts[name]):
            size = body.count("H", offset, limit, name)
            result[name].append(body.text(offset + 2, size, name))
            offset += 2 + size
    body.end(offset)
    return result


def offer_customers_request(body):
    kind = read_id_kind(body, 0)
    options = body.u8(1, "options")
    if options > 3:
        raise Refused("nonzeroReserved", "options")
    rank = read_choice(body, 2, {0: "affinity", 1: "probability"}, "rank")
    body.zero(3, 1)
    count = read_top_count(body)
    identifier, end = read_id(body, kind, 8)
    body.end(end)
    return {"id": identifier, "count": count, "rank": rank,
            "excludesPurchasers": bool(options & 1), "isPromoted": bool(options & 2)}


def similar_request(body):
    kind = read_id_kind(body, 0)
    subject = read_choice(body, 1, {1: "customer", 2: "product"}, "subject")
    body.zero(2, 2)
    count = read_top_count(body)
    identifier, end = read_id(body, kind, 8)
    body.end(end)
    return {"id": identifier, "count": count, "subject": subject}


def segments_request(body):
    size = body.count("H", 0, 4096, "nameBytes")
    body.zero(2, 2)
    name = body.text(4, size, "segmentation")
    body.end(4 + size)
    return {"segmentation": name or None}


# Section 7: answers


def hello_answer(body):
    version = body.u8(0, "version")
    body.zero(1, 3)
    result = {"version": version, "maximumFrameBytes": read_frame_bytes(body, 4)}
    for name, form, offset in (
        ("activeFeatures", "Q", 8), ("offeredFeatures", "Q", 16), ("maximumLookupIDs", "I", 24),
        ("maximumInFlight", "I", 28), ("idleMilliseconds", "I", 32),
        ("defaultDeadlineMilliseconds", "I", 36), ("generation", "Q", 40), ("asOfDay", "i", 48),
    ):
        result[name] = body.unpack(form, offset, name)
    size = body.count("H", 52, 4096, "serverNameBytes")
    body.zero(54, 2)
    result["serverName"] = body.text(56, size, "serverName")
    body.end(56 + size)
    if version != 1:
        raise Refused("unsupportedVersion", str(version))
    return result


def ping_answer(body):
    result = {"token": body.u64(0, "token"), "generation": body.u64(8, "generation")}
    body.end(16)
    return result


def goaway(body):
    grace = body.u32(0, "graceMilliseconds")
    body.zero(4, 4)
    return {"graceMilliseconds": grace, "reason": error_body(body, 8)}


def error_body(body, start=0):
    sizes = [body.count("H", start + 2 * i, 4096, "error text") for i in range(3)]
    body.zero(start + 6, 2)
    place = body.u32(start + 8, "byteOffset")
    body.zero(start + 12, 4)
    generation = body.u64(start + 16, "generation")
    offset, texts = start + 24, []
    for size in sizes:
        texts.append(body.text(offset, size, "error text"))
        offset += size
    body.end(offset)
    return {"text": texts[0], "hint": texts[1], "field": texts[2],
            "byteOffset": None if place == 0xFFFFFFFF else place, "generation": generation}


def describe_answer(body):
    stamp, start = read_stamp(body)
    result = {"stamp": stamp, "customerCount": body.u64(start, "customerCount"),
              "productCount": body.u64(start + 8, "productCount")}
    for name, offset in (("customerIDKind", 16), ("productIDKind", 17)):
        result[name] = body.u8(start + offset, name)
        if result[name] > 2:
            raise Refused("valueOutOfRange", name)
    variant = body.u8(start + 18, "affinityVariant")
    body.zero(start + 19, 1 if variant else 45)
    if variant:
        body.zero(start + 24, 40)
        result["affinity"] = {"variant": variant, "offers": body.u32(start + 20, "offers")}
    table = read_table(body, start + 64)
    columns = {column["id"]: column for column in table["columns"]}
    wanted = {0xF020: 1, 0xF021: 5, 0xF022: 1, 0xF023: 5, 0xF024: 5}
    for number, kind in wanted.items():
        column = columns.get(number)
        if column is None or column["type"] != kind or None in column["values"]:
            raise Refused("unknownColumn", hex(number))
    if not all(0 <= number <= 0xFFFF for number in columns[0xF020]["values"]):
        raise Refused("valueOutOfRange", "columnID")
    names = ("id", "name", "type", "unit", "description")
    rows = list(zip(*(columns[number]["values"] for number in wanted)))
    described = [dict(zip(names, row)) for row in rows]
    value_names = columns.get(0xF025)
    if value_names is not None and value_names["type"] == 5:
        for row, text in zip(described, value_names["values"]):
            if text:
                row["valueNames"] = text
    result["columns"] = [row for row in described if row["type"] in TYPES]
    return result


def table_answer(body):
    stamp, start = read_stamp(body)
    return {"stamp": stamp, "table": read_table(body, start)}


def read_rule_size(body, offset, needed):
    size = body.count("I", offset, 65536 if needed else 0, "rule")
    if needed and size == 0:
        raise Refused("valueOutOfRange", "rule")
    return size


def read_credit(body, offset, least):
    credit = body.u32(offset, "credit")
    if not least <= credit <= 16 << 20:
        raise Refused("valueOutOfRange", "credit")
    return credit


def stream_request(body, needs_rule):
    credit = read_credit(body, 0, 256 << 10)
    column_count = body.count("H", 4, 1024, "columnCount")
    body.zero(6, 2)
    token = body.take(8, 32, "resumeToken")
    rule_size = read_rule_size(body, 40, needs_rule)
    body.zero(44, 4)
    columns = [body.u16(48 + 2 * i, "columns") for i in range(column_count)]
    if len(set(columns)) != len(columns):
        raise Refused("duplicateColumn")
    start = 48 + 2 * column_count
    rule = body.text(start, rule_size, "rule")
    body.end(start + rule_size)
    return {"credit": credit, "columns": columns or None,
            "resumeToken": token.hex() if any(token) else None,
            "rule": rule if needs_rule else None}


def audience_request(body):
    return stream_request(body, True)


def scan_request(body):
    return stream_request(body, False)


def stream_chunk(body):
    stamp, start = read_stamp(body)
    scanned = body.u64(start, "scannedCustomers")
    token = body.take(start + 8, 32, "resumeToken")
    body.zero(start + 40, 24)
    return {"stamp": stamp, "scannedCustomers": scanned, "resumeToken": token.hex(),
            "table": read_table(body, start + 64)}


def count_request(body):
    size = read_rule_size(body, 0, True)
    body.zero(4, 4)
    rule = body.text(8, size, "rule")
    body.end(8 + size)
    return {"rule": rule}


def count_answer(body):
    stamp, start = read_stamp(body)
    matching, count = body.u64(start, "matching"), body.u64(start + 8, "customers")
    body.zero(start + 16, 48)
    body.end(start + 64)
    return {"stamp": stamp, "matchingCustomers": matching, "customerCount": count}


LINE_TYPES = {
    0xF002: (2, 5), 0xF080: (1,), 0xF081: (2,), 0xF082: (2,), 0xF083: (2,), 0xF084: (2,),
    0xF085: (3,), 0xF086: (5,), 0xF087: (5,), 0xF088: (5,), 0xF089: (5,), 0xF08A: (5,),
}


def append_request(body):
    decimals = body.u8(0, "decimals")
    if decimals > 4:
        raise Refused("valueOutOfRange", "decimals")
    body.zero(1, 3)
    used = body.take(4, 8, "currency").split(b"\0")[0]
    if not used:
        raise Refused("valueOutOfRange", "currency")
    body.zero(4 + len(used), 8 - len(used), "currency")
    currency = body.text(4, len(used), "currency")
    body.zero(12, 52)
    if body.count("I", 64, 65536, "rowCount") == 0:
        raise Refused("valueOutOfRange", "rowCount")
    table = read_table(body, 64)
    if table["subjectStatus"]:
        raise Refused("nonzeroReserved", "subjectStatus")
    types = {column["id"]: column["type"] for column in table["columns"]}
    for number, kind in types.items():
        if kind not in LINE_TYPES.get(number, ()):
            raise Refused("unknownColumn", hex(number))
    if 0xF002 not in types or 0xF082 not in types or not {0xF080, 0xF081} & types.keys():
        raise Refused("unknownColumn", "one that every line has")
    if {0xF080, 0xF081} <= types.keys():
        raise Refused("duplicateColumn", "lineDay and lineTime")
    return {"decimals": decimals, "currency": currency, "table": table}


def erase_request(body):
    kind = read_id_kind(body, 0)
    body.zero(1, 3)
    return {"idKind": kind, "ids": lookup_request(body)["ids"]}


def erase_answer(body):
    stamp, start = read_stamp(body)
    sequence, time = body.u64(start, "sequence"), body.u64(start + 8, "erasedAt")
    repeat = body.u8(start + 16, "isRepeat")
    if repeat > 1:
        raise Refused("valueOutOfRange", "isRepeat")
    body.zero(start + 17, 47)
    return {"stamp": stamp, "sequence": sequence, "erasedAt": time - (time >> 63 << 64),
            "isRepeat": bool(repeat), "table": read_table(body, start + 64)}


def append_answer(body):
    stamp, start = read_stamp(body)
    sequence = body.u64(start, "sequence")
    accepted, refused = body.u32(start + 8, "acceptedLines"), body.u32(start + 12, "refusedLines")
    repeat = body.u8(start + 16, "isRepeat")
    if repeat > 1:
        raise Refused("valueOutOfRange", "isRepeat")
    body.zero(start + 17, 47)
    return {"stamp": stamp, "sequence": None if sequence == (1 << 64) - 1 else sequence,
            "acceptedLines": accepted, "refusedLines": refused, "isRepeat": bool(repeat),
            "table": read_table(body, start + 64)}
def score_request(body):
    column_count = body.count("H", 0, 1024, "columnCount")
    attribute_count = body.count("H", 2, 1024, "attributes")
    body.zero(4, 4)
    columns = [body.u16(8 + 2 * i, "columns") for i in range(column_count)]
    if len(set(columns)) != len(columns):
        raise Refused("duplicateColumn")
    offset, names = 8 + 2 * column_count, []
    for _ in range(attribute_count):
        size = body.count("H", offset, 4096, "attributes")
        name = body.text(offset + 2, size, "attributes")
        if not name or name in names:
            raise Refused("valueOutOfRange", "attributes")
        names.append(name)
        offset += 2 + size
    start = (offset + 63) // 64 * 64
    body.zero(offset, start - offset)
    if body.u32(start, "rowCount") > 65536:
        raise Refused("tooManyItems", "rowCount")
    table = read_table(body, start)
    if table["rowCount"] == 0:
        raise Refused("valueOutOfRange", "rowCount")
    types = {column["id"]: column["type"] for column in table["columns"]}
    for number in (1, 2, 3):
        if types.get(number) != 1:
            raise Refused("unknownColumn", str(number))
    for number in (5, 6):
        if types.get(number, 4) != 4:
            raise Refused("unknownColumn", str(number))
    for index in range(attribute_count):
        if 64 + index not in types:
            raise Refused("unknownColumn", str(64 + index))
    return {"columns": columns or None, "attributes": names, "table": table}


def explain_request(body):
    kind = read_id_kind(body, 0)
    body.zero(1, 1)
    size = body.count("H", 2, 4096, "segmentation")
    if size == 0:
        raise Refused("valueOutOfRange", "segmentation")
    body.zero(4, 4)
    identifier, offset = read_id(body, kind, 8)
    name = body.text(offset, size, "segmentation")
    body.end(offset + size)
    return {"id": identifier, "segmentation": name}


def explain_answer(body):
    stamp, start = read_stamp(body)
    known = body.u32(start + 24, "known")
    if known > 7:
        raise Refused("nonzeroReserved", "known")
    result = {"stamp": stamp, "segment": body.unpack("i", start, "segment")}
    for bit, name, form, place in ((2, "nextSegment", "i", 4), (1, "distance", "d", 8),
                                   (4, "nextDistance", "d", 16)):
        if known & bit:
            result[name] = body.unpack(form, start + place, name)
            if form == "d" and not 0 <= result[name] < math.inf:
                raise Refused("valueOutOfRange", name)
        else:
            body.zero(start + place, struct.calcsize(form), name)
            result[name] = None
    result["modelVersion"] = body.u32(start + 28, "modelVersion")
    body.zero(start + 32, 32)
    result["table"] = read_table(body, start + 64)
    return result


def credit_message(body):
    credit = read_credit(body, 0, 1)
    body.zero(4, 4)
    body.end(8)
    return {"credit": credit}


def labelled_action(body):
    action = body.u8(0, "action")
    if action > 2:
        raise Refused("valueOutOfRange", f"action {action}")
    size = body.count("B", 1, 64, "labelBytes")
    body.zero(2, 2)
    number, generation = body.u32(4, "number"), body.u64(8, "generation")
    label = body.text(16, size, "label")
    body.end(16 + size)
    return action, number, generation, label


def models_request(body):
    action, number, generation, label = labelled_action(body)
    if number or generation and action != 1:
        raise Refused("nonzeroReserved")
    if label and action == 0:
        raise Refused("tooManyItems", "label")
    if action and not label or action == 1 and not generation:
        raise Refused("valueOutOfRange")
    return {"action": action, "label": label or None, "generation": generation}


def shadow_request(body):
    action, share, generation, label = labelled_action(body)
    if action != 1:
        if label:
            raise Refused("tooManyItems", "label")
        if share or generation:
            raise Refused("nonzeroReserved")
    else:
        if not 1 <= share <= 1_000_000:
            raise Refused("valueOutOfRange", f"partsPerMillion {share}")
        if label and generation:
            raise Refused("nonzeroReserved", "generation")
        if not label and not generation:
            raise Refused("valueOutOfRange", "no candidate")
    return {"action": action, "partsPerMillion": share, "label": label or None,
            "generation": generation}


def publish_request(body):
    generation = body.u64(0, "generation")
    body.end(8)
    return {"generation": generation}


def publish_answer(body):
    stamp, start = read_stamp(body)
    previous, verified = body.u64(start, "previous"), body.u64(start + 8, "bytes")
    body.zero(start + 16, 48)
    body.end(start + 64)
    return {"stamp": stamp, "previousGeneration": previous, "verifiedByteCount": verified}


def drain_answer(body):
    grace = body.u32(0, "graceMilliseconds")
    body.zero(4, 4)
    body.end(8)
    return {"graceMilliseconds": grace}


def shadow_answer(body):
    stamp, start = read_stamp(body)
    candidate, size = read_stamp(Body(body.data[start:]))
    start += size
    result = {"stamp": stamp, "candidate": candidate, "state": body.u32(start, "state"),
              "partsPerMillion": body.u32(start + 4, "partsPerMillion")}
    names = ("sampledCount", "comparedCount", "onlyInCurrentCount", "onlyInCandidateCount",
             "droppedCount", "elapsedMilliseconds")
    for index, name in enumerate(names):
        result[name] = body.u64(start + 8 + 8 * index, name)
    body.zero(start + 56, 8)
    result["table"] = read_table(body, start + 64)
    return result


def progress_message(body):
    result = {"done": body.u64(0, "done"), "total": body.u64(8, "total"),
              "unit": body.u8(16, "unit")}
    body.zero(17, 7)
    body.end(24)
    return result


REQUESTS = {
    0x50: models_request, 0x51: describe_request, 0x52: publish_request, 0x53: describe_request,
    0x54: describe_request, 0x55: shadow_request,
    0x21: score_request, 0x25: explain_request,
    4: credit_message, 5: describe_request, 0x30: count_request, 0x31: audience_request,
    0x32: scan_request, 0x40: append_request, 0x41: erase_request,
    1: hello_request, 2: ping_request, 0x10: describe_request, 0x20: lookup_request,
    0x22: top_request, 0x23: top_request, 0x24: similar_request, 0x26: segments_request,
    0x27: segments_request, 0x28: offer_products_request, 0x29: offer_customers_request,
}
ANSWERS = {
    6: progress_message, 0x50: table_answer, 0x51: table_answer, 0x52: publish_answer,
    0x53: table_answer, 0x54: drain_answer, 0x55: shadow_answer,
    0x21: table_answer, 0x25: explain_answer,
    0x30: count_answer, 0x31: stream_chunk, 0x32: stream_chunk, 0x40: append_answer,
    0x41: erase_answer,
    1: hello_answer, 2: ping_answer, 0x10: describe_answer, 0x20: table_answer,
    0x22: table_answer, 0x23: table_answer, 0x24: table_answer, 0x26: table_answer,
    0x27: table_answer, 0x28: table_answer, 0x29: table_answer,
}


# Section 8: stamp and table


def read_stamp(body):
    size = body.u32(0, "stampBytes")
    if size < 64 or size % 64:
        raise Refused("valueOutOfRange", f"stampBytes {size}")
    stamp = Body(body.take(0, size, "stamp"))
    model_count = stamp.count("H", 16, 64, "modelCount")
    stamp.zero(18, 6)
    currency_bytes = stamp.take(24, 8, "currency")
    used = currency_bytes.split(b"\0")[0]
    stamp.zero(24 + len(used), 8 - len(used), "currency")
    models, offset = [], 32
    for _ in range(model_count):
        version, checksum = stamp.u32(offset, "model"), stamp.u32(offset + 4, "model")
        name_size = stamp.count("H", offset + 8, 4096, "model name")
        stamp.zero(offset + 10, 2)
        models.append({"name": stamp.text(offset + 12, name_size, "model name"),
                       "version": version, "checksum": checksum})
        offset += 12 + name_size
    if size - offset >= 64:
        raise Refused("valueOutOfRange", f"stampBytes {size}")
    stamp.zero(offset, size - offset)
    result = {"generation": stamp.u64(8, "generation"), "asOfDay": stamp.unpack("i", 4, "asOfDay"),
              "currency": stamp.text(24, len(used), "currency"), "models": models}
    return result, size


TYPES = {1: ("i", 4), 2: ("q", 8), 3: ("f", 4), 4: ("d", 8), 5: ("I", 4)}


class Table:
    """The table at `start` of a body."""

    def __init__(self, body, start):
        self.body = body
        self.row_count = body.count("I", start, 1 << 20, "rowCount")
        self.column_count = body.count("H", start + 4, 1024, "columnCount")
        self.stride = body.u16(start + 6, "descriptorBytes")
        if self.stride < 32 or self.stride % 8:
            raise Refused("valueOutOfRange", f"descriptorBytes {self.stride}")
        self.subject_status = body.u8(start + 8, "subjectStatus")
        body.zero(start + 9, 7)
        self.directory = start + 16
        body.take(self.directory, self.column_count * self.stride, "directory")
        self.directory_end = self.end = self.directory + self.column_count * self.stride
        self.budget = 64 << 20

    def charge(self, size):
        self.budget -= size
        if self.budget < 0:
            raise Refused("overBudget")

    def use(self, offset, size, field):
        if offset % 64:
            raise Refused("misalignedBuffer", field)
        if offset < self.directory_end or offset + size > len(self.body):
            raise Refused("bufferOutsideBody", field)
        self.end = max(self.end, offset + size)

    def columns(self):
        seen, result = set(), []
        for index in range(self.column_count):
            place = self.directory + index * self.stride
            number = self.body.u16(place, "column id")
            if number in seen:
                raise Refused("duplicateColumn", str(number))
            seen.add(number)
            column = self.column(place)
            if column is not None:
                result.append({"id": number, "type": column[0], "values": column[1]})
        self.body.end(self.end)
        return result

    def column(self, place):
        body = self.body
        kind, encoding, flags = (body.u8(place + i, "descriptor") for i in (2, 3, 4))
        body.zero(place + 5, 3)
        if flags & 8:
            raise Refused("unsupportedEncoding", "critical flag")
        if kind not in TYPES or encoding > 1:
            if not flags & 4:
                raise Refused("unsupportedType" if kind not in TYPES else "unsupportedEncoding")
            if encoding != 1:
                self.skip(place)
            return None
        values = (self.constant if encoding else self.plain)(place, kind, flags)
        return kind, values

    def skip(self, place):
        validity, values, size, text, text_size = struct.unpack_from(
            "<5I", self.body.data, place + 8)
        if size:
            self.use(values, size, "values")
        if text_size:
            self.use(text, text_size, "text")
        if validity:
            self.use(validity, (self.row_count + 7) // 8, "validity")

    def constant(self, place, kind, flags):
        body, rows = self.body, self.row_count
        missing = bool(flags & 2)
        if flags & 1 or (kind == 5 and not missing):
            raise Refused("unsupportedEncoding", "constant")
        form, size = TYPES[kind]
        body.zero(place + 16, 16)
        if missing:
            body.zero(place + 8, 8, "value")
        else:
            body.zero(place + 8 + size, 8 - size, "value")
        self.charge(rows * (8 if kind == 5 else size))
        if missing:
            return [None] * rows
        value = body.unpack(form, place + 8, "value")
        if kind in (3, 4) and not math.isfinite(value):
            raise Refused("notFinite")
        return [value] * rows

    def plain(self, place, kind, flags):
        body, rows = self.body, self.row_count
        if flags & 2:
            raise Refused("unsupportedEncoding", "plain")
        validity_offset, values_offset, size, text_offset, text_size = struct.unpack_from(
            "<5I", body.data, place + 8)
        body.zero(place + 28, 4)
        form, lane = TYPES[kind]
        lanes = rows + 1 if kind == 5 else rows
        if size != lanes * lane:
            raise Refused("valueOutOfRange", f"valuesBytes {size}")
        self.use(values_offset, size, "values")
        valid = self.validity(validity_offset, flags)
        if kind == 5:
            self.use(text_offset, text_size, "text")
            self.charge(8 * lanes)
            self.charge(text_size)
            values = read_texts(body, rows, values_offset, text_offset, text_size)
        else:
            if text_offset or text_size:
                raise Refused("nonzeroReserved", "text of a number")
            self.charge(size)
            values = struct.unpack_from(f"<{rows}{form}", body.data, values_offset)
        if kind in (3, 4) and not all(math.isfinite(v) for v, ok in zip(values, valid) if ok):
            raise Refused("notFinite")
        return [value if ok else None for value, ok in zip(values, valid)]

    def validity(self, offset, flags):
        rows = self.row_count
        if not flags & 1:
            if offset:
                raise Refused("nonzeroReserved", "validityOffset")
            return [True] * rows
        size = (rows + 7) // 8
        self.use(offset, size, "validity")
        self.charge(size)
        bits = int.from_bytes(self.body.data[offset : offset + size], "little")
        if bits >> rows:
            raise Refused("nonzeroReserved", "validity")
        return [bool(bits >> row & 1) for row in range(rows)]


def read_table(body, start):
    table = Table(body, start)
    return {"rowCount": table.row_count, "subjectStatus": table.subject_status,
            "columns": table.columns()}


def read_texts(body, count, offsets_at, text_at, text_size):
    offsets = struct.unpack_from(f"<{count + 1}I", body.data, offsets_at)
    if offsets[0] != 0 or offsets[-1] != text_size or any(
        a > b for a, b in zip(offsets, offsets[1:])
    ):
        raise Refused("invalidOffsets")
    return [body.text(text_at + a, b - a, "text") for a, b in zip(offsets, offsets[1:])]


# Whole frames


def decode_frame(data, start, reader, maximum_length, features=0):
    """One frame as the JSON of the vectors, and where it ends. `features` are those agreed on, or
    of a HELLO what the server can do beyond what this program takes for granted."""
    header, payload, end = split_frame(data, start, maximum_length)
    meta, rest = open_payload(header, payload, features, maximum_length)
    opcode, answer = header["opcode"] & 0x7FFF, bool(header["opcode"] & 0x8000)
    reader = reader or ("client" if answer else "server")
    if answer != (reader == "client") or (opcode in (3, 6) and not answer) or (
        answer and opcode in (4, 5)
    ):
        raise Refused("wrongDirection", hex(header["opcode"]))
    body = Body(rest)
    frame = {"opcode": OPCODES.get(opcode, str(header["opcode"])),
             "requestID": header["requestID"]}
    if answer:
        frame["status"] = header["aux"]
        if opcode == 3:
            content = goaway(body)
        elif header["aux"]:
            content = error_body(body)
        elif opcode in ANSWERS:
            content = ANSWERS[opcode](body)
        else:
            raise Refused("unsupportedOperation", hex(opcode))
    else:
        frame["deadlineMilliseconds"] = header["aux"]
        if opcode not in REQUESTS:
            raise Refused("unsupportedOperation", hex(opcode))
        content = hello_request(body, features) if opcode == 1 else REQUESTS[opcode](body)
    frame["meta"] = meta
    frame["body"] = content
    return frame, end


def decode_stream(data, reader, maximum_length, features=0):
    offset, frames = 0, []
    while offset < len(data):
        frame, offset = decode_frame(data, offset, reader, maximum_length, features)
        frames.append(frame)
    return frames


def check(folder):
    """Compares every vector; prints disagreements and returns how many."""
    faults = 0
    count = 0
    for path in sorted(folder.glob("ok/*.bin")):
        count += 1
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
        try:
            frames = decode_stream(
                path.read_bytes(), expected["reader"], 16 << 20, expected.get("features", 0))
        except Refused as error:
            frames = [str(error)]
        if frames != [expected["frame"]]:
            faults += 1
            print(f"{path}: decoded {json.dumps(frames)}", file=sys.stderr)
    for path in sorted(folder.glob("error/*.bin")):
        count += 1
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
        status = name = None
        try:
            decode_stream(path.read_bytes(), expected["reader"], expected["maximumLength"],
                          expected.get("features", 0))
        except Refused as error:
            status, name = error.status, error.name
        closes = status is not None and status // 100 == 7
        if (status, name, closes) != (
            expected["status"], expected["statusName"], expected["closes"]
        ):
            faults += 1
            print(f"{path}: {name or 'accepted'} instead of {expected['statusName']}",
                  file=sys.stderr)
    for name in ("ok", "error"):
        kinds = [{path.stem for path in folder.glob(f"{name}/*.{kind}")} for kind in ("bin", "json")]
        if kinds[0] != kinds[1] or not kinds[0]:
            faults += 1
            print(f"{folder / name}: empty or unpaired {sorted(kinds[0] ^ kinds[1])}",
                  file=sys.stderr)
    print(f"{count} vectors, {faults} disagreements")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--reader", choices=("server", "client"))
    parser.add_argument("--maximum-length", type=int, default=16 << 20)
    parser.add_argument("--lz4", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(1 if check(arguments.check) else 0)
    if not arguments.file:
        parser.error("a file or --check DIR")
    try:
        frames = decode_stream(
            arguments.file.read_bytes(), arguments.reader, arguments.maximum_length,
            LZ4_FEATURE if arguments.lz4 else 0)
    except Refused as error:
        sys.exit(f"{arguments.file}: refused with status {error.status}, {error}")
    json.dump(frames, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
