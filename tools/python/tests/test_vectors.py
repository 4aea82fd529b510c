"""The bytes of protocol/vectors/v1: every message is read to its meaning, every request is written
as it stands there, every fault earns its status."""

import json
import struct
import unittest

from . import support
from .support import VECTORS
from patron_client import _admin as admin, _columns, _requests as requests, errors
from patron_client._append import Append, read_append
from patron_client._body import Body
from patron_client._erase import Erase, read_receipt
from patron_client._lines import PurchaseLines

from patron_client._crc32c import crc32c
from patron_client._frame import (
    TAG_IDEMPOTENCY_KEY, TAG_MODEL_LABEL, TAG_PRIORITY, TAG_TRACE_ID, TAG_WARNING, FrameReader,
    cancel_frame, credit_frame, lz4_block, open_frame)
from patron_client._read import read_answer, read_goaway
from patron_client._scores import Explain, Score
from patron_client._table import TYPE_NAMES, read_stamp, read_table
from patron_client.answers import (
    AppendAnswer, Count, CustomerChunk, Description, EraseReceipt, Explanation, Progress, Published, Refusal,
    RefusalReason, ServedModel, ShadowMove, ShadowReport, Stat, StoredGeneration, TableAnswer)

TYPES = {name: number for number, name in TYPE_NAMES.items()}
OPCODES = {
    "HELLO": 1, "PING": 2, "GOAWAY": 3, "DESCRIBE": 0x10, "LOOKUP": 0x20, "TOP_PRODUCTS": 0x22,
    "TOP_CUSTOMERS": 0x23, "SIMILAR": 0x24, "SEGMENTS": 0x26, "SEGMENT_PROFILES": 0x27,
    "OFFER_PRODUCTS": 0x28, "OFFER_CUSTOMERS": 0x29, "COUNT": 0x30, "AUDIENCE": 0x31, "SCAN": 0x32,
    "CREDIT": 4, "CANCEL": 5, "SCORE": 0x21, "EXPLAIN": 0x25, "PROGRESS": 6, "APPEND": 0x40, "ERASE": 0x41,
    "MODELS": 0x50, "SNAPSHOT": 0x51, "PUBLISH": 0x52, "STATS": 0x53, "DRAIN": 0x54, "SHADOW": 0x55,
}
#: Forms that a reader must take and this writer does not make.
ONLY_READ = {"hello_newer_client", "longer_header", "unknown_optional_flags", "unknown_optional_tags",
             "all_that_is_optional", "compressed_literals", "compressed_request"}


#: What this client neither asks for nor is sent.
NOT_HERE = ()


def load(folder, reader):
    found = []
    for path in sorted((VECTORS / folder).glob("*.json")):
        vector = json.loads(path.read_text("utf-8"))
        # What is compressed is read where the package for it is there.
        if (vector["reader"] == reader and not path.stem.startswith(NOT_HERE)
                and not (vector.get("features", 0) & 1 and lz4_block is None)):
            found.append((path.stem, vector, path.with_suffix(".bin").read_bytes()))
    return found


OK_ANSWERS, OK_REQUESTS = load("ok", "client"), load("ok", "server")
CLIENT_FAULTS, SERVER_FAULTS = load("error", "client"), load("error", "server")


class AnyScore(Score):
    """Of however many histories."""

    def __init__(self):
        self.rows = None


class Raw:
    """An answer of administration, read twice: as callers get it, and as its table stands there."""

    def __init__(self, found, body, stamps=1, facts=0):
        self.found, self.facts, start = found, {}, 0
        self.snapshots = []
        for _ in range(stamps):
            snapshot, start = read_stamp(body, start)
            self.snapshots.append(snapshot)
        self.table = read_table(body, start + facts)


def raw(kind, **layout):
    """A request whose answer is `Raw`."""
    class Made(kind):
        def read(self, body, meta):
            return Raw(super().read(body, meta), body, **layout)
    return Made()


class AnyAppend(requests.Request):
    """Whatever lines were sent."""

    def read(self, body, meta):
        return Raw(read_append(body, meta), body, facts=64)


