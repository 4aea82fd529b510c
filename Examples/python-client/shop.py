"""What a shop's web service does with Patron: one client for the life of the process, asked by any
number of threads.

    pip install tools/python
    python3 Examples/python-client/shop.py 127.0.0.1:7070 17850 13047
    python3 Examples/python-client/shop.py 127.0.0.1:7070 17850 --buy 22423 4.95   # a server with --append

A token is taken from PATRON_TOKEN, `--label canary` has the generation with that label answer.
"""

import argparse
import concurrent.futures
import datetime
import os
import sys
from decimal import Decimal

import patron_client
from patron_client import PatronError, PurchaseLines

COLUMNS = ["lifetime_value", "churn_probability", "value_segment"]


def greeting(client, customer):
    """As a request of the web service: what is known of who has come, and what to offer."""
    known = client.lookup_one(customer, COLUMNS)
    values = ", ".join(f"{name} {value}" for name, value in known.values.items())
    offers = ""
    if known.status is patron_client.CustomerStatus.OK:
        entries = client.offer_products(customer, 3, rank="margin").entries
        offers = "; offer " + ", ".join(str(entry.id) for entry in entries)
    return f"{customer} ({known.status.name}): {values}{offers}"


def buy(client, customer, product, amount):
    """As a checkout: durable when it returns, and counted by the next look-up."""
    description = client.describe()
    lines = PurchaseLines(
        customers=[customer], amounts=[amount], currency=description.snapshot.currency,
        times=[datetime.datetime.now(datetime.timezone.utc)], margins=[round(amount / 3, 2)],
        quantities=[1], orders=[f"{customer}-{datetime.datetime.now():%H%M%S%f}"],
        products=[product], categories=["household"], promotions=[None], channels=["web"])
    key = patron_client.new_key()
    while True:
        try:
            done = client.append(lines, key=key, deadline=5)
            break
        except patron_client.DeadlinePassed:
            # Nobody knows what became of it: the same lines with the same key are taken once.
            continue
    for refusal in done.refusals:
        print(f"not taken: {refusal.column}: {refusal.reason.name}")
    return done.accepted_count


def main():
    parser = argparse.ArgumentParser(description="Greets customers, and sells them something.")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("customers", nargs="+", type=int)
    parser.add_argument("--label")
    parser.add_argument("--buy", nargs=2, metavar=("PRODUCT", "AMOUNT"))
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    try:
        with patron_client.connect(
            host, int(port), token=os.environ.get("PATRON_TOKEN"), deadline=0.5,
        ) as connected:
            client = connected.with_options(label=options.label)
            # Look-ups of threads that come together go to the server in one frame.
            with concurrent.futures.ThreadPoolExecutor(8) as threads:
                for line in threads.map(lambda who: greeting(client, who), options.customers):
                    print(line)
            if options.buy:
                product, amount = options.buy
                customer = options.customers[0]
                print(f"{buy(client, customer, product, Decimal(amount))} line taken")
                now = client.lookup_one(customer, ["revenue", "days_since_last_purchase"])
                print(f"{customer}: {now.values}")
    except PatronError as error:
        sys.exit(f"shop: {error}")


if __name__ == "__main__":
    main()
