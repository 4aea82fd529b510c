"""What the tests share: vectors, frames as a server writes them, and a server of a few lines whose
faults are arranged.
"""

import asyncio
import pathlib
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from patron_client._crc32c import by_table  # noqa: E402
from patron_client._frame import FrameReader, encode_meta  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
VECTORS = REPOSITORY / "protocol" / "vectors" / "v1"

HELLO, PING, GOAWAY, CREDIT, CANCEL, DESCRIBE, LOOKUP, TOP_PRODUCTS = 1, 2, 3, 4, 5, 0x10, 0x20, 0x22
COUNT, AUDIENCE, SCAN = 0x30, 0x31, 0x32
INT32, INT64, FLOAT32, FLOAT64, TEXT = 1, 2, 3, 4, 5
_FORMS = {INT32: "i", INT64: "q", FLOAT32: "f", FLOAT64: "d"}


def frame(opcode, request_id, body, aux=0, items=(), flags=0):
    """A frame; `aux` is the status of an answer."""
    meta = encode_meta(list(items))
    payload = meta + body
    head = struct.pack(
        "<IHBBHHIIII", 28 + len(payload), 0x50D7, 1, 8, opcode, flags | (4 if meta else 0),
        request_id, len(body), aux, by_table(payload) if payload else 0)
    return head + struct.pack("<I", by_table(head)) + payload


def answer(opcode, request_id, body, status=0, items=()):
    return frame(0x8000 | opcode, request_id, body, status, items)


def error_body(text="", hint="", field="", place=0xFFFFFFFF, generation=0):
    parts = [part.encode() for part in (text, hint, field)]
    sizes = [len(part) for part in parts]
    return struct.pack("<HHHHIIQ", *sizes, 0, place, 0, generation) + b"".join(parts)


def goaway(status, text, grace=1000):
    return frame(0x8003, 0, struct.pack("<II", grace, 0) + error_body(text), status)


def hello_answer(request_id, maximum_ids=65536, in_flight=1024, frame_bytes=16 << 20, active=0):
    body = struct.pack(
        "<B3xIQQIIIIQiHH", 1, frame_bytes, active, 1 << 60, maximum_ids, in_flight, 0, 0, 7, 20000,
        4, 0)
    return answer(HELLO, request_id, body + b"fake")


def stamp(generation=7):
    head = struct.pack("<IiQH6x8s", 64, 20000, generation, 0, b"EUR")
    return head + bytes(64 - len(head))


def table(columns, rows, start, subject_status=0):
    """Columns are (id, type, values with None where missing); plain, at `start` of a body."""
    directory_end = start + 16 + 32 * len(columns)
    directory, buffers = [], bytearray()

    def place(data):
        buffers.extend(bytes(-(directory_end + len(buffers)) % 64))
        at = directory_end + len(buffers)
        buffers.extend(data)
        return at

    for number, kind, values in columns:
        validity_at, flags = 0, 0
        if None in values:
            bits = sum(1 << row for row, value in enumerate(values) if value is not None)
            flags, validity_at = 1, place(bits.to_bytes((rows + 7) // 8, "little"))
        text_at = text_size = 0
        if kind == TEXT:
            texts = [(value or "").encode() for value in values]
            offsets = [0]
            for text in texts:
                offsets.append(offsets[-1] + len(text))
            lanes = struct.pack(f"<{rows + 1}I", *offsets)
            at = place(lanes)
            blob = b"".join(texts)
            text_at, text_size = place(blob), len(blob)
        else:
            lanes = struct.pack(
                f"<{rows}{_FORMS[kind]}", *(0 if value is None else value for value in values))
            at = place(lanes)
        directory.append(struct.pack(
            "<HBBB3xIIIII4x", number, kind, 0, flags, validity_at, at, len(lanes), text_at,
            text_size))
    head = struct.pack("<IHHB7x", rows, len(columns), 32, subject_status)
    return head + b"".join(directory) + bytes(buffers)


def table_body(columns, rows, generation=7, subject_status=0):
    return stamp(generation) + table(columns, rows, 64, subject_status)


def lookup_ids(request):
    """The integer ids of a LOOKUP, and its column numbers."""
    body = bytes(request.payload)
    _, _, columns, count = struct.unpack_from("<BBHI", body)
    numbers = struct.unpack_from(f"<{columns}H", body, 8)
    start = (8 + 2 * columns + 7) // 8 * 8
    return list(struct.unpack_from(f"<{count}q", body, start)), list(numbers)


def lookup_answer(request, generation=7, columns=None):
    """Column 19 is the id times ten, but for ids below 0, which are unknown."""
    ids, _ = lookup_ids(request)
    made = columns or [
        (0xF001, INT32, [0 if i >= 0 else 1 for i in ids]),
        (19, FLOAT64, [i * 10.0 if i >= 0 else None for i in ids])]
    return answer(LOOKUP, request.request_id, table_body(made, len(ids), generation))


def describe_answer(request, columns, generation=7):
    """Columns are (id, name)."""
    made = [
        (0xF020, INT32, [number for number, _ in columns]),
        (0xF021, TEXT, [name for _, name in columns]),
        (0xF022, INT32, [FLOAT64] * len(columns)),
        (0xF023, TEXT, [""] * len(columns)),
        (0xF024, TEXT, ["of the test"] * len(columns)),
    ]
    facts = struct.pack("<QQBB46x", 5, 6, 1, 2)
    body = stamp(generation) + facts + table(made, len(columns), 128)
    return answer(DESCRIBE, request.request_id, body)


def ping_answer(request, generation=7):
    (token,) = struct.unpack("<Q", bytes(request.payload)[-8:])
    return answer(PING, request.request_id, struct.pack("<QQ", token, generation))


class Peer:
    """One connection of the fake server."""

    def __init__(self, sock, number):
        self.sock, self.number = sock, number
        #: Of this connection, HELLO not counted.
        self.requests = []

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # the client has gone, as some tests want

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class FakeServer:
    """Answers HELLO, and gives every other request to `script(peer, request)`."""

    def __init__(self, script, tls=None, **hello):
        self.script, self.hello, self.tls = script, hello, tls
        self.peers, self.hellos, self.failures = [], [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_listening()
        for peer in self.peers:
            peer.close()
        for thread in self._threads:
            thread.join(5)
        if self.failures:
            raise self.failures[0]

    def stop_listening(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.tls is not None:
                try:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                except OSError:
                    continue
            peer = Peer(sock, len(self.peers))
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer):
        reader = FrameReader(64 << 20)
        try:
            while True:
                try:
                    data = peer.sock.recv(1 << 20)
                except OSError:
                    break
                if not data:
                    break
                for request in reader.feed(data):
                    if request.opcode == HELLO:
                        self.hellos.append(request)
                        peer.send(hello_answer(request.request_id, **self.hello))
                    else:
                        peer.requests.append(request)
                        self.script(peer, request)
        except Exception as error:  # told by the test that made the server
            self.failures.append(error)
        finally:
            peer.sock.close()


def requires(module):
    """Skips where a package that is not compulsory is absent, and says so."""
    try:
        __import__(module)
    except ImportError:
        return unittest.skip(f"{module} is not installed")
    return lambda test: test


def run(coroutine):
    return asyncio.run(coroutine)
