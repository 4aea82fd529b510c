"""What a server and a network may do, against both clients: the same scenarios, once with threads
and once with asyncio."""

import collections
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from .drivers import Asyncio, Blocking, Scenarios, Writing
from .support import DESCRIBE, LOOKUP, PING, FakeServer, answer, error_body, frame, goaway
from .support import lookup_answer, lookup_ids, ping_answer, table_body
import patron_client
from patron_client import Retries, errors
from patron_client._crc32c import crc32c
from patron_client._frame import read_meta


class Faults(Scenarios):
    # Faults in the server's bytes

    def fault(self, make, name, kind=errors.MalformedAnswer):
        """The first answer is at fault: the call fails, the connection closes, the next call is
        answered on a new one."""
        def script(peer, request):
            peer.send(make(request) if peer.number == 0 else ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        error = self.refuses(kind, client.ping)
        self.assertEqual(error.name, name)
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertEqual([len(peer.requests) for peer in server.peers], [1, 1])
        self.assert_closed(server.peers[0])

    def test_bad_body_checksum(self):
        def make(request):
            data = bytearray(ping_answer(request))
            data[-1] ^= 1
            return bytes(data)
        self.fault(make, "bodyChecksumMismatch")

    def test_bad_header_checksum(self):
        def make(request):
            data = bytearray(ping_answer(request))
            data[8] ^= 1
            return bytes(data)
        self.fault(make, "headerChecksumMismatch")

    def test_http(self):
        self.fault(lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n", "badMagic")

    def test_wrong_request_id(self):
        self.fault(
            lambda request: answer(PING, request.request_id + 1, bytes(16)), "valueOutOfRange")

    def test_answer_to_another_operation(self):
        self.fault(
            lambda request: answer(DESCRIBE, request.request_id, bytes(16)), "valueOutOfRange")

    def test_a_request_from_the_server(self):
        self.fault(lambda request: frame(PING, request.request_id, bytes(8)), "wrongDirection")

    def test_another_token(self):
        self.fault(lambda request: answer(PING, request.request_id, bytes(16)), "valueOutOfRange")

    def test_a_body_too_short(self):
        self.fault(lambda request: answer(PING, request.request_id, bytes(9)), "truncatedBody")

    def test_more_where_one_frame_answers(self):
        self.fault(
            lambda request: frame(0x8000 | PING, request.request_id, bytes(16), flags=2),
            "unsupportedFlag")

    def test_a_frame_above_the_limit(self):
        def make(request):
            head = struct.pack(
                "<IHBBHHIIII", (16 << 20) + 1, 0x50D7, 1, 8, 0x8000 | PING, 0, request.request_id,
                0, 0, 0)
            return head + struct.pack("<I", crc32c(head))
        self.fault(make, "frameTooLarge")

    def test_fatal_goaway(self):
        self.fault(
            lambda request: goaway(707, "bodyCRC is wrong", 0), "bodyChecksumMismatch",
            errors.ProtocolError)

    def test_fewer_rows_than_ids(self):
        def script(peer, request):
            peer.send(answer(LOOKUP, request.request_id, table_body([(0xF001, 1, [0])], 1)))

        client = self.driver.connect(self.serve(script).port)
        error = self.refuses(errors.MalformedAnswer, client.lookup, [1, 2], [19])
        self.assertEqual(error.field, "rowCount")

    # Lost connections

    def test_dropped_connection_is_tried_again(self):
        def script(peer, request):
            if peer.number == 0:
                peer.close()
            else:
                peer.send(lookup_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        found = self.driver.call(client.lookup, [4, -5], ["lifetime_value"])
        self.assertEqual(found["lifetime_value"].values, [40.0, None])
        self.assertEqual([len(peer.requests) for peer in server.peers], [1, 1])

    def test_cut_inside_a_frame(self):
        def script(peer, request):
            if peer.number == 0:
                peer.send(ping_answer(request)[:40])
                peer.close()
            else:
                peer.send(ping_answer(request))

        client = self.driver.connect(self.serve(script).port)
        error = self.refuses(errors.ProtocolError, client.ping)
        self.assertEqual(error.name, "unexpectedEnd")

    def test_what_changes_something_is_not_tried_again(self):
        server = self.serve(lambda peer, request: peer.close())
        client = self.driver.connect(server.port)
        with self.assertRaises(errors.ConnectionLost):
            self.ask(client, Writing(1))
        self.assertEqual(sum(len(peer.requests) for peer in server.peers), 1)

    def test_with_a_key_it_is(self):
        def script(peer, request):
            if peer.number == 0:
                peer.close()
            else:
                peer.send(ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        request = Writing(1)
        request.idempotency_key = os.urandom(16)
        self.assertEqual(self.ask(client, request).generation, 7)
        keys = [read_meta(p.requests[0].payload)[0].idempotency_key for p in server.peers]
        self.assertEqual(keys, [request.idempotency_key] * 2)

    def test_not_more_often_than_wanted(self):
        server = self.serve(lambda peer, request: peer.close())
        client = self.driver.connect(server.port, retries=Retries(attempts=3, first_pause=0.001))
        self.refuses(errors.ConnectionLost, client.ping)
        self.assertEqual(sum(len(peer.requests) for peer in server.peers), 3)

    def test_not_more_than_the_budget(self):
        server = self.serve(lambda peer, request: peer.close())
        retries = Retries(first_pause=0.001, budget_reserve=2, budget_share=0)
        client = self.driver.connect(server.port, retries=retries)
        for _ in range(5):
            self.refuses(errors.ConnectionLost, client.ping)
        self.assertEqual(sum(len(peer.requests) for peer in server.peers), 5 + 2)

    def test_closed_while_idle(self):
        server = self.serve(lambda peer, request: peer.send(ping_answer(request)))
        client = self.driver.connect(server.port)
        self.driver.call(client.ping)
        server.peers[0].send(goaway(712, "no frame for 10 minutes", 0))
        server.peers[0].close()
        self.driver.sleep(0.05)
        # Seen before anything is sent there: even what must not be repeated gets through.
        self.assertEqual(self.ask(client, Writing(2)).generation, 7)
        self.assertEqual([len(peer.requests) for peer in server.peers], [1, 1])

    def test_nobody_there(self):
        server = self.serve(lambda peer, request: None)
        server.stop_listening()
        error = self.refuses(errors.ConnectionLost, self.connecting(), server.port)
        self.assertIn(f"cannot connect to 127.0.0.1:{server.port}", str(error))

    def connecting(self):
        if self.Driver is Blocking:
            return lambda port: patron_client.connect("127.0.0.1", port, connect_timeout=0.3)
        return lambda port: patron_client.aio.connect("127.0.0.1", port, connect_timeout=0.3)

    def test_hello_without_an_answer(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        began = time.monotonic()
        self.refuses(
            (errors.DeadlinePassed, errors.ConnectionLost), self.connecting(),
            listener.getsockname()[1])
        self.assertLess(time.monotonic() - began, 3)

    def test_hello_refused(self):
        class Refusing(FakeServer):
            def _serve(self, peer):
                peer.sock.recv(4096)
                peer.send(answer(1, 1, error_body("no", "other credentials"), 601))
                peer.sock.close()

        server = Refusing(None)
        self.addCleanup(server.__exit__)
        error = self.refuses(errors.NotAllowed, self.connecting(), server.port)
        self.assertEqual((error.status, error.hint), (601, "other credentials"))

    def test_server_comes_back(self):
        server = self.serve(lambda peer, request: peer.send(ping_answer(request)))
        client = self.driver.connect(server.port)
        self.driver.call(client.ping)
        server.stop_listening()
        server.peers[0].close()
        self.driver.sleep(0.05)
        error = self.refuses(errors.ConnectionLost, client.ping)
        self.assertIn("cannot connect", str(error))

    def test_closing_ends_what_is_open(self):
        server = self.serve(lambda peer, request: None)
        client = self.driver.connect(server.port)
        call = self.driver.start(client.ping)
        self.driver.sleep(0.1)
        self.driver.close_client(client)
        with self.assertRaises(errors.ClientClosed):
            self.driver.wait(call)
        self.refuses(errors.ClientClosed, client.ping)

    # GOAWAY draining

    def test_drain(self):
        """The open request is answered on the old connection, the next goes to a new one."""
        held = []

        def script(peer, request):
            if peer.number == 0:
                held.append((peer, request))
                peer.send(goaway(502, "the server is shutting down"))
            else:
                peer.send(ping_answer(request, 8))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        first = self.driver.start(client.ping)
        self.driver.sleep(0.1)
        self.assertEqual(self.driver.call(client.ping), 8)
        peer, request = held[0]
        peer.send(ping_answer(request, 7))
        self.assertEqual(self.driver.wait(first), 7)
        self.assertEqual([len(peer.requests) for peer in server.peers], [1, 1])
        self.driver.call(client.ping)
        self.assert_closed(server.peers[0])

    def test_draining_answer(self):
        def script(peer, request):
            if peer.number == 0:
                peer.send(answer(PING, request.request_id, error_body("draining"), 502))
            else:
                peer.send(ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertEqual([len(peer.requests) for peer in server.peers], [1, 1])

    # Statuses

    def test_overloaded_waits_as_told(self):
        times = []

        def script(peer, request):
            times.append(time.monotonic())
            if len(times) == 1:
                item = [(5, struct.pack("<I", 150))]
                peer.send(answer(PING, request.request_id, error_body("busy"), 401, item))
            else:
                peer.send(ping_answer(request))

        client = self.driver.connect(self.serve(script).port)
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertGreaterEqual(times[1] - times[0], 0.15)

    def test_overloaded_for_longer_than_the_deadline(self):
        def script(peer, request):
            item = [(5, struct.pack("<I", 60_000))]
            peer.send(answer(PING, request.request_id, error_body("busy"), 401, item))

        client = self.driver.connect(self.serve(script).port)
        began = time.monotonic()
        error = self.refuses(errors.Overloaded, client.ping)
        self.assertEqual(error.retry_after, 60.0)
        self.assertLess(time.monotonic() - began, 2)

    def test_statuses_become_errors(self):
        statuses = {101: errors.FixRequest, 201: errors.NotFound, 503: errors.Unavailable,
                    602: errors.NotAllowed, 801: errors.DeadlinePassed, 901: errors.Cancelled,
                    1001: errors.Unsupported, 1101: errors.DataDamaged, 1201: errors.InternalError,
                    1399: errors.InternalError}
        left = list(statuses)

        def script(peer, request):
            body = error_body("text", "hint", "field", 12, 9)
            peer.send(answer(PING, request.request_id, body, left[0]))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        while left:
            error = self.refuses(statuses[left[0]], client.ping)
            self.assertEqual(
                (error.status, error.text, error.hint, error.field, error.byte_offset,
                 error.generation), (left[0], "text", "hint", "field", 12, 9))
            left.pop(0)
        self.assertEqual(len(server.peers), 1)
        self.assertEqual(len(server.peers[0].requests), len(statuses))

    # Deadlines

    def test_stall_past_the_deadline(self):
        late = []

        def script(peer, request):
            if not late:
                late.append((peer, request))
                return
            # The answer that came too late, then the one that is wanted.
            peer.send(ping_answer(late[0][1], 1) + ping_answer(request, 7))

        server = self.serve(script)
        client = self.driver.connect(server.port, connections=1)
        began = time.monotonic()
        self.refuses(errors.DeadlinePassed, client.ping, deadline=0.2)
        self.assertLess(time.monotonic() - began, 1)
        self.assertGreaterEqual(time.monotonic() - began, 0.2)
        self.assertTrue(1 <= late[0][1].aux <= 200, late[0][1].aux)
        self.assertEqual(self.driver.call(client.ping, deadline=None), 7)
        self.assertEqual(len(server.peers), 1)
        self.assertEqual(server.peers[0].requests[1].aux, 0)

    def test_deadline_of_a_view(self):
        server = self.serve(lambda peer, request: peer.send(ping_answer(request)))
        client = self.driver.connect(server.port)
        view = client.with_options(deadline=2, trace_id="t-1", priority=0)
        self.driver.call(view.ping)
        request = server.peers[0].requests[0]
        self.assertTrue(1 <= request.aux <= 2000)
        meta, _ = read_meta(request.payload)
        self.assertEqual((meta.trace_id, meta.priority), (b"t-1", 0))

    # Multiplexing

    def test_answers_in_another_order(self):
        held = []

        def script(peer, request):
            held.append(request)
            if len(held) == 5:
                for request in reversed(held):
                    peer.send(lookup_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port, connections=1)
        calls = [self.driver.start(client.lookup, [n], [19]) for n in range(5)]
        for n, call in enumerate(calls):
            self.assertEqual(self.driver.wait(call)[19].values, [10.0 * n])
        self.assertEqual(len({request.request_id for request in held}), 5)

    def test_never_more_than_the_server_takes(self):
        open_now, most, lock = [0], [0], threading.Lock()

        def script(peer, request):
            with lock:
                open_now[0] += 1
                most[0] = max(most[0], open_now[0])

            def later():
                time.sleep(0.01)
                with lock:
                    open_now[0] -= 1
                peer.send(ping_answer(request))
            threading.Thread(target=later).start()

        server = self.serve(script, in_flight=2)
        client = self.driver.connect(server.port, connections=1)
        for call in [self.driver.start(client.ping) for _ in range(12)]:
            self.assertEqual(self.driver.wait(call), 7)
        self.assertLessEqual(most[0], 2)
        self.assertEqual(len(server.peers), 1)

    def test_a_second_connection_while_the_first_is_busy(self):
        def script(peer, request):
            if request.opcode == LOOKUP:
                time.sleep(0.2)
                peer.send(lookup_answer(request))
            else:
                peer.send(ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port, connections=2)
        slow = self.driver.start(client.lookup, [1], [19])
        self.driver.sleep(0.05)
        for _ in range(5):
            self.driver.call(client.ping)
        self.driver.wait(slow)
        self.assertEqual(len(server.peers), 2)

    def test_hello_has_junk_and_wishes(self):
        server = self.serve(lambda peer, request: None)
        self.driver.connect(server.port, token=b"secret", client_name="shop 2")
        hello = server.hellos[0]
        (size,) = struct.unpack_from("<I", hello.payload)
        tag, _ = struct.unpack_from("<HH", hello.payload, 4)
        self.assertTrue(0x7F00 <= tag <= 0x7FFF)
        body = bytes(hello.payload)[4 + size :]
        (required, optional) = struct.unpack_from("<QQ", body, 8)
        self.assertEqual(required, 0)
        self.assertEqual(bin(optional >> 56).count("1"), 1)
        # Streams, the facts of affinity, and progress.
        self.assertEqual(optional & 0xFF, 2 | 8 | 16)
        self.assertTrue(body.endswith(b"secretshop 2"))

    def test_tls(self):
        if shutil.which("openssl") is None:
            self.skipTest("openssl, which makes the certificate, is not there")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                 "-keyout", f"{folder}/key", "-out", f"{folder}/cert", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
            trusting = ssl.create_default_context(cafile=f"{folder}/cert")
        server = self.serve(lambda peer, request: peer.send(lookup_answer(request)), tls=context)
        client = self.driver.connect(server.port, tls=trusting)
        ids = list(range(30_000))
        self.assertEqual(
            self.driver.call(client.lookup, ids, [19])[19].values, [10.0 * i for i in ids])
        calls = [self.driver.start(client.lookup, [i], [19]) for i in range(20)]
        for i, call in enumerate(calls):
            self.assertEqual(self.driver.wait(call)[19].values, [10.0 * i])
        with self.assertRaises(errors.ConnectionLost):
            self.driver.connect(server.port, tls=True)


class BlockingTests(Faults, unittest.TestCase):
    Driver = Blocking

    def test_many_threads_with_deadlines_that_pass(self):
        """Whoever reads may give up at any moment: the others get their answers."""
        source = random.Random(1)
        delays = collections.deque(source.choice((0, 0, 0, 0.005, 0.03)) for _ in range(100_000))

        def script(peer, request):
            delay = delays.popleft()
            if delay:
                threading.Timer(delay, lambda: peer.send(lookup_answer(request))).start()
            else:
                peer.send(lookup_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port, connections=2)
        outcomes = collections.Counter()

        def work(seed):
            own = random.Random(seed)
            for n in range(60):
                number = own.randrange(10_000)
                try:
                    found = client.lookup([number], [19], deadline=own.choice((0.004, 5, 5)))
                    self.assertEqual(found[19].values, [10.0 * number])
                    outcomes["answered"] += 1
                except errors.DeadlinePassed:
                    outcomes["passed"] += 1

        for call in [self.driver.start(work, seed) for seed in range(12)]:
            self.driver.wait(call)
        self.assertEqual(sum(outcomes.values()), 720)
        self.assertGreater(outcomes["answered"], 400)


class AsyncioTests(Faults, unittest.TestCase):
    Driver = Asyncio

    def test_a_cancelled_task(self):
        held = []

        def script(peer, request):
            held.append(request)
            if len(held) == 2:
                peer.send(ping_answer(held[0], 1) + ping_answer(held[1], 2))

        client = self.driver.connect(self.serve(script).port, connections=1)
        first = self.driver.start(client.ping)
        self.driver.sleep(0.05)
        first.cancel()
        self.driver.sleep(0.01)
        self.assertEqual(self.driver.call(client.ping), 2)


if __name__ == "__main__":
    unittest.main()
