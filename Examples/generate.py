#!/usr/bin/env python3
"""Writes the made-up customers of the example plans: python3 generate.py, beside this file.

The columns are those of five public teaching sets; no value is taken from them. In every file the
customer in row i belongs to the planted group i % number of groups, which no column says; the tests
measure how well the segments find it.
"""
import math
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))


def write(folder, name, header, rows, separator=","):
    path = os.path.join(HERE, folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        for row in [header] + rows:
            file.write(separator.join(str(field) for field in row) + "\n")


def within(value, low, high):
    return max(low, min(high, round(value)))


def count(rng, mean):
    """A Poisson count (Knuth's way)."""
    limit, product, events = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        events += 1
    return events


def mall(rng):
    # Income in thousands, spending score, age: low and high of both, and the middle.
    groups = [(25, 20, 46), (26, 79, 25), (55, 50, 43), (87, 18, 41), (86, 82, 33)]
    rows = []
    for i in range(200):
        income, score, age = groups[i % 5]
        rows.append([
            f"{i + 1:04}", "Female" if rng.random() < 0.55 else "Male",
            within(rng.gauss(age, 7), 18, 70), within(rng.gauss(income, 6), 12, 140),
            within(rng.gauss(score, 7), 1, 99)])
    write("mall-customers", "customers.csv",
          ["CustomerID", "Genre", "Age", "Annual Income (k$)", "Spending Score (1-100)"], rows)


def wholesale(rng):
    # Median yearly amounts of fresh, milk, grocery, frozen, detergents and paper, delicatessen.
    groups = [(9000, 1900, 2500, 2200, 350, 900), (5500, 9500, 15000, 1000, 6500, 1300)]
    rows = []
    for i in range(300):
        channel = i % 2 + 1
        amounts = [round(median * math.exp(rng.gauss(0, 0.6))) for median in groups[i % 2]]
        rows.append([i + 1, channel, rng.choice([1, 2, 3, 3, 3])] + amounts)
    write("wholesale-customers", "customers.csv",
          ["CustomerId", "Channel", "Region", "Fresh", "Milk", "Grocery", "Frozen",
           "Detergents_Paper", "Delicassen"], rows)


def card(rng):
    header = [
        "CUST_ID", "BALANCE", "BALANCE_FREQUENCY", "PURCHASES", "ONEOFF_PURCHASES",
        "INSTALLMENTS_PURCHASES", "CASH_ADVANCE", "PURCHASES_FREQUENCY",
        "ONEOFF_PURCHASES_FREQUENCY", "PURCHASES_INSTALLMENTS_FREQUENCY",
        "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX", "PURCHASES_TRX", "CREDIT_LIMIT", "PAYMENTS",
        "MINIMUM_PAYMENTS", "PRC_FULL_PAYMENT", "TENURE"]
    # Balance, one-off purchases, purchases by instalments, cash advances (0: hardly any).
    groups = [(1200, 2500, 0, 0), (400, 0, 700, 0), (2500, 0, 0, 3000), (60, 0, 90, 0)]

    def amount(median):
        return round(median * math.exp(rng.gauss(0, 0.5)), 2) if median else 0

    def share(value):
        return round(min(1, max(0, rng.gauss(0.75, 0.15))), 6) if value else 0

    rows = []
    for i in range(360):
        balance, oneoff, instalments, cash = (amount(median) for median in groups[i % 4])
        purchases = round(oneoff + instalments, 2)
        row = [
            f"C{10001 + i}", balance, round(min(1, rng.gauss(0.9, 0.05)), 6), purchases, oneoff,
            instalments, cash, share(purchases), share(oneoff), share(instalments), share(cash),
            1 + count(rng, 6) if cash else 0, 1 + count(rng, 15) if purchases else 0,
            rng.choice([1000, 2000, 3000, 5000, 7500]), amount(purchases + cash + 100),
            amount(balance * 0.1), round(max(0, rng.gauss(0.1, 0.1)), 6), 12]
        if rng.random() < 0.03:
            row[15] = ""
        if i == 77:
            row[13] = ""
        rows.append(row)
    write("credit-card-usage", "customers.csv", header, rows)


INTERESTS = (
    "basketball football soccer softball volleyball swimming cheerleading baseball tennis sports "
    "cute sex sexy hot kissed dance band marching music rock god church jesus bible hair dress "
    "blonde mall shopping clothes hollister abercrombie die death drunk drugs").split()


def teens(rng):
    groups = [
        "basketball football soccer softball volleyball baseball sports".split(),
        "band marching music rock".split(),
        "god church jesus bible".split(),
        "cute hair dress mall shopping clothes hollister abercrombie".split(),
        []]
    rows = []
    for i in range(400):
        own = groups[i % 5]
        gender = "" if rng.random() < 0.09 else "F" if rng.random() < 0.8 else "M"
        age = "" if rng.random() < 0.17 else round(rng.gauss(17.3, 1), 3)
        rows.append(
            [rng.choice([2006, 2007, 2008, 2009]), gender, age, count(rng, 30)]
            + [count(rng, 2.5 if name in own else 0.15) for name in INTERESTS])
    write("teen-interests", "customers.csv", ["gradyear", "gender", "age", "friends"] + INTERESTS,
          rows)


def personality(rng):
    header = [
        "ID", "Year_Birth", "Education", "Marital_Status", "Income", "Kidhome", "Teenhome",
        "Dt_Customer", "Recency", "MntWines", "MntFruits", "MntMeatProducts", "MntFishProducts",
        "MntSweetProducts", "MntGoldProds", "NumDealsPurchases", "NumWebPurchases",
        "NumCatalogPurchases", "NumStorePurchases", "NumWebVisitsMonth", "Complain", "Response"]
    # Year of birth, income, chance of a small child and of a teenager, median amounts of wines,
    # fruits, meat, fish, sweets and gold.
    groups = [
        (1955, 76000, 0.02, 0.1, (650, 60, 420, 80, 60, 70)),
        (1962, 55000, 0.1, 0.9, (380, 12, 110, 14, 12, 40)),
        (1980, 29000, 0.85, 0.1, (22, 5, 18, 6, 5, 14))]
    # Schooling rises with income here, living together falls.
    schooling = [["Master", "PhD", "Graduation"], ["Graduation", "Master", "2n Cycle"],
                 ["Basic", "2n Cycle", "Graduation"]]
    living = [["Single", "Widow", "Divorced", "Together"], ["Married", "Married", "Together"],
              ["Married", "Together", "Single"]]
    rows = []
    for i in range(300):
        year, income, kid, teen, amounts = groups[i % 3]
        rows.append([
            1000 + i, within(rng.gauss(year, 5), 1930, 1996), rng.choice(schooling[i % 3]),
            rng.choice(living[i % 3]),
            "" if rng.random() < 0.02 else within(rng.gauss(income, 6000), 8000, 120000),
            int(rng.random() < kid), int(rng.random() < teen),
            f"{rng.randint(1, 28):02}-{rng.randint(1, 12):02}-2013", rng.randint(0, 99)]
            + [round(median * math.exp(rng.gauss(0, 0.5))) for median in amounts]
            + [count(rng, mean) for mean in (2, 4, 3, 6, 5)] + [0, int(rng.random() < 0.15)])
    write("customer-personality", "customers.tsv", header, rows, "\t")


if __name__ == "__main__":
    for number, make in enumerate([mall, wholesale, card, teens, personality]):
        make(random.Random(20 + number))
