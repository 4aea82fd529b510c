"""Labels, administration and PROGRESS, against both clients."""

import struct
import unittest

from .drivers import Asyncio, Blocking, Scenarios
from .support import (
    DESCRIBE, FLOAT64, INT32, INT64, LOOKUP, PING, SCAN, TEXT, answer, describe_answer, error_body, frame,
    lookup_answer, lookup_ids, ping_answer, stamp, table, table_body)
from patron_client import errors
from patron_client._frame import CANCEL, open_frame

MODELS, PUBLISH, STATS, DRAIN, SHADOW = 0x50, 0x52, 0x53, 0x54, 0x55
STREAMS = 1 << 1


def label_of(request):
    return open_frame(request)[0].model_label


def progress(request, done, total=300, unit=1):
    return frame(0x8006, request.request_id, struct.pack("<QQB7x", done, total, unit))


def published(request, generation=9):
    return answer(PUBLISH, request.request_id, stamp(generation) + struct.pack("<QQ48x", 7, 300))


def models(request):
    return answer(MODELS, request.request_id, table_body(
        [(0xF0A0, TEXT, ["stable"]), (0xF0A1, INT64, [7])], 1))


class Labels(Scenarios):
    def test_every_request_of_a_look_up_has_the_label(self):
        """Names are resolved by the labelled snapshot, which numbers its columns as it likes."""
        def script(peer, request):
            label = label_of(request)
            server.seen.append((request.opcode, label))
            generation, number = (9, 71) if label else (7, 70)
            if request.opcode == DESCRIBE:
                peer.send(describe_answer(request, [(number, "value_segment")], generation))
                return
            ids, asked = lookup_ids(type(request)(*request[:5], open_frame(request)[1], request.size))
            self.assertEqual(asked, [number])
            peer.send(answer(LOOKUP, request.request_id, table_body(
                [(0xF001, INT32, [0] * len(ids)), (number, FLOAT64, [float(number)] * len(ids))],
                len(ids), generation)))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        for _ in range(2):
            for label, expected in (("canary", 71.0), (None, 70.0)):
                found = self.driver.call(client.lookup, [1, 2], ["value_segment"], label=label)
                self.assertEqual(found["value_segment"].values, [expected] * 2)
                one = self.driver.call(client.lookup_one, 5, ["value_segment"], label=label)
                self.assertEqual(one["value_segment"], expected)
        # Each snapshot is described once.
        self.assertEqual(server.seen.count((DESCRIBE, "canary")), 1)
        self.assertEqual(server.seen.count((DESCRIBE, None)), 1)
        self.assertEqual(server.seen.count((LOOKUP, "canary")), 4)
        canary = client.with_options(label="canary")
        found = self.driver.call(canary.lookup, [1], ["value_segment"])
        self.assertEqual(found["value_segment"].values, [71.0])
        self.assertEqual(server.seen[-1], (LOOKUP, "canary"))
        # Back to the current one.
        found = self.driver.call(canary.lookup, [1], ["value_segment"], label=None)
        self.assertEqual(found["value_segment"].values, [70.0])

    def test_single_look_ups_are_joined_by_label(self):
        def script(peer, request):
            server.seen.append(label_of(request))
            peer.send(lookup_answer(type(request)(
                *request[:5], open_frame(request)[1], request.size)))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        calls = [
            self.driver.start(client.lookup_one, i, [19], label="canary" if i % 2 else None)
            for i in range(40)]
        for i, call in enumerate(calls):
            self.assertEqual(self.driver.wait(call)["lifetime_value"], i * 10.0)
        self.assertEqual(set(server.seen), {"canary", None})

    def test_streams_have_the_label(self):
        def script(peer, request):
            server.seen.append(label_of(request))
            facts = struct.pack("<Q32s24x", 1, b"t" * 32)
            body = stamp() + facts + table(
                [(0xF002, INT64, [1]), (0xF001, INT32, [0]), (19, FLOAT64, [1.0])], 1, 128)
            peer.send(answer(SCAN, request.request_id, body))

        server = self.serve(script, active=STREAMS)
        server.seen = []
        client = self.driver.connect(server.port)
        for options in ({"label": "canary"}, {}):
            stream = client.customers(columns=[19], **options)
            self.assertEqual(self.driver.next(stream).ids, [1])
            self.assertIsNone(self.driver.next(stream))
        self.assertEqual(server.seen, ["canary", None])

    def test_labels_go_with_what_takes_them(self):
        def script(peer, request):
            server.seen.append((request.opcode, label_of(request)))
            if request.opcode == PING:
                peer.send(ping_answer(request))
            elif request.opcode == MODELS:
                peer.send(models(request))
            else:
                peer.send(answer(request.opcode, request.request_id, error_body("no"), 204))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port).with_options(label="canary")
        self.driver.call(client.ping)
        self.driver.call(client.served_models)
        for ask in (client.top_products, client.top_customers, client.similar_products,
                    client.similar_customers, client.offer_products, client.offer_customers):
            self.assertEqual(self.refuses(errors.NotFound, ask, 1).name, "unknownLabel")
        for ask, given in (
                (client.describe, ()), (client.segments, ()), (client.segment_profiles, ()),
                (client.count, ("all",)), (client.explain, (1, "value")),
                (client.score, ([0], [0], [1]))):
            self.refuses(errors.NotFound, ask, *given)
        self.assertEqual(server.seen[:2], [(PING, None), (MODELS, None)])
        self.assertEqual({label for _, label in server.seen[2:]}, {"canary"})
        self.assertEqual(len(server.seen), 14)

    def test_labels_that_cannot_be(self):
        client = self.driver.connect(self.serve(lambda peer, request: None).port)
        for label in ("", "x" * 65, "\ud800", 7):
            with self.assertRaises(errors.FixRequest):
                client.with_options(label=label)
            self.refuses(errors.FixRequest, client.lookup, [1], [19], label=label)