class AnyErase(requests.Request):
    """Of whatever customers."""

    def read(self, body, meta):
        found = Raw(None, body, facts=64)
        found.found = read_receipt(body, meta, list(range(found.table.rows)))
        return found


class AnyLookup(requests.Lookup):
    """Whatever ids were asked for."""

    def __init__(self):
        pass

    def read(self, body, meta):
        from patron_client.answers import LookupAnswer
        from patron_client._read import _read_table_answer
        return _read_table_answer(LookupAnswer, body, meta)


def request_for(opcode):
    """A request that such an answer answers."""
    made = {
        1: lambda: requests.Hello(), 2: lambda: requests.Ping(0), 0x10: lambda: requests.Describe(),
        0x20: AnyLookup, 0x22: lambda: requests.TopProducts(1), 0x23: lambda: requests.TopCustomers(1),
        0x24: lambda: requests.Similar(1, 1), 0x26: lambda: requests.Segments(),
        0x27: lambda: requests.SegmentProfiles(), 0x28: lambda: requests.OfferProducts(1),
        0x29: lambda: requests.OfferCustomers(1), 0x30: lambda: requests.CountCustomers("all"),
        0x31: lambda: requests.Audience("all"), 0x32: lambda: requests.Scan(),
        0x21: lambda: AnyScore(), 0x25: lambda: Explain(1, "value"), 0x40: AnyAppend, 0x41: AnyErase,
        0x50: lambda: raw(admin.Models), 0x51: lambda: raw(admin.Generations),
        0x52: admin.Publish, 0x53: lambda: raw(admin.Stats), 0x54: admin.Drain,
        0x55: lambda: raw(admin.Shadow, stamps=2, facts=64),
    }
    if opcode & 0x7FFF not in made:
        # Nobody asked for it: read as an error, which needs no request.
        return requests.Describe()
    request = made[opcode & 0x7FFF]()
    if isinstance(request, requests.Ping):
        request.token = None
    return request


def read_frames(data, maximum_length=16 << 20, features=0):
    reader = FrameReader(maximum_length)
    reader.decompresses = bool(features & 1)
    frames = reader.feed(data)
    reader.ended()
    return frames


def opened(frame):
    return open_frame(frame, streams=frame.opcode in (0x8031, 0x8032))


def read_as_client(data, maximum_length=16 << 20, features=0):
    """(meta, meaning) of every frame, as a connection reads them."""
    found = []
    for frame in read_frames(data, maximum_length, features):
        if not frame.opcode & 0x8000 or frame.opcode in (0x8004, 0x8005):
            raise errors.malformed("wrongDirection", "opcode")
        if frame.opcode == 0x8003:
            found.append((frame, read_goaway(frame)))
        elif frame.opcode == 0x8006:
            found.append((frame, admin.read_progress(frame)))
        else:
            found.append((frame, read_answer(frame, request_for(frame.opcode))))
    return found


def error_json(error):
    return {"text": error.text, "hint": error.hint, "field": error.field,
            "byteOffset": error.byte_offset, "generation": error.generation}


def snapshot_json(snapshot):
    return {
        "generation": snapshot.generation, "asOfDay": snapshot.as_of_day,
        "currency": snapshot.currency,
        "models": [{"name": m.name, "version": m.version, "checksum": m.checksum}
                   for m in snapshot.models]}


def description_json(found):
    kinds = {None: 0, "integer": 1, "text": 2}
    result = {
        "stamp": snapshot_json(found.snapshot), "customerCount": found.customer_count,
        "productCount": found.product_count, "customerIDKind": kinds[found.customer_id_kind],
        "productIDKind": kinds[found.product_id_kind], "columns": []}
    if found.affinity is not None:
        a = found.affinity
        bits = (a.has_details, a.has_probabilities, a.takes_bought_since, a.has_promotions,
                a.finds_similar, a.serves_cold_customers, a.serves_cold_products)
        variants = {"factors": 1, "hybrid": 2, "popular": 3, "repeatPurchase": 4}
        result["affinity"] = {
            "variant": variants.get(a.variant, 99), "offers": sum(bit << i for i, bit in enumerate(bits))}
    for column in found.columns:
        row = {"id": column.number, "name": column.name, "type": TYPES[column.type],
               "unit": column.unit, "description": column.description}
        if column.value_names:
            row["valueNames"] = "\n".join(f"{k} {v}" for k, v in column.value_names.items())
        result["columns"].append(row)
    return result


