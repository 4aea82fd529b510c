"""Look-ups of many frames, names of columns, and joined single look-ups, with both clients."""

import asyncio
import time
import unittest

from .drivers import Asyncio, Blocking, Scenarios
from .support import DESCRIBE, LOOKUP, answer, describe_answer, error_body, lookup_answer
from .support import lookup_ids, table_body
from patron_client import CustomerStatus, errors


class Lookups(Scenarios):
    def test_more_ids_than_a_frame_takes(self):
        server = self.serve(lambda peer, request: peer.send(lookup_answer(request)), maximum_ids=100)
        client = self.driver.connect(server.port, connections=1)
        ids = list(range(1000, 1950))
        found = self.driver.call(client.lookup, ids, [19])
        self.assertEqual(found[19].values, [10.0 * i for i in ids])
        self.assertEqual(len(found.statuses), 950)
        sizes = [len(lookup_ids(request)[0]) for request in server.peers[0].requests]
        self.assertEqual(sorted(sizes), [50] + [100] * 9)

    def test_parts_of_an_answer_too_large_are_halved(self):
        def script(peer, request):
            ids, _ = lookup_ids(request)
            if len(ids) > 30:
                peer.send(answer(LOOKUP, request.request_id, error_body("too large"), 116))
            else:
                peer.send(lookup_answer(request))

        client = self.driver.connect(self.serve(script).port)
        found = self.driver.call(client.lookup, list(range(100)), [19])
        self.assertEqual(found[19].values, [10.0 * i for i in range(100)])

    def test_a_request_too_large_is_split(self):
        def script(peer, request):
            ids, _ = lookup_ids(request)
            self.assertLessEqual(len(request.payload) + 28, 4096)
            peer.send(lookup_answer(request))

        client = self.driver.connect(self.serve(script, frame_bytes=4096).port)
        found = self.driver.call(client.lookup, list(range(2000)), [19])
        self.assertEqual(found[19].values, [10.0 * i for i in range(2000)])
        error = self.refuses(errors.FixRequest, client.segments, "x" * 4090)
        self.assertEqual(error.name, "tooManyItems")

    def test_all_parts_are_of_one_snapshot(self):
        generations = iter([7, 8, 8, 8, 8, 8])

        def script(peer, request):
            peer.send(lookup_answer(request, next(generations)))

        server = self.serve(script, maximum_ids=10)
        client = self.driver.connect(server.port, connections=1)
        found = self.driver.call(client.lookup, list(range(30)), [19])
        self.assertEqual(found.snapshot.generation, 8)
        self.assertEqual({table.rows for table in found.tables}, {10})
        self.assertEqual(found[19].values, [10.0 * i for i in range(30)])
        self.assertEqual(len(server.peers[0].requests), 4)

    def test_a_snapshot_that_never_rests(self):
        counter = iter(range(1, 1000))
        client = self.driver.connect(self.serve(
            lambda peer, request: peer.send(lookup_answer(request, next(counter))),
            maximum_ids=10).port)
        error = self.refuses(errors.RetryNow, client.lookup, list(range(30)), [19])
        self.assertEqual(error.name, "snapshotChanged")

    def test_names_follow_the_generation(self):
        """A column's number changes with the snapshot: the answer counts only for its own."""
        state = {"generation": 7, "number": 70}
        asked = []

        def script(peer, request):
            if request.opcode == DESCRIBE:
                columns = [(state["number"], "town"), (19, "lifetime_value")]
                peer.send(describe_answer(request, columns, state["generation"]))
                return
            ids, numbers = lookup_ids(request)
            asked.append(numbers)
            made = [(0xF001, 1, [0] * len(ids))] + [(n, 4, [float(n)] * len(ids)) for n in numbers]
            peer.send(lookup_answer(request, state["generation"], made))

        client = self.driver.connect(self.serve(script).port, connections=1)
        found = self.driver.call(client.lookup, [1], ["town"])
        self.assertEqual(found.rows(), [{"id": 1, "row_status": 0, "town": 70.0}])
        self.driver.call(client.lookup, [1], ["town"])
        self.assertEqual(asked, [[70], [70]])
        state.update(generation=8, number=71)
        found = self.driver.call(client.lookup, [1], ["town"])
        self.assertEqual(found.rows(), [{"id": 1, "row_status": 0, "town": 71.0}])
        self.assertEqual(asked, [[70], [70], [70], [71]])
        error = self.refuses(errors.FixRequest, client.lookup, [1], ["village"])
        self.assertEqual(error.name, "unknownColumn")
        self.assertIn("town", error.hint)
        found = self.driver.call(
            client.lookup, [1], ["village", "town"], ignore_unknown_columns=True)
        self.assertEqual(list(found.columns), ["row_status", "town"])

    def test_single_look_ups_are_joined(self):
        def script(peer, request):
            time.sleep(0.1)
            peer.send(lookup_answer(request))

        server = self.serve(script)
        client = self.driver.connect(server.port)
        ids = list(range(-5, 45))
        calls = [self.driver.start(client.lookup_one, i, ["lifetime_value"]) for i in ids]
        for i, call in zip(ids, calls):
            customer = self.driver.wait(call)
            self.assertEqual(customer.id, i)
            self.assertEqual(customer["lifetime_value"], i * 10.0 if i >= 0 else None)
            self.assertIs(
                customer.status, CustomerStatus.OK if i >= 0 else CustomerStatus.UNKNOWN_CUSTOMER)
        frames = [lookup_ids(r)[0] for peer in server.peers for r in peer.requests]
        self.assertEqual(sorted(i for ids_ in frames for i in ids_), ids)
        if self.Driver is Asyncio:
            self.assertEqual(len(frames), 1)
        else:
            # The first goes alone; while it is on its way, the others gather.
            self.assertLess(len(frames), 10)

    def test_joined_look_ups_keep_their_deadlines(self):
        def script(peer, request):
            time.sleep(0.5)
            peer.send(lookup_answer(request))

        client = self.driver.connect(self.serve(script).port)
        slow = [self.driver.start(client.lookup_one, i, [19]) for i in range(3)]
        hasty = self.driver.start(client.lookup_one, 5, [19], deadline=0.1)
        with self.assertRaises(errors.DeadlinePassed):
            self.driver.wait(hasty)
        for i, call in enumerate(slow):
            self.assertEqual(self.driver.wait(call)["lifetime_value"], 10.0 * i)

    def test_a_list_of_columns(self):
        client = self.driver.connect(self.serve(lambda peer, request: None).port)
        for call in (client.lookup, client.lookup_one):
            self.refuses(errors.FixRequest, call, [1] if call == client.lookup else 1, "revenue")

    def test_a_joined_error_reaches_everybody(self):
        def script(peer, request):
            peer.send(answer(LOOKUP, request.request_id, error_body("texts", "use them"), 111))

        client = self.driver.connect(self.serve(script).port)
        calls = [self.driver.start(client.lookup_one, i, [19]) for i in range(5)]
        for call in calls:
            with self.assertRaises(errors.FixRequest) as caught:
                self.driver.wait(call)
            self.assertEqual(caught.exception.name, "wrongIDKind")

    def test_a_large_answer(self):
        def script(peer, request):
            ids, _ = lookup_ids(request)
            columns = [(0xF001, 1, [0] * len(ids))] + [
                (64 + n, 4, [float(i) for i in ids]) for n in range(6)]
            peer.send(answer(LOOKUP, request.request_id, table_body(columns, len(ids)))
                      if request.opcode == LOOKUP else describe_answer(request, []))

        def describing(peer, request):
            if request.opcode == DESCRIBE:
                peer.send(describe_answer(request, [(64 + n, f"c{n}") for n in range(6)]))
            else:
                script(peer, request)

        client = self.driver.connect(self.serve(describing).port)
        ids = list(range(20_000))
        found = self.driver.call(client.lookup, ids, [64 + n for n in range(6)])
        for n in range(6):
            self.assertEqual(found[f"c{n}"].values, [float(i) for i in ids])


