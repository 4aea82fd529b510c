"""Against the real server: the binary that PATRON_BINARY names, .build/release/patron without it."""

import asyncio
import contextlib
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from .support import REPOSITORY, requires
import patron_client
from patron_client._frame import lz4_block
from patron_client import CustomerStatus, __main__ as command, errors

BINARY = pathlib.Path(os.environ.get("PATRON_BINARY") or REPOSITORY / ".build/release/patron")


class Server:
    def __init__(self, workspace, *options):
        self.process = subprocess.Popen(
            [str(BINARY), "serve", str(workspace), "--listen", "127.0.0.1:0", "--json", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()


@unittest.skipUnless(BINARY.exists(), f"{BINARY} is not there: build it, or set PATRON_BINARY")
class EndToEndTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        root = pathlib.Path(cls.folder.name)
        cls.workspace = root / "ws"

        def patron(*arguments):
            subprocess.run([str(BINARY), *map(str, arguments)], check=True, capture_output=True)

        patron("generate", root / "shop", "--customers", 500, "--seed", 3)
        patron("init", cls.workspace, "--plan", root / "shop" / "patron.yaml")
        patron("run", cls.workspace)
        with open(root / "shop" / "purchases.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        cls.customers = sorted({int(line["customer_id"]) for line in lines})
        cls.product = lines[0]["product_id"]
        cls.category = lines[0]["category"]
        cls.server = Server(cls.workspace)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.client = patron_client.connect("127.0.0.1", self.server.port)
        self.addCleanup(self.client.close)

    def patron(self, *arguments):
        """What the command line of the server says, as JSON."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments), "--json", "--connect",
             f"127.0.0.1:{self.server.port}"], check=True, capture_output=True)
        return json.loads(done.stdout)

    def test_ping_and_describe(self):
        self.assertEqual(self.client.ping(), 1)
        found = self.client.describe()
        self.assertEqual(found.customer_count, 500)
        self.assertEqual((found.customer_id_kind, found.product_id_kind), ("integer", "text"))
        self.assertEqual(found.affinity.variant, "factors")
        self.assertTrue(found.affinity.finds_similar)
        self.assertEqual(found.column("lifetime_value").unit, found.snapshot.currency)
        self.assertGreater(len(found.column("value_segment").value_names), 1)
        self.assertIn("lifetime", [model.name for model in found.snapshot.models])

    def test_look_up(self):
        ids = self.customers[:50] + [-1]
        found = self.client.lookup(ids)
        self.assertEqual(found.statuses[-1], CustomerStatus.UNKNOWN_CUSTOMER)
        self.assertEqual(len(found), 51)
        described = [column.name for column in self.client.describe().columns]
        self.assertEqual(list(found.columns), ["row_status"] + described)
        for row in found.customers()[:50]:
            self.assertIs(row.status, CustomerStatus.OK)
            self.assertGreater(row["revenue"], 0)
            self.assertTrue(0 <= row["churn_probability"] <= 1)
        self.assertTrue(all(value is None for value in found.customer(50).values.values()))
        self.assertEqual(self.client.lookup_one(ids[3]).values, found.customer(3).values)

    def test_as_the_other_client_says(self):
        for identifier in self.customers[:5]:
            said = self.patron("lookup", identifier)
            ours = self.client.lookup_one(identifier).values
            text = json.dumps(said)
            for name in ("lifetime_value", "days_since_last_purchase", "value_segment"):
                self.assertIn(name, text)
            rows = said.get("customers") or said.get("rows")
            values = rows[0].get("values", rows[0])
            for name, value in ours.items():
                theirs = values.get(name)
                if isinstance(theirs, dict):
                    theirs = theirs.get("value")
                self.assertEqual(theirs, value, name)

    def test_columns(self):
        names = ["value_segment", "lifetime_value", "age_at_last_purchase_days"]
        found = self.client.lookup(self.customers[:3], names)
        self.assertEqual(list(found.columns), ["row_status"] + names)
        found = self.client.lookup(
            self.customers[:3], names + ["nonsense"], ignore_unknown_columns=True)
        self.assertEqual(list(found.columns), ["row_status"] + names)
        with self.assertRaises(errors.FixRequest) as caught:
            self.client.lookup([1], ["nonsense"])
        self.assertEqual(caught.exception.name, "unknownColumn")
        with self.assertRaises(errors.FixRequest) as caught:
            self.client.lookup([1], [999])
        self.assertEqual(caught.exception.name, "unknownColumn")

    def test_errors(self):
        with self.assertRaises(errors.FixRequest) as caught:
            self.client.lookup(["a"])
        self.assertEqual(caught.exception.name, "wrongIDKind")
        with self.assertRaises(errors.NotFound) as caught:
            self.client.top_products(-1)
        self.assertEqual(caught.exception.name, "unknownCustomer")
        with self.assertRaises(errors.NotFound) as caught:
            self.client.similar_products("nothing")
        self.assertEqual(caught.exception.name, "unknownProduct")
        with self.assertRaises(errors.NotFound) as caught:
            self.client.segments("nothing")
        self.assertEqual(caught.exception.name, "unknownSegmentation")
        # None of these ended the connection.
        self.assertEqual(self.client.ping(), 1)

    def test_affinity(self):
        top = self.client.top_products(self.customers[1], 5)
        scores = [entry.score for entry in top.entries]
        self.assertEqual(len(scores), 5)
        self.assertEqual(scores, sorted(scores, reverse=True))
        best = top.entries[0].id
        buyers = self.client.top_customers(best, 500, exclude_purchased=False).entries
        self.assertIn(self.customers[1], [entry.id for entry in buyers])
        self.assertTrue(all(-1.001 <= e.score <= 1.001 for e in self.client.similar_products(best).entries))
        self.assertNotIn(
            self.customers[1], [e.id for e in self.client.similar_customers(self.customers[1]).entries])

    def test_offers(self):
        customer = self.customers[1]
        found = self.client.offer_products(
            customer, 5, rank="margin", categories=[self.category], lowest_price=1, highest_price=1e6)
        margins = [offer.expected_margin for offer in found.entries]
        self.assertTrue(margins)
        self.assertEqual(margins, sorted(margins, reverse=True))
        self.assertEqual(found.entries[0].basis, patron_client.Basis.OWN_PURCHASES)
        for offer in ("next", "crossSell", "upSell"):
            self.client.offer_products(customer, 3, offer=offer)
        folded = self.client.offer_products(customer, 3, bought_since=[self.product, self.product])
        self.assertEqual(len(folded.entries), 3)
        with self.assertRaises(errors.NotFound):
            self.client.offer_products(customer, bought_since=["nothing"])
        promoted = self.client.offer_customers(self.product, 5, promoted=True)
        self.assertTrue(all(entry.promotion_lift > 0 for entry in promoted.entries))

    def test_segments(self):
        found = self.client.segments("value")
        self.assertEqual(sum(segment.customer_count for segment in found.segments), 500)
        self.assertAlmostEqual(sum(segment.customer_share for segment in found.segments), 1)
        names = {segment.segmentation for segment in self.client.segments().segments}
        self.assertEqual(names & {"value", "behaviour"}, {"value", "behaviour"})
        profiles = self.client.segment_profiles("value").profiles
        self.assertIn("orderCount", {profile.feature for profile in profiles})

    def test_timings(self):
        # A server may add them, and answers the same either way.
        with patron_client.connect("127.0.0.1", self.server.port, timings=True) as client:
            found = client.lookup(self.customers[:300])
            self.assertEqual(found.rows(), self.client.lookup(self.customers[:300]).rows())
            self.assertIsNotNone(found.timings)
            self.assertIsNone(self.client.lookup(self.customers[:3]).timings)

    @unittest.skipUnless(lz4_block, "the package lz4 is not installed")
    def test_compression(self):
        with patron_client.connect("127.0.0.1", self.server.port, compression=True) as client:
            self.assertEqual(
                client.lookup(self.customers).rows(), self.client.lookup(self.customers).rows())
            found = [chunk.rows() for chunk in client.customers()]
            self.assertEqual(found, [chunk.rows() for chunk in self.client.customers()])

    def test_scores_of_stored_histories(self):
        stored = self.client.lookup(self.customers)
        rows = [row for row, status in enumerate(stored.statuses) if status is CustomerStatus.OK]
        def column(name):
            values = stored[name].values
            return [values[row] for row in rows]
        found = self.client.score(
            column("repeat_purchase_count"), column("age_at_last_purchase_days"),
            column("observed_age_days"), mean_order_value=column("mean_order_value"),
            revenue=column("revenue"))
        self.assertGreater(len(rows), 100)
        self.assertEqual(set(found.statuses), {CustomerStatus.OK})
        for name in ("probability_alive", "expected_purchases", "lifetime_value", "value_tier",
                     "simple_lifetime_value"):
            self.assertEqual(found[name].values, column(name), name)
        two = self.client.score([0, 3], [0, 9], [50, 5], columns=["probability_alive"])
        self.assertEqual(two.statuses, [CustomerStatus.OK, CustomerStatus.NOT_ELIGIBLE])
        self.assertIsNone(two["probability_alive"][1])
        with self.assertRaises(errors.FixRequest):
            self.client.score([0], [0], [1], columns=["revenue"])

    def test_explanations(self):
        found = self.client.explain(self.customers[3], "value")
        self.assertEqual(
            found.segment, self.client.lookup([self.customers[3]], ["value_segment"])["value_segment"][0])
        self.assertLess(found.distance, found.next_distance)
        total = sum(row["explain_difference"] for row in found.rows())
        self.assertAlmostEqual(total, found.next_distance ** 2 - found.distance ** 2, places=6)
        with self.assertRaises(errors.NotFound):
            self.client.explain(self.customers[3], "nothing")

    def test_many_ids(self):
        ids = (self.customers * 300)[:140_000]
        found = self.client.lookup(ids, ["lifetime_value", "value_segment"])
        self.assertEqual(len(found.tables), 3)
        once = dict(zip(self.customers, self.client.lookup(self.customers, ["lifetime_value"])[19]))
        self.assertEqual(found["lifetime_value"].values, [once[i] for i in ids])

    def test_an_answer_larger_than_a_frame_is_asked_for_in_parts(self):
        with patron_client.connect(
            "127.0.0.1", self.server.port, maximum_frame_bytes=65_536
        ) as client:
            found = client.lookup(self.customers * 4)
            self.assertGreater(len(found.tables), 1)
            self.assertEqual(found.rows()[:500], self.client.lookup(self.customers).rows())

    @requires("numpy")
    def test_numpy(self):
        import numpy
        found = self.client.lookup(numpy.array(self.customers), ["lifetime_value"])
        array = found["lifetime_value"].numpy()
        self.assertEqual(array.dtype, numpy.dtype("f8"))
        self.assertEqual(array.tolist(), found["lifetime_value"].values)

    @requires("pyarrow")
    def test_arrow(self):
        found = self.client.lookup(self.customers + [-1])
        made = found.arrow()
        made.validate(full=True)
        self.assertEqual(made.to_pydict(), {n: c.values for n, c in found.columns.items()})

    # Streams

    NAMES = ["lifetime_value", "value_segment", "churn_probability"]

    def stream(self, *arguments, client=None, **options):
        chunks = list((client or self.client).customers(*arguments, **options))
        return chunks, [row for chunk in chunks for row in chunk.rows()]

    def test_all_customers(self):
        (chunks, rows), found = self.stream(columns=self.NAMES), self.client.lookup(self.customers, self.NAMES)
        self.assertEqual(chunks[-1].scanned_count, 500)
        self.assertEqual(sorted(rows, key=lambda row: row["id"]), found.rows())
        described = [column.name for column in self.client.describe().columns]
        (chunk, *_), _ = self.stream()
        self.assertEqual(list(chunk.columns), ["entity_id", "row_status"] + described)

    def test_small_chunks(self):
        """A client that takes small frames only gets many chunks; credit and tokens are used."""
        expected = self.stream(columns=self.NAMES)[1]
        with patron_client.connect(
            "127.0.0.1", self.server.port, maximum_frame_bytes=4096
        ) as client:
            chunks, rows = self.stream(columns=self.NAMES, client=client)
            self.assertGreater(len(chunks), 5)
            self.assertEqual(rows, expected)
            middle = len(chunks) // 2
            before = sum(len(chunk) for chunk in chunks[:middle])
            rest = self.stream(columns=self.NAMES, after=chunks[middle - 1].token, client=client)[1]
            self.assertEqual(rest, expected[before:])
            # On another connection too, but not for other columns.
            again = self.stream(columns=self.NAMES, after=chunks[middle - 1].token)[1]
            self.assertEqual(again, expected[before:])
            with self.assertRaises(errors.FixRequest) as caught:
                self.stream(columns=[19], after=chunks[0].token)
            self.assertEqual(caught.exception.name, "valueOutOfRange")

    def test_audiences(self):
        rows = self.stream(columns=["lifetime_value", "churn_probability"])[1]
        for rule, holds in (
            ("lifetime_value > 50 and churn_probability < 0.5",
             lambda row: row["lifetime_value"] is not None and row["lifetime_value"] > 50
             and row["churn_probability"] < 0.5),
            ("lifetime_value is missing", lambda row: row["lifetime_value"] is None),
            ("all", lambda row: True), ("not all", lambda row: False),
        ):
            with self.subTest(rule):
                expected = [row for row in rows if holds(row)]
                chunks, found = self.stream(rule, ["lifetime_value", "churn_probability"])
                self.assertEqual(found, expected)
                self.assertEqual(chunks[-1].scanned_count, 500)
                counted = self.client.count(rule)
                self.assertEqual((counted.count, counted.customer_count), (len(expected), 500))

    def test_rules_that_are_refused(self):
        for ask in (self.client.count, lambda rule: next(self.client.customers(rule))):
            with self.assertRaises(errors.FixRequest) as caught:
                ask("nonsense > 1")
            self.assertEqual((caught.exception.name, caught.exception.field), ("invalidRule", "rule"))
            self.assertIsNotNone(caught.exception.byte_offset)
        with self.assertRaises(errors.FixRequest):
            next(self.client.customers(columns=["nonsense"]))

    def test_ended_early(self):
        with patron_client.connect(
            "127.0.0.1", self.server.port, maximum_frame_bytes=4096, connections=1
        ) as client:
            connection = client._pool._connections[0]
            for _ in range(20):
                with client.customers(columns=self.NAMES, credit=1 << 18) as stream:
                    next(stream)
            for _ in range(200):
                # CANCEL was answered: nothing of these streams is open.
                client.lookup([self.customers[0]], [19])
                if not connection.session.abandoned:
                    break
                time.sleep(0.01)
            self.assertEqual(connection.session.load, 0)
            self.assertEqual(client._pool._connections, [connection])

    def test_streams_and_look_ups_of_one_connection(self):
        async def work():
            async with await patron_client.aio.connect(
                "127.0.0.1", self.server.port, maximum_frame_bytes=8192, connections=1
            ) as client:
                async def scan():
                    return [i async for chunk in client.customers(columns=[19]) for i in chunk.ids]
                return await asyncio.gather(
                    scan(), scan(), *(client.lookup([i], [19]) for i in self.customers))

        first, second, *found = asyncio.run(work())
        self.assertEqual(sorted(first), self.customers)
        self.assertEqual(second, first)
        expected = self.client.lookup(self.customers, [19])["lifetime_value"].values
        self.assertEqual([answer["lifetime_value"].values[0] for answer in found], expected)

    def test_the_server_is_replaced_during_a_stream(self):
        """It is killed, and another one comes to its port: the stream goes on there."""
        expected = self.stream(columns=self.NAMES)[1]
        first = Server(self.workspace, "--drain-seconds", "1")
        with patron_client.connect(
            "127.0.0.1", first.port, maximum_frame_bytes=4096,
            retries=patron_client.Retries(attempts=100, longest_pause=0.1),
        ) as client:
            stream = client.customers(columns=self.NAMES)
            rows = next(stream).rows()
            first.process.kill()
            first.process.wait(20)
            first.process.stdout.close()
            client._pool._connections[0].close("the test cut it")
            second = subprocess.Popen(
                [str(BINARY), "serve", str(self.workspace), "--listen", f"127.0.0.1:{first.port}",
                 "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                self.assertTrue(second.stdout.readline())
                rows += [row for chunk in stream for row in chunk.rows()]
            finally:
                second.send_signal(signal.SIGTERM)
                second.wait(20)
                second.stdout.close()
        self.assertEqual(rows, expected)

    def test_command_line_streams(self):
        code, output, _ = self.command("count", "all")
        self.assertEqual((code, output), (0, "500 of 500 customers\n"))
        code, output, _ = self.command("--json", "count", "not all")
        self.assertEqual((code, json.loads(output)["count"]), (0, 0))
        code, output, _ = self.command("customers", "--columns", "lifetime_value,value_segment")
        lines = list(csv.DictReader(io.StringIO(output)))
        self.assertEqual((code, len(lines)), (0, 500))
        found = self.client.lookup([int(lines[0]["id"])], ["lifetime_value"])
        self.assertEqual(lines[0]["status"], found.statuses[0].name)
        value = found["lifetime_value"].values[0]
        self.assertEqual(lines[0]["lifetime_value"], "" if value is None else str(value))
        code, output, _ = self.command("--json", "customers", "all", "--columns", "revenue")
        self.assertEqual((code, len([json.loads(line) for line in output.splitlines()])), (0, 500))
        code, output, complaints = self.command("customers", "nonsense >")
        self.assertEqual((code, output), (1, ""))
        self.assertIn("invalidRule", complaints)

    def test_threads(self):
        expected = dict(zip(self.customers, self.client.lookup(self.customers, [19])[19].values))
        wrong = []

        def work(part):
            for identifier in part:
                if self.client.lookup_one(identifier, [19])["lifetime_value"] != expected[identifier]:
                    wrong.append(identifier)

        threads = [
            threading.Thread(target=work, args=(self.customers[n::8],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(wrong, [])

    def test_asyncio(self):
        async def work():
            async with await patron_client.aio.connect("127.0.0.1", self.server.port) as client:
                found = await asyncio.gather(*(client.lookup_one(i) for i in self.customers))
                top = await client.top_products(self.customers[1], 3)
                return [customer.values for customer in found], top.entries, await client.describe()

        values, entries, description = asyncio.run(work())
        found = self.client.lookup(self.customers)
        self.assertEqual(values, [customer.values for customer in found.customers()])
        self.assertEqual(entries, self.client.top_products(self.customers[1], 3).entries)
        self.assertEqual(description, self.client.describe())

    def test_drain(self):
        """The server ends in the middle of a stream of calls; another one takes over on its port."""
        first = Server(self.workspace, "--drain-seconds", "5")
        failures, answers, stop = [], [], threading.Event()
        with patron_client.connect(
            "127.0.0.1", first.port, deadline=20,
            retries=patron_client.Retries(attempts=100, longest_pause=0.1),
        ) as client:
            def work():
                while not stop.is_set():
                    try:
                        answers.append(client.lookup_one(self.customers[0], [19])["lifetime_value"])
                    except errors.PatronError as error:
                        failures.append(error)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            before = len(answers)
            self.assertEqual(first.stop(), 0)
            second = subprocess.Popen(
                [str(BINARY), "serve", str(self.workspace), "--listen", f"127.0.0.1:{first.port}",
                 "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                self.assertTrue(second.stdout.readline())
                time.sleep(0.5)
                stop.set()
                for thread in threads:
                    thread.join(25)
            finally:
                stop.set()
                second.send_signal(signal.SIGTERM)
                second.wait(20)
                second.stdout.close()
        self.assertEqual(failures, [])
        self.assertGreater(before, 0)
        self.assertGreater(len(answers), before)
        self.assertEqual(len(set(answers)), 1)

    # The command line

    def command(self, *arguments):
        output, complaints = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaints):
            try:
                code = command.main([f"127.0.0.1:{self.server.port}", *map(str, arguments)])
            except SystemExit as end:
                code = end.code
        return code, output.getvalue(), complaints.getvalue()

    def test_command_line(self):
        code, output, _ = self.command("describe")
        self.assertEqual(code, 0)
        self.assertIn("500 customers (integer ids)", output)
        code, output, _ = self.command(
            "lookup", self.customers[0], self.customers[1], "--columns", "lifetime_value")
        self.assertEqual((code, len(output.splitlines())), (0, 4))
        code, output, _ = self.command("--json", "top-products", self.customers[1], "--count", 3)
        self.assertEqual((code, len(json.loads(output)["rows"])), (0, 3))
        for words in (("ping",), ("segments", "value"), ("segment-profiles",),
                      ("top-customers", self.product), ("similar-products", self.product),
                      ("similar-customers", self.customers[1])):
            code, output, complaints = self.command(*words)
            self.assertEqual((code, complaints), (0, ""), words)
            self.assertIn("generation 1", output)

    def test_command_line_errors(self):
        self.assertEqual(self.command("lookup", "x")[0], 64)
        self.assertEqual(self.command("nonsense")[0], 64)
        code, _, complaints = self.command("top-products", "999")
        self.assertEqual(code, 1)
        self.assertIn("unknownCustomer", complaints)
        with contextlib.redirect_stderr(io.StringIO()) as complaints:
            self.assertEqual(command.main(["127.0.0.1:1", "ping"]), 69)
        self.assertIn("cannot connect", complaints.getvalue())


if __name__ == "__main__":
    unittest.main()