def hello_json(found):
    names = ("version", "maximumFrameBytes", "activeFeatures", "offeredFeatures",
             "maximumLookupIDs", "maximumInFlight", "idleMilliseconds",
             "defaultDeadlineMilliseconds", "generation", "asOfDay", "serverName")
    return dict(zip(names, found))


def table_json(table):
    return {"rowCount": table.rows, "subjectStatus": table.subject_status,
            "columns": [{"id": number, "type": lanes.kind, "values": lanes.list()}
                        for number, lanes in table.columns.items()]}


def raw_json(raw):
    found, result = raw.found, {"stamp": snapshot_json(raw.snapshots[0])}
    if isinstance(found, AppendAnswer):
        result.update({
            "sequence": found.sequence, "acceptedLines": found.accepted_count,
            "refusedLines": found.refused_count, "isRepeat": found.is_repeat})
    if isinstance(found, EraseReceipt):
        result.update({
            "sequence": found.sequence, "erasedAt": int(found.erased_at.timestamp()),
            "isRepeat": found.is_repeat})
    if isinstance(found, ShadowReport):
        states = {"none": 0, "running": 1, "stopped": 2, "overtaken": 3}
        result.update({
            "candidate": snapshot_json(raw.snapshots[1]), "state": states[found.state],
            "partsPerMillion": round(found.share * 1e6), "sampledCount": found.sampled_count,
            "comparedCount": found.compared_count, "onlyInCurrentCount": found.only_current_count,
            "onlyInCandidateCount": found.only_candidate_count,
            "droppedCount": found.dropped_count,
            "elapsedMilliseconds": round(found.elapsed_seconds * 1000)})
    return {**result, "table": table_json(raw.table)}


def meaning(found):
    if isinstance(found, Raw):
        return raw_json(found)
    if isinstance(found, Published):
        return {"stamp": snapshot_json(found.snapshot),
                "previousGeneration": found.previous_generation,
                "verifiedByteCount": found.verified_byte_count}
    if isinstance(found, Progress):
        return {"done": found.done, "total": found.total or 0,
                "unit": {"bytes": 1, "customers": 2}.get(found.unit, 0)}
    if isinstance(found, float):
        return {"graceMilliseconds": round(found * 1000)}
    if isinstance(found, Description):
        return description_json(found)
    if isinstance(found, Count):
        return {"stamp": snapshot_json(found.snapshot), "matchingCustomers": found.count,
                "customerCount": found.customer_count}
    if isinstance(found, TableAnswer):
        table = found.tables[0]
        facts = {}
        if isinstance(found, CustomerChunk):
            facts = {"scannedCustomers": found.scanned_count, "resumeToken": found.token.hex()}
        if isinstance(found, Explanation):
            facts = {"segment": found.segment, "nextSegment": found.next_segment,
                     "distance": found.distance, "nextDistance": found.next_distance,
                     "modelVersion": found.model_version}
        return {"stamp": snapshot_json(found.snapshot), **facts, "table": table_json(table)}
    if isinstance(found, errors.PatronError):
        return error_json(found)
    if hasattr(found, "reason"):
        return {"graceMilliseconds": found.grace_milliseconds, "reason": error_json(found.reason)}
    if hasattr(found, "server_name"):
        return hello_json(found)
    return {"token": found.token, "generation": found.generation}


def meta_json(meta):
    found = []
    if meta.idempotency_key is not None:
        found.append({"idempotencyKey": meta.idempotency_key.hex()})
    if meta.trace_id is not None:
        found.append({"traceID": meta.trace_id.hex()})
    if meta.priority is not None:
        found.append({"priority": meta.priority})
    if meta.warning is not None:
        found.append({"warning": meta.warning})
    if meta.retry_after_milliseconds is not None:
        found.append({"retryAfterMilliseconds": meta.retry_after_milliseconds})
    if meta.timings is not None:
        t = meta.timings
        found.append({"timings": {"queueMicroseconds": t.queue, "computeMicroseconds": t.compute,
                                  "encodeMicroseconds": t.encode}})
    if meta.model_label is not None:
        found.append({"modelLabel": meta.model_label})
    return found