class BlockingTests(Lookups, unittest.TestCase):
    Driver = Blocking

    def test_who_asks_for_others_keeps_the_own_deadline(self):
        """The second batch is led by a hasty call; the others ask again when it has given up."""
        served = []

        def script(peer, request):
            served.append(lookup_ids(request)[0])
            time.sleep(0.3)
            peer.send(lookup_answer(request))

        client = self.driver.connect(self.serve(script).port, connections=1)
        first = self.driver.start(client.lookup_one, 1, [19])
        time.sleep(0.05)
        hasty = self.driver.start(client.lookup_one, 2, [19], deadline=0.4)
        time.sleep(0.05)
        patient = [self.driver.start(client.lookup_one, i, [19]) for i in (3, 4)]
        began = time.monotonic()
        with self.assertRaises(errors.DeadlinePassed):
            self.driver.wait(hasty)
        self.assertLess(time.monotonic() - began, 0.45)
        for i, call in zip((1, 3, 4), [first] + patient):
            self.assertEqual(self.driver.wait(call)["lifetime_value"], 10.0 * i)
        self.assertEqual(served[0], [1])
        self.assertEqual(sorted(served[1]), [2, 3, 4])
        self.assertEqual(sorted(served[2]), [3, 4])

    def test_a_lone_look_up_waits_for_nothing(self):
        server = self.serve(lambda peer, request: peer.send(lookup_answer(request)))
        client = self.driver.connect(server.port)
        for i in range(20):
            client.lookup_one(i, [19])
        self.assertEqual(len(server.peers[0].requests), 20)


class AsyncioTests(Lookups, unittest.TestCase):
    Driver = Asyncio

    def test_requests_of_one_turn_are_joined_and_of_two_are_not(self):
        server = self.serve(lambda peer, request: peer.send(lookup_answer(request)))
        client = self.driver.connect(server.port)

        async def work():
            first = await asyncio.gather(*(client.lookup_one(i, [19]) for i in range(100)))
            second = await client.lookup_one(5, [19])
            return [customer["lifetime_value"] for customer in first + [second]]

        found = self.driver.call(work)
        self.assertEqual(found, [10.0 * i for i in range(100)] + [50.0])
        self.assertEqual(sum(len(peer.requests) for peer in server.peers), 2)

    def test_batches_end_at_the_servers_limit(self):
        server = self.serve(
            lambda peer, request: peer.send(lookup_answer(request)), maximum_ids=30)
        client = self.driver.connect(server.port)

        async def work():
            return await asyncio.gather(*(client.lookup_one(i, [19]) for i in range(100)))

        found = self.driver.call(work)
        self.assertEqual([c["lifetime_value"] for c in found], [10.0 * i for i in range(100)])
        sizes = [len(lookup_ids(r)[0]) for peer in server.peers for r in peer.requests]
        self.assertEqual(sorted(sizes), [10, 30, 30, 30])


if __name__ == "__main__":
    unittest.main()
