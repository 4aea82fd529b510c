"""Prints what a server answers to every operation that reads, to the last bit, a value a line:
`python3 tools/python/tests/dump_answers.py PORT CUSTOMER,… PRODUCT CATEGORY`. A test of the Swift client
asks the same and compares."""

import asyncio
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import patron_client  # noqa: E402
from patron_client import aio  # noqa: E402


def text(value, kind="float64"):
    if value is None:
        return "-"
    if isinstance(value, float):
        form = ("<f", "<I", 8) if kind == "float32" else ("<d", "<Q", 16)
        return f"{struct.unpack(form[1], struct.pack(form[0], value))[0]:0{form[2]}x}"
    return str(value)


class Dump:
    def __init__(self):
        self.lines = []

    def add(self, name, *values):
        self.lines.append(" ".join([name, *(text(value) for value in values)]))

    def snapshot(self, name, found):
        self.add(f"{name}.snapshot", found.generation, found.as_of_day, found.currency)
        for model in found.models:
            self.add(f"{name}.model", model.name, model.version, model.checksum)

    def table(self, name, found, skip=(0xF001, 0xF002)):
        self.snapshot(name, found.snapshot)
        for status in found.statuses:
            self.add(f"{name}.status", int(status))
        for column in found.columns.values():
            if column.number in skip:
                continue
            for value in column.values:
                self.add(f"{name}.{column.number}", text(value, column.type))

    def ranking(self, name, found):
        self.snapshot(name, found.snapshot)
        self.add(f"{name}.status", int(found.status))
        for entry in found.entries:
            self.add(f"{name}.entry", entry.id, text(entry.score, "float32"))

    def offers(self, name, found):
        self.ranking(name, found)
        for entry in found.entries:
            self.add(
                f"{name}.offer", entry.purchase_probability, entry.expected_margin,
                entry.promotion_lift, None if entry.basis is None else int(entry.basis))


async def dump(client, customers, product, category):
    out, one = Dump(), customers[1]
    out.add("ping", await client.ping())
    found = await client.describe()
    out.snapshot("describe", found.snapshot)
    out.add("describe", found.customer_count, found.product_count, found.customer_id_kind,
            found.product_id_kind)
    a = found.affinity
    out.add("affinity", a.variant, *(int(value) for value in (
        a.has_details, a.has_probabilities, a.takes_bought_since, a.has_promotions, a.finds_similar,
        a.serves_cold_customers, a.serves_cold_products)))
    for column in found.columns:
        names = "|".join(f"{number} {name}" for number, name in column.value_names.items())
        out.add("column", column.number, column.name, column.unit, column.description, names)
    numbers = [column.number for column in found.columns]
    asked = customers + [-5, customers[0]]
    out.table("lookup", await client.lookup(asked))
    out.table("columns", await client.lookup(asked, [numbers[-1], 19, numbers[0]]))
    for customer in asked:
        single = await client.lookup_one(customer, numbers)
        out.snapshot("one", single.snapshot)
        out.add("one.status", int(single.status))
        types = {column.name: column.type for column in found.columns}
        for name, value in single.values.items():
            out.add(f"one.{found.numbers[name]}", text(value, types[name]))
    histories = [(0, 0, 10, None, 20.0), (2, 20, 10, 20.0, 50.0), (5, 200, 301, 33.25, None),
                 (3, 99, 100, 12.125, 700.5)]
    columns = list(zip(*histories))
    out.table("score", await client.score(
        columns[0], columns[1], columns[2], mean_order_value=columns[3], revenue=columns[4]))
    for customer in customers[:4]:
        out.ranking("top-products", await client.top_products(customer, 7))
        out.ranking("similar-customers", await client.similar_customers(customer, 7))
        for offer in ("next", "crossSell", "upSell"):
            for rank in ("affinity", "margin"):
                out.offers(f"offer-{offer}-{rank}", await client.offer_products(
                    customer, 5, offer=offer, rank=rank, bought="included"))
        out.offers("offer-since", await client.offer_products(
            customer, 5, categories=[category], lowest_price=0.5, highest_price=90,
            bought_since=[product]))
    out.ranking("top-customers", await client.top_customers(product, 7, exclude_purchased=False))
    out.ranking("similar-products", await client.similar_products(product, 7))
    for promoted in (False, True):
        out.offers("offer-customers", await client.offer_customers(
            product, 7, rank="probability", promoted=promoted))
    for segmentation in (None, "value"):
        segments = await client.segments(segmentation)
        out.snapshot("segments", segments.snapshot)
        for s in segments.segments:
            out.add("segment", s.segmentation, s.number, s.name, s.customer_count, s.customer_share,
                    s.revenue, s.revenue_share, s.mean_lifetime_value, s.mean_churn_probability,
                    s.margin, s.mean_expected_purchases, s.distinctions)
        profiles = await client.segment_profiles(segmentation)
        for p in profiles.profiles:
            out.add("profile", p.segmentation, p.segment, p.feature, p.category, p.mean,
                    p.overall_mean, p.index, p.difference or 0.0, p.missing_share)
    for customer in customers[:3]:
        found = await client.explain(customer, "value")
        out.snapshot("explain", found.snapshot)
        out.add("explain", found.segment, found.next_segment, found.distance, found.next_distance,
                found.model_version)
        for row in found.rows():
            out.add("part", *(row.get(name) for name in (
                "profile_feature", "explain_value", "explain_text", "explain_segment_text",
                "explain_next_text", "profile_mean", "explain_next_mean", "profile_overall_mean",
                "explain_difference", "explain_share")))
    rule = "lifetime_value > 50 and not churn_probability >= 0.75"
    out.add("count", (await client.count(rule)).count)
    for name, chosen in (("audience", rule), ("scan", None)):
        async for chunk in client.customers(chosen, [19, numbers[-1]]):
            out.add(f"{name}.ids", *chunk.ids)
            out.table(name, chunk)
            out.add(f"{name}.scanned", chunk.scanned_count)
    return out.lines


async def main():
    port, customers, product, category = sys.argv[1:]
    ids = [int(customer) for customer in customers.split(",")]
    async with await aio.connect("127.0.0.1", int(port), deadline=120) as client:
        lines = await dump(client, ids, product, category)
    with patron_client.connect("127.0.0.1", int(port), deadline=120) as blocking:
        # The client for threads, by the same words.
        class Awaitable:
            def __getattr__(self, name):
                async def call(*given, **options):
                    return getattr(blocking, name)(*given, **options)

                async def chunks(*given, **options):
                    for chunk in blocking.customers(*given, **options):
                        yield chunk
                return chunks if name == "customers" else call

        again = await dump(Awaitable(), ids, product, category)
    if again != lines:
        sys.exit("the two clients of Python differ")
    sys.stdout.write("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    asyncio.run(main())