def lines_of(body):
    """The lines of an APPEND's JSON."""
    columns = {column["id"]: column["values"] for column in body["table"]["columns"]}
    names = {0xF002: "customers", 0xF080: "days", 0xF081: "times", 0xF082: "amounts",
             0xF083: "margins", 0xF084: "costs", 0xF085: "quantities", 0xF086: "orders",
             0xF087: "products", 0xF088: "categories", 0xF089: "promotions", 0xF08A: "channels"}
    return PurchaseLines(
        currency=body["currency"], decimals=body["decimals"], are_scaled=True,
        **{names[number]: values for number, values in columns.items()})


def build(opcode, body):
    """The request of a vector's JSON."""
    if opcode == "APPEND":
        # The key is an item of the frame's.
        made = Append(lines_of(body))
        made.idempotency_key = None
        return made
    if opcode == "ERASE":
        made = Erase(body["ids"])
        made.idempotency_key = None
        return made
    if opcode == "MODELS":
        return admin.Models(body["label"] or None, body["generation"] or None)
    if opcode == "SNAPSHOT":
        return admin.Generations()
    if opcode == "PUBLISH":
        return admin.Publish(body["generation"] or None)
    if opcode == "STATS":
        return admin.Stats()
    if opcode == "DRAIN":
        return admin.Drain()
    if opcode == "SHADOW":
        if body["action"] != 1:
            return admin.Shadow.stop() if body["action"] == 2 else admin.Shadow()
        return admin.Shadow.start(
            label=body["label"] or None, generation=body["generation"] or None,
            share=body["partsPerMillion"] / 1e6)
    if opcode == "HELLO":
        return requests.Hello(
            minimum_version=body["minimumVersion"], maximum_version=body["maximumVersion"],
            maximum_frame_bytes=body["maximumFrameBytes"], required=body["requiredFeatures"],
            optional=body["optionalFeatures"], client_name=body["clientName"],
            token=None if body["token"] is None else bytes.fromhex(body["token"]))
    if opcode == "PING":
        return requests.Ping(body["token"])
    if opcode == "DESCRIBE":
        return requests.Describe()
    if opcode == "LOOKUP":
        return requests.Lookup(
            requests.IDs(body["ids"]), body["columns"], body["leavesOutUnknownColumns"])
    if opcode in ("TOP_PRODUCTS", "TOP_CUSTOMERS"):
        kind = requests.TopProducts if opcode == "TOP_PRODUCTS" else requests.TopCustomers
        return kind(body["id"], body["count"], body["excludesPurchased"])
    if opcode == "SIMILAR":
        return requests.Similar(
            {"customer": 1, "product": 2}[body["subject"]], body["id"], body["count"])
    if opcode in ("SEGMENTS", "SEGMENT_PROFILES"):
        kind = requests.Segments if opcode == "SEGMENTS" else requests.SegmentProfiles
        return kind(body["segmentation"])
    if opcode == "OFFER_PRODUCTS":
        from decimal import Decimal
        price = lambda number: Decimal(number) / 10_000 if number else None
        return requests.OfferProducts(
            body["id"], body["count"], offer=body["offer"], rank=body["rank"],
            bought=body["bought"], categories=body["categories"],
            lowest_price=price(body["lowestPrice"]), highest_price=price(body["highestPrice"]),
            largest_ratio=body["largestRatioPercent"] / 100 if body["largestRatioPercent"] else None,
            bought_since=body["boughtSince"], include_out_of_stock=body["includesOutOfStock"])
    if opcode == "SCORE":
        columns = {column["id"]: column["values"] for column in body["table"]["columns"]}
        attributes = {name: columns[64 + i] for i, name in enumerate(body["attributes"])}
        return Score(columns[1], columns[2], columns[3], columns.get(5), columns.get(6), attributes,
                     body["columns"])
    if opcode == "EXPLAIN":
        return Explain(body["id"], body["segmentation"])
    if opcode == "COUNT":
        return requests.CountCustomers(body["rule"])
    if opcode in ("AUDIENCE", "SCAN"):
        token = None if body["resumeToken"] is None else bytes.fromhex(body["resumeToken"])
        options = dict(columns=body["columns"], after=token, credit=body["credit"])
        return requests.Scan(**options) if opcode == "SCAN" else requests.Audience(body["rule"], **options)
    return requests.OfferCustomers(
        body["id"], body["count"], rank=body["rank"], promoted=body["isPromoted"],
        exclude_purchasers=body["excludesPurchasers"])