class Administration(Scenarios):
    def test_progress_is_told(self):
        def script(peer, request):
            peer.send(progress(request, 100))
            peer.send(progress(request, 200, 0, 9) + progress(request, 300) + published(request))

        client = self.driver.connect(self.serve(script).port)
        told = []
        found = self.driver.call(client.publish, 9, progress=told.append)
        self.assertEqual((found.snapshot.generation, found.previous_generation), (9, 7))
        self.assertEqual(found.verified_byte_count, 300)
        self.assertEqual(
            [(p.done, p.total, p.unit) for p in told],
            [(100, 300, "bytes"), (200, None, "other 9"), (300, 300, "bytes")])

    def test_progress_comes_before_the_answer(self):
        """Not only with it: who waits is woken."""
        def script(peer, request):
            server.seen.append((peer, request))
            peer.send(progress(request, 100))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        told = []

        def on_progress(found):
            told.append(found.done)
            peer, request = server.seen[0]
            peer.send(progress(request, 200) if found.done == 100 else published(request))

        found = self.driver.call(client.publish, progress=on_progress)
        self.assertEqual((found.snapshot.generation, told), (9, [100, 200]))

    def test_progress_beside_other_calls(self):
        """One connection, one caller reads for all: each gets its own."""
        def script(peer, request):
            if request.opcode == PUBLISH:
                server.seen.append((peer, request))
                peer.send(progress(request, len(server.seen)))
            else:
                peer.send(ping_answer(request))
                if len(server.seen) == 4:
                    for number, (other, publish) in enumerate(server.seen):
                        other.send(progress(publish, 10 + number) + published(publish))

        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port, connections=1)
        told = [[] for _ in range(4)]
        calls = []
        for own in told:
            calls.append(self.driver.start(client.publish, progress=own.append))
            for _ in range(500):
                if len(server.seen) == len(calls):
                    break
                self.driver.sleep(0.01)
        self.assertEqual(self.driver.call(client.ping), 7)
        for number, call in enumerate(calls):
            self.assertEqual(self.driver.wait(call).snapshot.generation, 9)
            self.assertEqual([p.done for p in told[number]], [number + 1, 10 + number])

    def test_progress_that_nobody_wants_is_ignored(self):
        def script(peer, request):
            if request.opcode == PUBLISH:
                peer.send(progress(request, 1) + published(request))
            else:
                # Of a request that is answered, and of this one.
                peer.send(frame(0x8006, request.request_id - 1, struct.pack("<QQB7x", 1, 2, 1)))
                peer.send(progress(request, 1) + ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port, connections=1)
        self.assertEqual(self.driver.call(client.publish).snapshot.generation, 9)
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertEqual(len(server.peers), 1)

    def test_bad_progress_closes(self):
        def script(peer, request):
            if peer.number == 0:
                peer.send(frame(0x8006, request.request_id, struct.pack("<QQB7s", 1, 2, 1, b"x" * 7)))
            else:
                peer.send(ping_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        self.assertEqual(self.refuses(errors.MalformedAnswer, client.publish).name, "nonzeroReserved")
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assert_closed(server.peers[0])

    def test_who_fails_in_being_told_gives_up(self):
        def script(peer, request):
            server.seen.append(request.opcode)
            if request.opcode == PUBLISH:
                peer.send(progress(request, 1))
            elif request.opcode == PING:
                peer.send(ping_answer(request))

        server = self.serve(script, active=STREAMS)
        server.seen = []
        client = self.driver.connect(server.port, connections=1)

        def fail(_):
            raise KeyError("of the caller")

        self.refuses(KeyError, client.publish, progress=fail)
        self.assertEqual(self.driver.call(client.ping), 7)
        self.assertEqual(server.seen, [PUBLISH, CANCEL, PING])

    def test_deadlines_hold_while_there_is_progress(self):
        def script(peer, request):
            peer.send(progress(request, 1))

        client = self.driver.connect(self.serve(script).port)
        told = []
        self.refuses(errors.DeadlinePassed, client.publish, progress=told.append, deadline=0.2)
        self.assertEqual(len(told), 1)

    def test_what_is_repeated(self):
        answers = {
            MODELS: models, PUBLISH: published,
            DRAIN: lambda request: answer(DRAIN, request.request_id, struct.pack("<II", 2500, 0)),
            STATS: lambda request: answer(STATS, request.request_id, table_body(
                [(0xF0AC, TEXT, ["server"]), (0xF0AD, TEXT, ["connections"]), (0xF0AE, FLOAT64, [3.0])], 1)),
            SHADOW: lambda request: answer(SHADOW, request.request_id, (
                stamp(7) + stamp(9) + struct.pack("<IIQQQQQQ8x", 1, 5, 0, 0, 0, 0, 0, 0)
                + table([(0xF020, INT32, []), (0xF021, TEXT, []), (0xF0B0, INT64, [])], 0, 192)))}

        def script(peer, request):
            server.seen.append(request.opcode)
            if len(server.seen) == 1:
                peer.close()
            else:
                peer.send(answers[request.opcode](request))

        for name, given, is_repeated in (
                ("served_models", (), True), ("set_label", ("canary", 9), True),
                ("remove_label", ("canary",), False), ("publish", (9,), True), ("stats", (), True),
                ("drain", (), False), ("shadow_report", (), True), ("stop_shadow", (), True)):
            with self.subTest(name):
                server = self.serve(script)
                server.seen = []
                client = self.driver.connect(server.port)
                if is_repeated:
                    self.assertTrue(self.driver.call(getattr(client, name), *given))
                else:
                    self.refuses(errors.ConnectionLost, getattr(client, name), *given)
                self.assertEqual(len(server.seen), 2 if is_repeated else 1)
                if not is_repeated:
                    found = self.driver.call(getattr(client, name), *given)
                    self.assertEqual(found, 2.5 if name == "drain" else found)
        server = self.serve(script)
        server.seen = []
        client = self.driver.connect(server.port)
        self.refuses(errors.ConnectionLost, client.start_shadow, generation=9)
        self.assertEqual(self.driver.call(client.start_shadow, generation=9).state, "running")

    def test_what_was_overtaken_is_not_repeated(self):
        """Another operator's change is not undone by asking again."""
        def script(peer, request):
            peer.send(answer(request.opcode, request.request_id, error_body("overtaken"), 301))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        self.refuses(errors.RetryNow, client.publish, 9)
        self.refuses(errors.RetryNow, client.set_label, "canary", 9)
        self.assertEqual([len(peer.requests) for peer in server.peers], [2])
        # What reads is.
        self.refuses(errors.RetryNow, client.stats)
        self.assertGreater(sum(len(peer.requests) for peer in server.peers), 3)

    def test_what_cannot_be_is_not_sent(self):
        server = self.serve(lambda peer, request: None)
        client = self.driver.connect(server.port)
        for ask, given, options in (
                (client.publish, (0,), {}), (client.publish, (True,), {}),
                (client.set_label, ("", 1), {}), (client.set_label, ("x" * 65, 1), {}),
                (client.set_label, ("a", 0), {}), (client.remove_label, ("",), {}),
                (client.start_shadow, (), {}), (client.start_shadow, (), {"candidate": "a", "generation": 1}),
                (client.start_shadow, (), {"generation": 1, "share": 0}),
                (client.start_shadow, (), {"generation": 1, "share": 1e-9}),
                (client.start_shadow, (), {"generation": 1, "share": 1.1})):
            self.refuses(errors.FixRequest, ask, *given, **options)
        self.assertEqual([peer.requests for peer in server.peers], [[]])


class BlockingLabelTests(Labels, unittest.TestCase):
    Driver = Blocking


class AsyncioLabelTests(Labels, unittest.TestCase):
    Driver = Asyncio


class BlockingAdministrationTests(Administration, unittest.TestCase):
    Driver = Blocking


class AsyncioAdministrationTests(Administration, unittest.TestCase):
    Driver = Asyncio


if __name__ == "__main__":
    unittest.main()
