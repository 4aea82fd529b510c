"""Purchases, labels and administration against the real server, as test_end_to_end.py has it."""

import asyncio
import contextlib
import csv
import datetime
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from .support import REPOSITORY, requires
from patron_client._frame import lz4_block
from .test_end_to_end import BINARY, Server
import patron_client
from patron_client import CustomerStatus, PurchaseLines, RefusalReason, __main__ as command, errors


@unittest.skipUnless(BINARY.exists(), f"{BINARY} is not there: build it, or set PATRON_BINARY")
class WritingTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        root = cls.root = pathlib.Path(cls.folder.name)
        cls.workspace = root / "ws"

        def patron(*arguments):
            subprocess.run([str(BINARY), *map(str, arguments)], check=True, capture_output=True)

        patron("generate", root / "shop", "--customers", 400, "--seed", 5)
        patron("init", cls.workspace, "--plan", root / "shop" / "patron.yaml")
        patron("run", cls.workspace)
        with open(root / "shop" / "purchases.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        cls.customers = sorted({int(line["customer_id"]) for line in lines})
        cls.product, cls.category = lines[0]["product_id"], lines[0]["category"]
        cls.days = sorted(line["time"][:10] for line in lines)
        # Another generation, of an earlier day.
        early = cls.days[len(cls.days) // 2]
        known = {int(line["customer_id"]) for line in lines if line["time"][:10] <= early}
        # Customers of the current generation alone.
        cls.late = [customer for customer in cls.customers if customer not in known]
        patron("train", cls.workspace, "--as-of", early)
        patron("score", cls.workspace, "--as-of", early)
        cls.server = Server(cls.workspace, "--append")
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.client = patron_client.connect("127.0.0.1", self.server.port)
        self.addCleanup(self.client.close)
        self.as_of = self.client.describe().snapshot
        day = self.as_of.as_of + datetime.timedelta(days=20)
        self.noon = datetime.datetime(day.year, day.month, day.day, 12, tzinfo=datetime.timezone.utc)

    def lines(self, customers, amounts, **changed):
        """As the plan of the generated shop wants them."""
        count = len(customers)
        arguments = dict(
            customers=customers, amounts=amounts, currency=self.as_of.currency,
            times=[self.noon] * count, margins=[0.5] * count, quantities=[1] * count,
            orders=[f"new-{i}" for i in range(count)], products=[self.product] * count,
            categories=[self.category] * count, promotions=[None] * count, channels=["app"] * count)
        arguments.update(changed)
        return PurchaseLines(**arguments)

    # Purchases

    def test_purchases_count_at_once(self):
        known, new = self.customers[3], 990_001
        before = self.client.lookup_one(known, ["revenue", "days_since_last_purchase"])
        done = self.client.append(self.lines([known, new, known], [12.5, "3.25", 7]))
        self.assertEqual((done.accepted_count, done.refused_count, done.is_repeat), (3, 0, False))
        self.assertEqual(done.snapshot.generation, 1)
        other = patron_client.connect("127.0.0.1", self.server.port)
        self.addCleanup(other.close)
        for client in (self.client, other):
            after = client.lookup([known, new], ["revenue", "days_since_last_purchase"])
            self.assertEqual(after["days_since_last_purchase"].values, [0, 0])
            self.assertAlmostEqual(after["revenue"][0], before["revenue"] + 19.5)
            self.assertAlmostEqual(after["revenue"][1], 3.25)
            self.assertEqual(after.statuses[0], CustomerStatus.OK)
        # The same key is taken once, whatever the lines.
        again = other.append(self.lines([known], [1000]), key=done.key)
        self.assertEqual((again.is_repeat, again.sequence, again.accepted_count), (True, done.sequence, 3))
        self.assertAlmostEqual(
            self.client.lookup_one(known, ["revenue"])["revenue"], before["revenue"] + 19.5)
        later = other.append(self.lines([known], [-2]))
        self.assertEqual(later.sequence, done.sequence + 1)

    def test_erasures(self):
        # Of no other test.
        gone, stays, new = self.late[-1], self.late[-2], 550_001
        self.client.append(self.lines([new], [5]))
        done = self.client.erase([gone, new, -9])
        self.assertEqual(
            [(c.was_in_snapshot, c.had_appended) for c in done.customers],
            [(True, False), (False, True), (False, False)])
        other = patron_client.connect("127.0.0.1", self.server.port)
        self.addCleanup(other.close)
        for client in (self.client, other):
            statuses = client.lookup([gone, new, stays]).statuses
            self.assertEqual(
                [status is CustomerStatus.UNKNOWN_CUSTOMER for status in statuses],
                [True, True, False])
        self.assertNotIn(gone, [i for chunk in other.customers(columns=[19]) for i in chunk.ids])
        again = other.erase([-9, new, gone], key=done.key)
        self.assertEqual(
            (again.is_repeat, again.sequence, again.erased_at), (True, done.sequence, done.erased_at))
        with self.assertRaises(errors.FixRequest) as caught:
            other.erase([stays], key=done.key)
        self.assertEqual(caught.exception.name, "invalidMeta")

    def test_refusals(self):
        done = self.client.append(self.lines(
            [self.customers[5], None, 7, 8], [None, 1, 1, 2],
            times=[self.noon, self.noon, None, self.noon], margins=[1, 1, 1, None]))
        found = [(refusal.line, refusal.column, refusal.reason) for refusal in done.refusals]
        self.assertIn((0, "amounts", RefusalReason.MISSING_AMOUNT), found)
        self.assertIn((1, "customers", RefusalReason.MISSING_CUSTOMER_ID), found)
        self.assertIn((2, "times", RefusalReason.MISSING_TIME), found)
        self.assertEqual(done.refused_count, len({line for line, _, _ in found}))
        self.assertEqual(done.accepted_count + done.refused_count, 4)
        none = self.client.append(self.lines([None], [1]))
        self.assertEqual((none.accepted_count, none.sequence), (0, None))

    def test_what_the_plan_does_not_map(self):
        with self.assertRaises(errors.FixRequest) as caught:
            self.client.append(self.lines([1], [1], currency="XXX"))
        self.assertEqual(caught.exception.name, "otherCurrency")
        self.assertEqual(len(caught.exception.idempotency_key), 16)
        with self.assertRaises(errors.FixRequest):
            self.client.append(self.lines([1], [1], margins=None))

    def test_servers_that_take_none(self):
        server = Server(self.workspace)
        self.addCleanup(server.stop)
        with patron_client.connect("127.0.0.1", server.port) as client:
            with self.assertRaises(errors.Unsupported) as caught:
                client.append(self.lines([1], [1]))
            self.assertEqual(caught.exception.name, "readOnly")

    def test_many_lines(self):
        ids = [2_000_000 + i for i in range(20_000)]
        done = self.client.append(self.lines(ids, [i % 97 + 0.01 for i in range(20_000)]))
        self.assertEqual(done.accepted_count, 20_000)
        found = self.client.lookup(ids[::1000], ["revenue"])
        self.assertEqual(
            [round(value, 2) for value in found["revenue"]],
            [i % 97 + 0.01 for i in range(0, 20_000, 1000)])

    @unittest.skipUnless(lz4_block, "the package lz4 is not installed")
    def test_compressed_lines(self):
        ids = [3_000_000 + i for i in range(5000)]
        with patron_client.connect("127.0.0.1", self.server.port, compression=True) as client:
            done = client.append(self.lines(ids, [0.25] * 5000))
            self.assertEqual(done.accepted_count, 5000)
            self.assertEqual(client.lookup(ids, ["revenue"])["revenue"].values, [0.25] * 5000)

    @requires("pandas")
    def test_a_frame(self):
        import pandas
        frame = pandas.DataFrame({
            "customer": [880_001, 880_002], "time": pandas.to_datetime([self.noon, self.noon]),
            "amount": [5.5, None], "margin": [1.0, 1.0], "quantity": [1, 2], "order": ["a", "b"],
            "product": self.product, "category": self.category, "promotion": None, "channel": "web"})
        done = self.client.append(PurchaseLines.of(frame, self.as_of.currency))
        self.assertEqual((done.accepted_count, done.refusals[0].line), (1, 1))
        self.assertEqual(self.client.lookup_one(880_001, ["revenue"])["revenue"], 5.5)

    def test_asyncio(self):
        async def work():
            async with await patron_client.aio.connect("127.0.0.1", self.server.port) as client:
                done = await asyncio.gather(*(
                    client.append(self.lines([770_001], [1])) for _ in range(20)))
                row = await client.lookup_one(770_001, ["revenue"])
                return done, row, await client.stored_generations(), await client.stats()

        done, row, generations, stats = asyncio.run(work())
        self.assertEqual(len({answer.sequence for answer in done}), 20)
        self.assertEqual(row["revenue"], 20)
        self.assertEqual([found.generation for found in generations], [1, 2])
        self.assertIn("APPEND", {stat.group for stat in stats})

    # Labels and administration

    def test_labels(self):
        models = self.client.set_label("canary", 2)
        self.addCleanup(self.client.remove_label, "canary")
        self.assertEqual({model.label for model in models}, {"stable", "canary"})
        early = self.client.describe(label="canary")
        self.assertEqual((early.snapshot.generation, self.as_of.generation), (2, 1))
        self.assertLess(early.customer_count, 400)
        canary = self.client.with_options(label="canary")
        ids = self.customers
        found, current = canary.lookup(ids), self.client.lookup(ids)
        self.assertEqual((found.snapshot.generation, current.snapshot.generation), (2, 1))
        self.assertEqual(
            sum(status is not CustomerStatus.UNKNOWN_CUSTOMER for status in found.statuses),
            early.customer_count)
        self.assertEqual(self.client.lookup(ids, label="canary").rows(), found.rows())
        self.assertEqual(canary.lookup(ids, label=None).rows(), current.rows())
        scanned = [i for chunk in canary.customers(columns=[19]) for i in chunk.ids]
        self.assertEqual(len(scanned), early.customer_count)
        one = scanned[1]
        self.assertEqual(canary.lookup_one(one).snapshot.generation, 2)
        self.assertEqual(self.client.lookup_one(one).snapshot.generation, 1)
        for answer in (
                canary.top_products(one), canary.similar_customers(one), canary.segments(),
                canary.segment_profiles("value"), canary.offer_products(one),
                canary.count("all"), canary.explain(one, "value"), canary.score([0], [0], [10])):
            self.assertEqual(answer.snapshot.generation, 2)
        self.assertEqual(int(canary.count("all")), early.customer_count)
        with self.assertRaises(errors.NotFound) as caught:
            self.client.lookup([1], label="canari")
        self.assertEqual(caught.exception.name, "unknownLabel")
        self.assertEqual({m.label for m in self.client.served_models()}, {"stable", "canary"})

    def test_publish_and_back(self):
        told = []
        self.addCleanup(self.client.publish, 1)
        done = self.client.publish(progress=told.append, deadline=60)
        self.assertEqual((done.snapshot.generation, done.previous_generation), (2, 1))
        self.assertGreater(done.verified_byte_count, 10_000)
        self.assertTrue(all(p.done <= (p.total or p.done) for p in told))
        self.assertEqual(self.client.ping(), 2)
        stored = self.client.stored_generations()
        self.assertEqual([found.is_served for found in stored], [False, True])
        self.assertEqual([found.is_current for found in stored], [False, True])
        self.assertGreater(stored[0].customer_count, stored[1].customer_count)
        with self.assertRaises(errors.NotFound) as caught:
            self.client.publish(77)
        self.assertEqual(caught.exception.name, "unknownGeneration")

    def test_stats(self):
        self.client.lookup([1])
        stats = {(stat.group, stat.name): stat for stat in self.client.stats()}
        self.assertGreater(stats["LOOKUP", "ok"].value, 0)
        self.assertEqual(stats["LOOKUP", "p99"].unit, "s")

    def test_shadow(self):
        began = self.client.start_shadow(generation=2, share=1)
        self.addCleanup(self.client.stop_shadow)
        self.assertEqual((began.state, began.share, began.candidate.generation), ("running", 1.0, 2))
        for _ in range(500):
            self.client.lookup(self.customers)
            report = self.client.shadow_report()
            if report.compared_count >= 200:
                break
            time.sleep(0.02)
        self.assertGreaterEqual(report.compared_count, 200)
        columns = {column.name: column for column in report.columns}
        self.assertGreater(columns["observed_age_days"].differing_count, 0)
        self.assertGreater(columns["observed_age_days"].largest_difference, 0)
        tier = columns["value_tier"]
        self.assertGreaterEqual(tier.compared_count, sum(move.count for move in tier.moves))
        self.assertEqual(self.client.stop_shadow().state, "stopped")

    def test_drain(self):
        server = Server(self.workspace, "--drain-seconds", "5")
        with patron_client.connect("127.0.0.1", server.port) as client:
            self.assertGreater(client.drain(), 0)
        self.assertEqual(server.process.wait(20), 0)
        server.stop()

    def test_the_example(self):
        path = REPOSITORY / "Examples" / "python-client" / "shop.py"
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tools" / "python")}

        def run(*arguments):
            return subprocess.run(
                [sys.executable, str(path), f"127.0.0.1:{self.server.port}", *map(str, arguments)],
                capture_output=True, text=True, env=environment)

        done = run(*self.customers[:3], -1, "--buy", self.product, "4.95")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 6)
        self.assertTrue(all("offer P" in line for line in lines[:3]), lines)
        self.assertIn("UNKNOWN_CUSTOMER", lines[3])
        self.assertEqual(lines[4], "1 line taken")
        self.assertIn("'days_since_last_purchase': 0", lines[5])
        done = run(self.customers[0], "--label", "none")
        self.assertEqual((done.returncode, "unknownLabel" in done.stderr), (1, True))

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
        path = self.root / "new.csv"
        path.write_text(
            "customer,time,amount,margin,quantity,order,product,category,promotion,channel\n"
            f"660001,{self.noon.isoformat()},5.25,1,1,o,{self.product},{self.category},,app\n"
            f"660002,{self.noon.isoformat()},,1,1,o,{self.product},{self.category},,app\n")
        key = "ab" * 16
        code, output, _ = self.command(
            "append", path, "--currency", self.as_of.currency, "--key", key)
        self.assertEqual(code, 0)
        self.assertEqual(
            output, "1 lines taken, 1 refused\nline 3: amounts: MISSING_AMOUNT\n")
        code, output, _ = self.command(
            "--json", "append", path, "--currency", self.as_of.currency, "--key", key)
        self.assertEqual((code, json.loads(output)["is_repeat"]), (0, True))
        self.assertEqual(self.client.lookup_one(660_001, ["revenue"])["revenue"], 5.25)
        path.write_text("customer,time,amount\n1,yesterday,5\n")
        code, _, complaints = self.command("append", path, "--currency", "EUR")
        self.assertEqual((code, "line 2: 'yesterday' is no time" in complaints), (64, True))
        self.assertEqual(self.command("append", path, "--currency", "EUR", "--key", "x")[0], 64)
        self.assertEqual(self.command("append", self.root / "none.csv", "--currency", "EUR")[0], 1)
        code, output, complaints = self.command("explain", self.customers[3], "value")
        self.assertEqual((code, complaints), (0, ""))
        self.assertIn("next:", output)
        code, output, _ = self.command("--json", "explain", self.customers[3], "value")
        self.assertEqual((code, "distance" in json.loads(output)), (0, True))
        self.assertEqual(self.command("--label", "none", "count", "all")[0], 1)
        code, output, _ = self.command("--label", "stable", "count", "not all")
        self.assertEqual((code, output[:5]), (0, "0 of "))


if __name__ == "__main__":
    unittest.main()