class VectorTests(unittest.TestCase):
    maxDiff = None

    def test_there_are_vectors(self):
        self.assertGreater(len(OK_ANSWERS), 15)
        self.assertGreater(len(OK_REQUESTS), 15)
        self.assertGreater(len(CLIENT_FAULTS), 25)

    def test_answers_are_read_to_their_meaning(self):
        for name, vector, data in OK_ANSWERS:
            with self.subTest(name):
                ((frame, found),) = read_as_client(data, features=vector.get("features", 0))
                expected = vector["frame"]
                opcode = OPCODES.get(expected["opcode"])
                if opcode is None:
                    self.assertEqual(str(frame.opcode), expected["opcode"])
                else:
                    self.assertEqual(frame.opcode, 0x8000 | opcode)
                self.assertEqual(frame.request_id, expected["requestID"])
                self.assertEqual(frame.aux, expected["status"])
                self.assertEqual(meta_json(opened(frame)[0]), expected["meta"])
                wanted = expected["body"]
                if name == "describe_newer_affinity":
                    # What this client does not know it does not keep.
                    wanted = {**wanted, "affinity": {"variant": 99, "offers": 0x41}}
                self.assertEqual(meaning(found), wanted)

    def test_requests_are_written_as_they_stand(self):
        tags = {"idempotencyKey": TAG_IDEMPOTENCY_KEY, "traceID": TAG_TRACE_ID,
                "priority": TAG_PRIORITY, "warning": TAG_WARNING, "modelLabel": TAG_MODEL_LABEL}
        written = 0
        for name, vector, data in OK_REQUESTS:
            if name in ONLY_READ:
                continue
            with self.subTest(name):
                expected = vector["frame"]
                if expected["opcode"] in ("CREDIT", "CANCEL"):
                    number = expected["requestID"]
                    made = (cancel_frame(number) if expected["opcode"] == "CANCEL"
                            else credit_frame(number, expected["body"]["credit"]))
                    self.assertEqual(made.hex(), data.hex())
                    continue
                request = build(expected["opcode"], expected["body"])
                items = []
                for item in expected["meta"]:
                    ((key, value),) = item.items()
                    if key == "priority":
                        raw = bytes([value])
                    else:
                        raw = (value.encode() if key in ("warning", "modelLabel")
                               else bytes.fromhex(value))
                    items.append((tags[key], raw))
                if expected["opcode"] == "HELLO" and data[10] & 4:
                    items = [(0x7F2A, bytes.fromhex("D75000"))]
                made = request.encode(items)
                again = made.frame(expected["requestID"], expected["deadlineMilliseconds"])
                self.assertEqual(again.hex(), data.hex())
                written += 1
        self.assertGreater(written, 12)

    def test_request_headers_are_read(self):
        for name, vector, data in OK_REQUESTS:
            with self.subTest(name):
                (frame,) = read_frames(data, features=vector.get("features", 0))
                expected = vector["frame"]
                self.assertEqual(frame.opcode, OPCODES[expected["opcode"]])
                self.assertEqual(frame.request_id, expected["requestID"])
                self.assertEqual(frame.aux, expected["deadlineMilliseconds"])
                self.assertEqual(meta_json(open_frame(frame)[0]), expected["meta"])

    def test_faults_of_answers_have_their_status(self):
        for name, vector, data in CLIENT_FAULTS:
            with self.subTest(name):
                with self.assertRaises(errors.MalformedAnswer) as caught:
                    read_as_client(data, vector["maximumLength"], vector.get("features", 0))
                self.assertEqual(caught.exception.name, vector["statusName"])
                self.assertEqual(caught.exception.status, vector["status"])

    def test_faults_of_frames_have_their_status(self):
        # Frames are the same in both directions, so are their faults.
        places = {"flags", "meta", "rawLength"}
        checked = 0
        for name, vector, data in SERVER_FAULTS:
            status = vector["status"]
            of_frame = status // 100 == 7 and status != 710 and name != "hello_versions"
            if not of_frame and status not in (108, 117, 1002, 1003, 1004):
                continue
            checked += 1
            with self.subTest(name):
                with self.assertRaises(errors.MalformedAnswer) as caught:
                    for frame in read_frames(
                            data, vector["maximumLength"], vector.get("features", 0)):
                        open_frame(frame)
                self.assertEqual(caught.exception.name, vector["statusName"])
                if not of_frame:
                    self.assertIn(caught.exception.field, places)
        self.assertGreater(checked, 15)

    def test_requests_that_a_server_refuses_are_not_made(self):
        cases = {
            "audience_rule_utf8": lambda: requests.Audience("\udcff"),
            "audience_without_rule": lambda: requests.Audience(""),
            "count_rule_large": lambda: requests.CountCustomers("x" * 65_537),
            "count_without_rule": lambda: requests.CountCustomers(""),
            "stream_credit_large": lambda: requests.Scan(credit=(1 << 24) + 1),
            "stream_credit_small": lambda: requests.Scan(credit=(1 << 18) - 1),
            "stream_duplicate_column": lambda: requests.Scan([19, 19]),
            "append_currency_utf8": lambda: append(currency="\udcff"),
            "append_day_and_time": lambda: append(times=[1]),
            "append_decimals": lambda: append(decimals=5),
            "append_no_currency": lambda: append(currency=""),
            "append_no_lines": lambda: append(customers=[], days=[], amounts=[]),
            "append_too_many_lines": lambda: append(amounts=range(65_537)),
            "append_without_time": lambda: append(days=None),
            "erase_no_ids": lambda: Erase([]),
            "erase_too_many_ids": lambda: Erase(range(65_537)),
            "models_label_long": lambda: admin.Models("x" * 65),
            "models_label_utf8": lambda: admin.Models("\udcff"),
            "models_set_generation": lambda: admin.Models("canary", 0),
            "models_without_label": lambda: admin.Models(""),
            "shadow_no_candidate": lambda: admin.Shadow.start(),
            "shadow_share_large": lambda: admin.Shadow.start(label="a", share=1.000001),
            "shadow_share_zero": lambda: admin.Shadow.start(label="a", share=0),
        }
        def append(**changed):
            return Append(PurchaseLines(
                **{"customers": [1], "days": [1], "amounts": [1], "currency": "EUR", **changed}))

        expected = {name: vector["statusName"] for name, vector, _ in SERVER_FAULTS}
        for name, make in cases.items():
            with self.subTest(name):
                with self.assertRaises(errors.FixRequest) as caught:
                    make()
                self.assertEqual(caught.exception.name, expected[name])

    def test_what_callers_get_of_administration(self):
        def found(name):
            ((_, answer),) = read_as_client(next(data for n, _, data in OK_ANSWERS if n == name))
            return answer.found

        self.assertEqual(found("models_response"), [
            ServedModel("stable", 12, 10134, "lifetime", 3, 16909060, None),
            ServedModel("stable", 12, 10134, "affinity", 2, 2695938256, None),
            ServedModel("canary", 13, None, None, None, None, "it is not there")])
        self.assertEqual(found("snapshot_response"), [
            StoredGeneration(
                12, True, True, (), 10134, 4338, 2097152, "lifetime 3, affinity 2", None),
            StoredGeneration(13, False, False, ("canary",), 10141, 4402, 2130000, "lifetime 4", None)])
        self.assertEqual(found("stats_response"), [
            Stat("server", "connections", 12.0, ""), Stat("LOOKUP", "p99", 0.00025, "s")])
        shadow = found("shadow_response")
        self.assertEqual((shadow.state, shadow.share, shadow.elapsed_seconds), ("running", 0.01, 60))
        (column,) = shadow.columns
        self.assertEqual((column.number, column.name, column.compared_count), (19, "lifetime_value", 980))
        self.assertEqual((column.differing_count, column.only_current_count), (970, 20))
        self.assertEqual((column.mean_difference, column.difference_99, column.moves), (1.25, 16.0, ()))
        moves = [move for column in found("shadow_response_moves").columns for move in column.moves]
        self.assertTrue(moves)
        self.assertIsInstance(moves[0], ShadowMove)
        refusals = found("append_response_refusals").refusals
        self.assertEqual(refusals, [
            Refusal(1, "customers", RefusalReason.MISSING_CUSTOMER_ID),
            Refusal(1, "amounts", RefusalReason.MISSING_AMOUNT),
            Refusal(2, "times", RefusalReason.MISSING_TIME)])
        self.assertIsNone(found("append_response_none").sequence)

    def test_every_class_has_its_error(self):
        expected = {
            1: errors.FixRequest, 2: errors.NotFound, 3: errors.RetryNow, 4: errors.Overloaded,
            5: errors.Unavailable, 6: errors.NotAllowed, 7: errors.ProtocolError,
            8: errors.DeadlinePassed, 9: errors.Cancelled, 10: errors.Unsupported,
            11: errors.DataDamaged, 12: errors.InternalError, 13: errors.InternalError}
        for number, kind in expected.items():
            self.assertIs(type(errors.error_for(100 * number + 99, "")), kind)

    def test_an_error_carries_what_the_server_said(self):
        data = next(data for name, _, data in OK_ANSWERS if name == "failure_response_overloaded")
        ((_, error),) = read_as_client(data)
        self.assertIsInstance(error, errors.Overloaded)
        self.assertEqual((error.status, error.name, error.retry_after), (401, "tooManyInFlight", 0.25))
        import pickle
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((again.status, again.retry_after, str(again)), (401, 0.25, str(error)))

    def test_columns_have_the_names_of_the_specification(self):
        text = (support.REPOSITORY / "protocol" / "WIRE.md").read_text("utf-8")
        section = text[text.index("### 8.4 Columns"):text.index("### 8.5 ")]
        import re
        named = {}
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for number, name in zip(cells, cells[1:]):
                if re.fullmatch(r"\d+|0x[0-9A-F]{4}", number) and re.fullmatch(r"\w+", name):
                    named[int(number, 0)] = re.sub(
                        r"(?<=[a-z])([A-Z])", lambda m: "_" + m[1].lower(),
                        name.replace("ID", "Id")).lower()
        self.assertGreater(len(named), 40)
        self.assertEqual(named, _columns.KNOWN_NAMES)


    def test_statuses_are_those_of_the_specification(self):
        import re
        from patron_client._status import STATUSES
        text = (support.REPOSITORY / "protocol" / "WIRE.md").read_text("utf-8")
        section = text[text.index("## 6. Status"):text.index("## 7. Operations")]
        rows = re.findall(r"^\| (\d{3,4}|0) \| (\w+) \|", section[section.index("| number |"):], re.M)
        self.assertEqual({name: int(number) for number, name in rows}, STATUSES)


