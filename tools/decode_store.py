#!/usr/bin/env python3
"""An independent reader of the workspace's files, written from protocol/STORE.md.

decode_store.py FILE         prints a file's meaning as JSON
decode_store.py --check DIR  compares every file of DIR that has a .json beside it; exits 1 where
                             one disagrees
"""
import json
import os
import struct
import sys

BLOCK_ROWS = 16384
COLUMN_TYPES = {1: "int64", 2: "float32", 3: "float64", 4: "text"}
ENCODINGS = {1: "constant", 2: "raw", 3: "frameOfReference", 4: "delta", 5: "runLength",
             6: "dictionary", 7: "packed", 8: "packedDelta", 9: "packedDictionary",
             10: "runEnds", 11: "decimal", 12: "sparse"}
FIRST_OF_VERSION_2 = 7
VECTOR_ROWS = 1024
ARRAY_TYPES = {1: ("uint8", "B"), 2: ("int32", "i"), 3: ("uint32", "I"), 4: ("int64", "q"),
               5: ("uint64", "Q"), 6: ("float32", "I"), 7: ("float64", "Q")}
MASK = (1 << 64) - 1


class Refused(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Refused(message)


def make_crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc_with_hole(data, position):
    return crc32c(data[:position] + bytes(4) + data[position + 4:])


def round_up(value, alignment):
    return -(-value // alignment) * alignment


def signed(value):
    return value - (1 << 64) if value >> 63 else value


class Reader:
    """Takes fields off the front of some bytes; refuses to read past the end."""

    def __init__(self, data):
        self.data = data
        self.offset = 0

    def take(self, count):
        require(self.offset + count <= len(self.data), "bytes are missing")
        self.offset += count
        return self.data[self.offset - count:self.offset]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def zeros(self, count):
        require(not any(self.take(count)), "reserved bytes are not zero")

    def pad(self, alignment):
        self.zeros(round_up(self.offset, alignment) - self.offset)

    def end(self):
        require(self.offset == len(self.data), "bytes are left over")

    def packed(self, count, width):
        words = self.take(-(-count * width // 64) * 8)
        bits = int.from_bytes(words, "little")
        require(bits >> (count * width) == 0, "unused bits are not zero")
        mask = (1 << width) - 1
        # One shift of a long number a value would be quadratic: go by groups of 64 values.
        values = []
        for start in range(0, count, 64):
            size = min(64, count - start)
            group = int.from_bytes(words[start * width // 8:(start + 64) * width // 8], "little")
            values += [group >> i * width & mask for i in range(size)]
        return values


    def lanes(self, count, width):
        """Lane-packed numbers: section 1, "Lane packing"."""
        if width > 32:
            low = self.lanes(count, 32)
            return [a | b << 32 for a, b in zip(low, self.lanes(count, width - 32))]
        values = []
        for start in range(0, count, 512):
            size = min(512, count - start)
            rows = -(-size // 16)
            words = -(-rows * width // 32)
            data = struct.unpack("<%dI" % (16 * words), self.take(64 * words))
            group = []
            for lane in range(16):
                bits = 0
                for word in range(words):
                    bits |= data[16 * word + lane] << 32 * word
                numbers = len(range(lane, size, 16))
                require(bits >> numbers * width == 0, "unused bits are not zero")
                group.append([bits >> r * width & (1 << width) - 1 for r in range(numbers)])
            values += [group[i % 16][i // 16] for i in range(size)]
        return values


def lz4_block(data, plain_count):
    """The LZ4 block format: token, literals, offset, match; the last sequence has no match."""
    source, out = Reader(data), bytearray()

    def length(nibble):
        total = nibble
        while nibble == 15:
            byte = source.number("B")
            total += byte
            if byte != 255:
                break
        return total

    while True:
        token = source.number("B")
        out += source.take(length(token >> 4))
        require(len(out) <= plain_count, "an LZ4 block is too long")
        if source.offset == len(data):
            break
        distance = source.number("H")
        require(0 < distance <= len(out), "an LZ4 match starts before the data")
        count = length(token & 15) + 4
        require(len(out) + count <= plain_count, "an LZ4 block is too long")
        for _ in range(count):
            out.append(out[-distance])
    require(len(out) == plain_count, "an LZ4 block is too short")
    return bytes(out)


# --- segment files


def decode_segment(data):
    require(len(data) >= 96, "truncated")
    header, trailer = data[:64], data[-32:]
    version = struct.unpack_from("<I", header, 8)[0]
    require(version in (1, 2), "unknown version")
    require(struct.unpack_from("<I", header, 12)[0] == crc_with_hole(header, 12), "header CRC")
    require(struct.unpack_from("<I", header, 16)[0] == BLOCK_ROWS, "rows a block")
    require(not any(header[20:]), "reserved bytes are not zero")
    require(trailer[24:] == b"GESNRTAP", "truncated")
    footer_offset, footer_count, footer_crc, trailer_crc = struct.unpack_from("<QQII", trailer)
    require(trailer_crc == crc_with_hole(trailer, 20), "trailer CRC")
    require(footer_offset >= 64 and footer_offset + footer_count == len(data) - 32, "footer place")
    footer = Reader(data[footer_offset:footer_offset + footer_count])
    require(crc32c(footer.data) == footer_crc, "footer CRC")

    rows, blocks, column_count = footer.number("Q"), footer.number("I"), footer.number("I")
    require(rows <= 1 << 40 and blocks == -(-rows // BLOCK_ROWS), "blocks do not fit rows")
    require(1 <= column_count <= 4096, "columns")
    columns = []
    for _ in range(column_count):
        kind, is_hot = footer.number("B"), footer.number("B")
        require(is_hot <= (version == 2), "reserved bytes are not zero")
        name_count, unit_count = footer.number("H"), footer.number("H")
        footer.zeros(2)
        require(kind in COLUMN_TYPES and 1 <= name_count <= 255 and unit_count <= 255, "column")
        name, unit = footer.take(name_count).decode(), footer.take(unit_count).decode()
        columns.append({"name": name, "unit": unit, "type": COLUMN_TYPES[kind], "values": [],
                        "blocks": []})
        if is_hot:
            columns[-1]["isHot"] = True
    require(len({c["name"] for c in columns}) == column_count, "a name is repeated")

    end = 64
    for block in range(blocks):
        count = min(BLOCK_ROWS, rows - block * BLOCK_ROWS)
        for column in columns:
            end = decode_chunk(data, footer, column, count, end, version)
    footer.end()
    require(end == footer_offset, "chunks do not end at the footer")
    return {"format": "segment", "rowCount": rows, "columns": columns}


def decode_chunk(data, footer, column, count, expected_offset, version):
    offset, stored, plain = footer.number("Q"), footer.number("I"), footer.number("I")
    crc, encoding, is_lz4 = footer.number("I"), footer.number("B"), footer.number("B")
    has_bitmap, has_bounds, nulls = footer.number("B"), footer.number("B"), footer.number("I")
    has_zones = footer.number("B")
    footer.zeros(3)
    low, high = footer.number("Q"), footer.number("Q")
    require(offset == expected_offset, "a chunk's place")
    require(plain <= 1 << 30 and nulls <= count and encoding in ENCODINGS, "entry")
    require(is_lz4 <= 1 and has_bounds <= 1 and has_bitmap == (nulls > 0), "entry")
    require(has_bounds or low == high == 0, "entry")
    require(version == 2 or encoding < FIRST_OF_VERSION_2, "an encoding of a later version")
    require(has_zones <= (version == 2 and has_bounds and count > VECTOR_ROWS
                          and column["type"] != "text"), "entry")
    if column.get("isHot"):
        require(not is_lz4, "a hot chunk under LZ4")
        require(column["type"] == "text" or encoding not in (3, 4, 5, 6, 8), "a hot encoding")
    chunk = data[offset:offset + stored]
    require(len(chunk) == stored and crc32c(chunk) == crc, "chunk CRC")
    end = round_up(offset + stored, 8)
    require(not any(data[offset + stored:end]), "padding")
    if is_lz4:
        require(stored < plain <= 256 * stored, "entry")
        chunk = lz4_block(chunk, plain)
    require(len(chunk) == plain, "entry")
    reader = Reader(chunk)
    valid = reader.packed(count, 1) if has_bitmap else [1] * count
    require(valid.count(0) == nulls, "null count")
    name = ENCODINGS[encoding]
    zones = decode_zones(reader, column["type"], count) if has_zones else None
    if column["type"] == "text":
        values = decode_texts(reader, name, count, nulls == count)
    else:
        values = decode_numbers(reader, name, count, column["type"])
    reader.end()
    column["values"] += [v if ok else None for v, ok in zip(values, valid)]
    if column["type"] == "int64":
        bounds = [signed(low), signed(high)]
    else:
        bounds = ["%016x" % low, "%016x" % high]
    column["blocks"].append({
        "encoding": name, "isCompressed": bool(is_lz4), "rowCount": count, "nullCount": nulls,
        "bounds": bounds if has_bounds else None})
    if zones is not None:
        column["blocks"][-1]["hasZones"] = True
        check_zones(zones, column["type"], values, valid, low, high)
    return end


def decode_zones(reader, kind, count):
    code = {"int64": "q", "float32": "f", "float64": "d"}[kind]
    return [(reader.number(code), reader.number(code)) for _ in range(-(-count // VECTOR_ROWS))]


def check_zones(zones, kind, values, valid, low, high):
    """The stored zones are the bounds of each vector's rows, and together those of the chunk."""
    def key(value):
        return (value, struct.pack(">d", value)[0] < 128 if kind != "int64" else 0)

    def number(value):
        if kind == "int64":
            return value
        data = bytes.fromhex(value)
        return struct.unpack(">f" if kind == "float32" else ">d", data)[0]

    none = (2**63 - 1, -2**63) if kind == "int64" else (float("inf"), float("-inf"))
    found = []
    for vector, zone in enumerate(zones):
        rows = range(vector * VECTOR_ROWS, min(len(values), (vector + 1) * VECTOR_ROWS))
        inside = [number(values[row]) for row in rows if valid[row]]
        inside = [value for value in inside if value == value]
        expected = (min(inside, key=key), max(inside, key=key)) if inside else none
        require((key(zone[0]), key(zone[1])) == (key(expected[0]), key(expected[1])), "a zone")
        found += expected if inside else ()
    packed = struct.pack("<q" if kind == "int64" else "<d", min(found, key=key))
    require(int.from_bytes(packed, "little") == low, "zones do not span the bounds")
    packed = struct.pack("<q" if kind == "int64" else "<d", max(found, key=key))
    require(int.from_bytes(packed, "little") == high, "zones do not span the bounds")


def decode_numbers(reader, encoding, count, kind):
    values = decode_patterns(reader, encoding, count, kind)
    if kind == "int64":
        return [signed(v) for v in values]
    return [("%08x" if kind == "float32" else "%016x") % v for v in values]


def decode_patterns(reader, encoding, count, kind):
    """The bit patterns of a chunk's numbers."""
    code = "I" if kind == "float32" else "Q"

    def width(limit):
        value = reader.number("B")
        require(value <= limit, "a width")
        return value

    if encoding == "constant":
        values = [reader.number(code)] * count
    elif encoding == "raw":
        values = [reader.number(code) for _ in range(count)]
    elif encoding == "frameOfReference" and kind == "int64":
        reference, bits = reader.number("Q"), width(64)
        reader.zeros(7)
        values = [(reference + v) & MASK for v in reader.packed(count, bits)]
    elif encoding == "delta" and kind == "int64":
        values, reference, bits = [reader.number("Q")], reader.number("Q"), width(64)
        reader.zeros(7)
        for v in reader.packed(count - 1, bits):
            values.append((values[-1] + reference + v) & MASK)
    elif encoding == "runLength":
        runs, bits = reader.number("I"), width(14)
        reader.zeros(3)
        require(1 <= runs <= count, "runs")
        elements = [reader.number(code) for _ in range(runs)]
        pad_part(reader, runs * struct.calcsize(code))
        values = []
        for element, excess in zip(elements, reader.packed(runs, bits)):
            values += [element] * (excess + 1)
        require(len(values) == count, "runs do not add up")
    elif encoding in ("dictionary", "packedDictionary"):
        size, bits = reader.number("I"), width(14)
        reader.zeros(3)
        require(1 <= size <= count, "dictionary")
        elements = [reader.number(code) for _ in range(size)]
        pad_part(reader, size * struct.calcsize(code))
        codes = (reader.packed if encoding == "dictionary" else reader.lanes)(count, bits)
        require(max(codes) < size, "a code without a value")
        values = [elements[c] for c in codes]
    elif encoding == "packed" and kind == "int64":
        reference, bits = reader.number("Q"), width(64)
        reader.zeros(1)
        exceptions = reader.number("H")
        reader.zeros(4)
        values = [(reference + v) & MASK for v in reader.lanes(count, bits)]
        patch(reader, values, exceptions, code)
    elif encoding == "packedDelta" and kind == "int64":
        reference, bits = reader.number("Q"), width(64)
        reader.zeros(7)
        firsts = [reader.number("Q") for _ in range(-(-count // VECTOR_ROWS))]
        values = []
        for row, v in enumerate(reader.lanes(count, bits)):
            if row % VECTOR_ROWS == 0:
                values.append(firsts[row // VECTOR_ROWS])
            else:
                values.append((values[-1] + reference + v) & MASK)
    elif encoding == "runEnds":
        runs, bits = reader.number("I"), width(14)
        reader.zeros(3)
        require(1 <= runs <= count, "runs")
        elements = [reader.number(code) for _ in range(runs)]
        pad_part(reader, runs * struct.calcsize(code))
        values = []
        for element, end in zip(elements, reader.lanes(runs, bits)):
            require(end >= len(values), "the ends of runs do not ascend")
            values += [element] * (end + 1 - len(values))
        require(len(values) == count, "runs do not add up")
    elif encoding == "decimal" and kind != "int64":
        values = decode_decimals(reader, count, kind, width)
    elif encoding == "sparse":
        values = decode_sparse(reader, count, kind)
    else:
        raise Refused("encoding does not fit the column")
    return values


def patch(reader, values, exceptions, code):
    rows = [reader.number("H") for _ in range(exceptions)]
    pad_part(reader, 2 * exceptions)
    elements = [reader.number(code) for _ in range(exceptions)]
    pad_part(reader, exceptions * struct.calcsize(code))
    require(all(a < b for a, b in zip(rows, rows[1:])), "the rows of exceptions do not ascend")
    require(not rows or rows[-1] < len(values), "an exception outside")
    for row, element in zip(rows, elements):
        values[row] = element


def decode_decimals(reader, count, kind, width):
    is_single = kind == "float32"
    reference, bits = reader.number("q"), width(24 if is_single else 50)
    exponent, exceptions = reader.number("B"), reader.number("H")
    reader.zeros(4)
    require(abs(reference) <= 1 << (24 if is_single else 50), "a reference")
    require(exponent <= (7 if is_single else 15), "an exponent")
    values = []
    for v in reader.lanes(count, bits):
        d = reference + v
        if is_single:
            # A float has 24 bits: its quotient by 10^7 or less is never so near the middle of two
            # floats that rounding it to a double first would change the result.
            single = struct.unpack("<f", struct.pack("<f", d))[0]
            packed = struct.pack("<f", int(single) / 10**exponent)
        else:
            packed = struct.pack("<d", d / 10**exponent)
        values.append(int.from_bytes(packed, "little"))
    patch(reader, values, exceptions, "I" if is_single else "Q")
    return values


def decode_sparse(reader, count, kind):
    frequent = reader.number("I" if kind == "float32" else "Q")
    reader.zeros(4 if kind == "float32" else 0)
    others, encoding = reader.number("I"), reader.number("B")
    reader.zeros(3)
    require(encoding in (2, 7, 9, 11) and 1 <= others <= count, "the others")
    bits = reader.packed(count, 1)
    vectors = -(-count // VECTOR_ROWS)
    ranks = [reader.number("H") for _ in range(vectors)]
    pad_part(reader, 2 * vectors)
    require(ranks == [sum(bits[:v * VECTOR_ROWS]) for v in range(vectors)], "ranks")
    require(sum(bits) == others, "ranks")
    values = iter(decode_patterns(reader, ENCODINGS[encoding], others, kind))
    return [next(values) if bit else frequent for bit in bits]


def pad_part(reader, count):
    reader.zeros(round_up(count, 8) - count)


def decode_texts(reader, encoding, count, all_null):
    def texts(number, bits):
        require(bits <= 25, "a width")
        byte_count = reader.number("Q")
        lengths = reader.packed(number, bits)
        require(sum(lengths) == byte_count, "lengths do not add up")
        found = [reader.take(n).decode() for n in lengths]
        pad_part(reader, byte_count)
        return found

    if encoding == "raw":
        bits = reader.number("B")
        reader.zeros(7)
        return texts(count, bits)
    require(encoding in ("dictionary", "packedDictionary"), "encoding does not fit the column")
    size, code_bits, bits = reader.number("I"), reader.number("B"), reader.number("B")
    reader.zeros(2)
    require(size <= count and code_bits <= 14 and (size or all_null), "dictionary")
    values = texts(size, bits) or [""]
    codes = (reader.packed if encoding == "dictionary" else reader.lanes)(count, code_bits)
    require(max(codes) < len(values), "a code without a value")
    return [values[c] for c in codes]


# --- array files


def decode_arrays(data):
    require(len(data) >= 64, "truncated")
    version, crc, file_count, header_count, count, kind_count, card_count = struct.unpack_from(
        "<IIQIIII", data, 8)
    require(version == 1, "unknown version")
    require(file_count == len(data) and 64 <= header_count <= len(data), "truncated")
    header = Reader(data[:header_count])
    require(crc_with_hole(header.data, 12) == crc, "header CRC")
    require(count <= 4096 and 1 <= kind_count <= 255 and card_count <= 256 << 20, "limits")
    header.take(40)
    header.zeros(24)
    entries, end = [], header_count
    for _ in range(count):
        offset, byte_count, crc = header.number("Q"), header.number("Q"), header.number("I")
        kind, rank, name_count = header.number("B"), header.number("B"), header.number("H")
        header.zeros(8)
        shape = [header.number("Q") for _ in range(4)]
        require(kind in ARRAY_TYPES and 1 <= rank <= 4 and 1 <= name_count <= 255, "entry")
        require(not any(shape[rank:]), "entry")
        shape = shape[:rank]
        name, code = ARRAY_TYPES[kind]
        elements = 1
        for dimension in shape:
            elements *= dimension
        require(elements * struct.calcsize(code) == byte_count, "shape")
        require(offset == round_up(end, 64) and not any(data[end:offset]), "an array's place")
        body = data[offset:offset + byte_count]
        require(len(body) == byte_count and crc32c(body) == crc, "array CRC")
        end = offset + byte_count
        values = list(struct.unpack("<%d%s" % (elements, code), body))
        if name == "float32":
            values = ["%08x" % v for v in values]
        if name == "float64":
            values = ["%016x" % v for v in values]
        entries.append((name_count, {"type": name, "shape": shape, "values": values}))
    require(round_up(end, 64) == len(data) and not any(data[end:]), "arrays do not fill the file")
    result = {"format": "arrays", "kind": header.take(kind_count).decode(),
              "card": header.take(card_count).decode(), "arrays": []}
    for name_count, entry in entries:
        entry["name"] = header.take(name_count).decode()
        result["arrays"].append(entry)
    header.end()
    arrays = {entry["name"]: entry for entry in result["arrays"]}
    require(len(arrays) == count, "a name is repeated")
    for name in arrays:
        if name.endswith(".slots"):
            result["ids"] = decode_index(arrays, name[:-6])
        if name.endswith(".entries"):
            result["ids"] = decode_keyed_index(arrays, name[:-8])
        if name.endswith(".schema"):
            result["rows"] = decode_strip(arrays, name[:-7])
    return result


def mix(h):
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


def hash_id(value):
    if isinstance(value, int):
        return mix(value & MASK)
    h = 0xCBF29CE484222325
    for byte in value.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK
    return mix(h)


P, Q = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F


def fold(a, b):
    return a * b >> 64 ^ a * b & MASK


def keyed_hash(key, value):
    """The hash of an id, an integer or bytes: section 5."""
    k, l = mix(key + P & MASK), mix(key + 2 * P & MASK)
    if isinstance(value, int):
        return fold(fold(value & MASK ^ k, P) ^ l, Q)
    def word(start, count=8):
        return int.from_bytes(value[start:start + count], "little")
    n, h, at, a, b = len(value), k, 0, 0, 0
    while n - at > 16:
        h = fold(word(at) ^ l, word(at + 8) ^ h)
        at += 16
    if n >= 16:
        a, b = word(n - 16), word(n - 8)
    elif n >= 8:
        a, b = word(0), word(n - 8)
    elif n >= 4:
        a, b = word(0, 4), word(n - 4, 4)
    elif n > 0:
        a = value[0] | value[n // 2] << 8 | value[-1] << 16
    return fold(fold(a ^ l, b ^ h) ^ Q, n ^ l)


def index_ids(arrays, prefix):
    """The ids by row, the bytes and the offsets of texts."""
    if prefix + ".ids" in arrays:
        return arrays[prefix + ".ids"]["values"], b"", []
    offsets = arrays[prefix + ".idOffsets"]["values"]
    data = bytes(arrays[prefix + ".idBytes"]["values"])
    require(offsets[0] == 0 and offsets[-1] == len(data), "id offsets")
    require(all(a <= b for a, b in zip(offsets, offsets[1:])), "id offsets")
    return [data[a:b].decode() for a, b in zip(offsets, offsets[1:])], data, offsets


def decode_keyed_index(arrays, prefix):
    ids, _, offsets = index_ids(arrays, prefix)
    require(arrays[prefix + ".key"]["shape"] == [1], "a key")
    require(arrays[prefix + ".entries"]["shape"][1:] == [2], "entries")
    key, words = arrays[prefix + ".key"]["values"][0], arrays[prefix + ".entries"]["values"]
    slots = list(zip(words[0::2], words[1::2]))
    size = len(slots)
    require(size > len(ids), "slots")
    for row, wanted in enumerate(ids):
        if isinstance(wanted, int):
            h, entry = keyed_hash(key, wanted), (wanted & MASK, row)
        else:
            h = keyed_hash(key, wanted.encode())
            length = offsets[row + 1] - offsets[row]
            entry = (h << 32 & MASK | row, offsets[row] << 25 | length)
        position = h * size >> 64
        while slots[position] != entry:
            require(slots[position][1] != MASK, "an id is not in the index")
            position = (position + 1) % size
    require(sum(s[1] != MASK for s in slots) == len(ids), "a slot without an id")
    require(all(s[0] == MASK for s in slots if s[1] == MASK), "an empty slot")
    return ids


def decode_index(arrays, prefix):
    """An index of version 1."""
    slots = arrays[prefix + ".slots"]["values"]
    ids, _, _ = index_ids(arrays, prefix)
    size = len(slots)
    require(size >= 2 and size & size - 1 == 0 and size >= 2 * len(ids), "slots")
    for row, wanted in enumerate(ids):
        h = hash_id(wanted)
        position = h % size
        while True:
            slot = slots[position]
            require(slot != MASK, "an id is not in the index")
            if slot >> 32 == h >> 32 and ids[slot & 0xFFFFFFFF] == wanted:
                require(slot & 0xFFFFFFFF == row, "an id is there twice")
                break
            position = (position + 1) % size
    require(sum(s != MASK for s in slots) == len(ids), "a slot without an id")
    return ids


def decode_strip(arrays, prefix):
    schema = json.loads(bytes(arrays[prefix + ".schema"]["values"]))
    records = arrays[prefix + ".records"]
    stride, word_count, fields = schema["stride"], schema["validityWordCount"], schema["fields"]
    require(records["shape"][1] * 8 == stride, "stride")
    require(word_count == max(1, -(-len(fields) // 64)), "validity words")
    data = struct.pack("<%dQ" % len(records["values"]), *records["values"])
    rows = []
    for row in range(records["shape"][0]):
        record = data[row * stride:(row + 1) * stride]
        valid = int.from_bytes(record[:word_count * 8], "little")
        used = bytearray(b"\1" * (word_count * 8 + 1) + bytes(stride - word_count * 8 - 1))
        values = {"status": record[word_count * 8]}
        for index, field in enumerate(fields):
            code = {"float32": "I", "float64": "Q", "int32": "i", "int64": "q"}[field["type"]]
            size, offset = struct.calcsize(code), field["offset"]
            require(offset % size == 0 and not any(used[offset:offset + size]), "a field's place")
            used[offset:offset + size] = b"\1" * size
            value = struct.unpack_from("<" + code, record, offset)[0]
            is_valid = valid >> index & 1
            require(is_valid or value == 0, "a field without a value is not zero")
            if field["type"].startswith("float"):
                value = ("%08x" if size == 4 else "%016x") % value
            values[field["name"]] = value if is_valid else None
        require(not any(b for b, u in zip(record, used) if not u), "padding of a record")
        rows.append(values)
    return rows


# --- manifest


def decode_manifest(data):
    line, _, body = data.partition(b"\n")
    words = line.decode().split(" ")
    require(len(words) == 3 and words[1] == "1", "unknown version")
    require(words[2] == "crc32c=%08x" % crc32c(body), "manifest CRC")
    return {"format": "manifest", "manifest": json.loads(body)}


# --- logs of live purchases


def decode_log(data):
    require(len(data) >= 64, "truncated")
    head = Reader(data[:64])
    head.take(8)
    version = head.number("I")
    require(version in (1, 2), "unknown version")
    require(head.number("I") == crc_with_hole(data[:64], 12), "header CRC")
    number, first = head.number("Q"), head.number("Q")
    head.zeros(32)
    records, offset = [], 64
    while offset < len(data):
        record, count = decode_record(data, offset, first + len(records), version)
        records.append(record)
        offset += count
    return {"format": "log", "number": number, "firstSequence": first, "records": records}


def decode_record(data, offset, expected, version):
    header = data[offset:offset + 64]
    require(len(header) == 64 and header[:4] == b"PREC", "no record")
    reader = Reader(header)
    reader.take(4)
    require(reader.number("I") == crc_with_hole(header, 4), "record header CRC")
    sequence, key, durable = reader.number("Q"), reader.take(16), reader.number("Q")
    body_count, body_crc = reader.number("I"), reader.number("I")
    rows, kind = reader.number("I"), reader.number("I")
    reader.zeros(8)
    require(sequence == expected and durable <= offset and 1 <= kind <= version, "record header")
    require(body_count <= 64 << 20 and rows <= 1 << 20, "record header")
    count = 64 + round_up(body_count, 8) + 8
    require(offset + count <= len(data), "an unfinished record")
    body = data[offset + 64:offset + 64 + body_count]
    require(crc32c(body) == body_crc, "body CRC")
    rest = Reader(data[offset + 64 + body_count:offset + count])
    rest.zeros(round_up(body_count, 8) - body_count)
    require(rest.number("I") == count and rest.take(4) == b"END\n", "end mark")
    if kind == 2:
        erasure = decode_erasure(Reader(body))
        require(len(erasure["customers"]) == rows, "customers of a record")
        return {"sequence": sequence, "key": key.hex(), "erasure": erasure}, count
    lines = decode_lines(Reader(body))
    require(len(lines["times"]) == rows, "lines of a record")
    return {"sequence": sequence, "key": key.hex(), "lines": lines}, count


def decode_erasure(reader):
    count, kind = reader.number("I"), reader.number("B")
    reader.zeros(3)
    time = reader.number("q")
    require(kind in (1, 2) and 1 <= count <= 1 << 20, "head of an erasure")
    if kind == 1:
        ids = [reader.number("q") for _ in range(count)]
    else:
        byte_count = reader.number("I")
        ends = [0] + [reader.number("I") for _ in range(count)]
        data = reader.take(byte_count)
        require(ends[-1] == byte_count and ends == sorted(ends), "ends of texts")
        ids = [data[a:b] for a, b in zip(ends, ends[1:])]
    reader.end()
    require(all(a < b for a, b in zip(ids, ids[1:])), "ids do not ascend")
    return {"customers": ids if kind == 1 else [text.decode() for text in ids], "time": time}


def decode_lines(reader):
    count, kind, columns = reader.number("I"), reader.number("B"), reader.number("B")
    reader.zeros(2)
    require(kind in (1, 2) and columns < 128, "head of the lines")

    def numbers(code, n):
        return [reader.number(code) for _ in range(n)]

    def texts(n):
        byte_count = reader.number("I")
        ends = [0] + numbers("I", n)
        data = reader.take(byte_count)
        require(ends[-1] == byte_count and ends == sorted(ends), "ends of texts")
        return [data[a:b].decode() for a, b in zip(ends, ends[1:])]

    def coded():
        values = texts(reader.number("I"))
        width = reader.number("B")
        require(width == (1 if len(values) < 255 else 2 if len(values) < 65535 else 4), "a width")
        codes = numbers({1: "B", 2: "H", 4: "I"}[width], count)
        return [None if c == (1 << 8 * width) - 1 else values[c] for c in codes]

    lines = {"customers": numbers("q", count) if kind == 1 else texts(count),
             "times": numbers("q", count), "amounts": numbers("q", count)}
    if columns & 1:
        lines["margins"] = numbers("q", count)
    if columns & 2:
        lines["quantities"] = ["%08x" % v for v in numbers("I", count)]
    for bit, name in enumerate(("orders", "products", "categories", "promotions", "channels"), 2):
        if columns >> bit & 1:
            lines[name] = coded()
    reader.end()
    return lines


def decode(path):
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"PATRNSEG"):
        return decode_segment(data)
    if data.startswith(b"PATRNARR"):
        return decode_arrays(data)
    if data.startswith(b"PATRNLOG"):
        return decode_log(data)
    if data.startswith(b"patron-manifest "):
        return decode_manifest(data)
    raise Refused("not a file of a workspace")


def check(folder):
    names = sorted(n for n in os.listdir(folder) if os.path.exists(
        os.path.join(folder, n + ".json")))
    failures = 0
    for name in names:
        path = os.path.join(folder, name)
        with open(path + ".json", encoding="utf-8") as file:
            expected = json.load(file)
        try:
            agrees = decode(path) == expected
            print("%s: %s" % (name, "agrees" if agrees else "DISAGREES"))
        except (Refused, ValueError, struct.error, KeyError, IndexError) as error:
            agrees = False
            print("%s: REFUSED: %s" % (name, error))
        failures += not agrees
    print("%d files, %d disagree" % (len(names), failures))
    return 1 if failures or not names else 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--check":
        return check(arguments[1])
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    try:
        print(json.dumps(decode(arguments[0]), sort_keys=True, ensure_ascii=False))
    except OSError as error:
        print(error, file=sys.stderr)
        return 74
    except (Refused, ValueError, struct.error, KeyError, IndexError) as error:
        print("%s: %s" % (arguments[0], error), file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