class StreamTests(unittest.TestCase):
    """Frames cut anywhere, glued together, shortened and damaged."""

    def setUp(self):
        self.data = [data for _, _, data in OK_ANSWERS + OK_REQUESTS]
        self.whole = b"".join(self.data)

    @staticmethod
    def fields(frames):
        return [(f.opcode, f.request_id, f.aux, bytes(f.payload)) for f in frames]

    def test_split_at_every_byte(self):
        for data in self.data:
            expected = self.fields(read_frames(data))
            for cut in range(1, len(data)):
                reader = FrameReader(16 << 20)
                frames = reader.feed(data[:cut]) + reader.feed(data[cut:])
                self.assertEqual(self.fields(frames), expected, cut)

    def test_byte_by_byte_and_coalesced(self):
        expected = self.fields(read_frames(self.whole))
        self.assertEqual(len(expected), len(self.data))
        for size in (1, 7, 31, 4096):
            reader = FrameReader(16 << 20)
            frames = []
            for at in range(0, len(self.whole), size):
                frames += reader.feed(self.whole[at : at + size])
            reader.ended()
            self.assertEqual(self.fields(frames), expected, size)

    def test_large_frames_between_small_ones(self):
        sizes = [0, 1, 16351, 16352, 16353, 65503, 65504, 65505, 200_000, 3]
        data = b"".join(
            support.answer(2, n + 1, bytes([n]) * size) for n, size in enumerate(sizes))
        for piece in (1000, 65536, 1 << 20):
            reader = FrameReader(16 << 20)
            frames = []
            for at in range(0, len(data), piece):
                frames += reader.feed(data[at : at + piece])
            reader.ended()
            self.assertEqual([len(f.payload) for f in frames], sizes)
            for n, frame in enumerate(frames):
                self.assertEqual(bytes(frame.payload), bytes([n]) * sizes[n])

    def test_cut_off_at_every_byte(self):
        for name, _, data in OK_ANSWERS:
            for size in range(1, len(data)):
                with self.assertRaises(errors.MalformedAnswer) as caught:
                    read_frames(data[:size])
                self.assertEqual(caught.exception.name, "unexpectedEnd", (name, size))

    def test_a_flipped_bit_is_refused(self):
        for name, _, data in OK_ANSWERS:
            for at in range(len(data)):
                damaged = bytearray(data)
                damaged[at] ^= 1 << at % 8
                with self.assertRaises(errors.MalformedAnswer, msg=(name, at)):
                    read_as_client(bytes(damaged))

    def test_a_wrong_body_under_a_right_checksum_is_refused_or_read(self):
        # Whatever stands there: an answer or a MalformedAnswer, and nothing else.
        refused = 0
        for name, vector, data in OK_ANSWERS:
            (frame,) = read_frames(data, features=vector.get("features", 0))
            body = bytes(opened(frame)[1])
            for at in range(len(body)):
                for value in (0xFF, body[at] ^ 1, body[at] ^ 0x80):
                    changed = body[:at] + bytes([value]) + body[at + 1 :]
                    whole = support.frame(frame.opcode, 7, changed, frame.aux)
                    try:
                        for _, found in read_as_client(whole):
                            meaning(found)
                    except errors.MalformedAnswer:
                        refused += 1
        self.assertGreater(refused, 1000)

    def test_a_shorter_body_under_a_right_checksum_is_refused(self):
        for name, vector, data in OK_ANSWERS:
            (frame,) = read_frames(data, features=vector.get("features", 0))
            body = bytes(opened(frame)[1])
            for size in range(len(body)):
                whole = support.frame(frame.opcode, 7, body[:size], frame.aux)
                with self.assertRaises(errors.MalformedAnswer, msg=(name, size)):
                    read_as_client(whole)

    @unittest.skipUnless(lz4_block, "the package lz4 is not installed")
    def test_damaged_blocks_are_refused_or_read(self):
        # A block under right checksums: cut, changed, with another rawLength.
        refused = read = 0
        for name, vector, data in OK_ANSWERS:
            if not vector.get("features", 0) & 1:
                continue
            (frame,) = read_frames(data)
            raw = struct.unpack_from("<I", data, 16)[0]
            for at in range(32, len(data)):
                for payload, raw_length in (
                        (data[32:at], raw), (data[32:at] + b"\xff" + data[at + 1 :], raw),
                        (data[32:at] + bytes([data[at] ^ 1]) + data[at + 1 :], raw),
                        (data[32:], raw + at), (data[32:], 0), (data[32:], 0xFFFFFFFF)):
                    head = struct.pack("<I", len(payload) + 28) + data[4:16] + struct.pack(
                        "<III", raw_length, 0, crc32c(payload) if payload else 0)
                    whole = head + struct.pack("<I", crc32c(head)) + payload
                    try:
                        for _, found in read_as_client(whole, features=1):
                            meaning(found)
                        read += 1
                    except errors.MalformedAnswer:
                        refused += 1
        self.assertGreater(refused, 1000)
        self.assertGreater(refused, read)

    def test_the_limit_holds_before_the_body_is_there(self):
        header = support.answer(2, 1, bytes(5000))[:32]
        with self.assertRaises(errors.MalformedAnswer) as caught:
            FrameReader().feed(header)
        self.assertEqual(caught.exception.name, "frameTooLarge")



if __name__ == "__main__":
    unittest.main()
