"""A command line for people: python -m patron_client HOST:PORT describe"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import pathlib
import sys
from dataclasses import asdict
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from . import Client, PatronError, PurchaseLines, Unavailable, connect
from ._columns import ENTITY_ID, ROW_STATUS
from .answers import Description, Explanation, PatronID, TableAnswer

USAGE, FAILED, UNAVAILABLE = 64, 1, 69


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="patron-client", description="Asks a Patron server.")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="30 by default; none for customers")
    parser.add_argument("--tls", action="store_true", help="with the system's certificates")
    parser.add_argument("--label", help="of the generation that answers, such as canary")
    parser.add_argument("--token-file", type=pathlib.Path, help="a file that holds the token")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    commands.add_parser("ping", help="the generation that is served")
    commands.add_parser("describe", help="columns, counts, models")
    lookup = commands.add_parser("lookup", help="scores of customers")
    lookup.add_argument("ids", nargs="+", metavar="ID")
    lookup.add_argument("--columns", help="names, commas between; all by default")
    count = commands.add_parser("count", help="how many customers a rule holds for")
    count.add_argument("rule")
    customers = commands.add_parser(
        "customers", help="the customers that a rule holds for, or all, as CSV")
    customers.add_argument("rule", nargs="?")
    customers.add_argument("--columns", help="names, commas between; all by default")
    for name, who in (("top-products", "customer"), ("similar-customers", "customer"),
                      ("top-customers", "product"), ("similar-products", "product")):
        command = commands.add_parser(name, help=f"of a {who}")
        command.add_argument("id", metavar=who.upper())
        command.add_argument("--count", type=int, default=10)
    explain = commands.add_parser("explain", help="why a customer is in a segment")
    explain.add_argument("id", metavar="CUSTOMER")
    explain.add_argument("segmentation")
    append = commands.add_parser("append", help="purchases of a CSV file, a line each")
    append.add_argument("file", metavar="CSV")
    append.add_argument("--currency", required=True, help="that of the workspace")
    append.add_argument("--decimals", type=int, default=2, help="of amounts, 2 by default")
    append.add_argument("--key", help="32 hexadecimal digits: the same lines again, taken once")
    for name in ("segments", "segment-profiles"):
        command = commands.add_parser(name, help="of one segmentation, or of all")
        command.add_argument("segmentation", nargs="?")
    return parser


def _address(text: str) -> Tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise SystemExit(_usage(f"{text!r} is no HOST:PORT"))
    return host.strip("[]") or "127.0.0.1", int(port)


def _usage(message: str) -> int:
    print(f"patron-client: {message}", file=sys.stderr)
    return USAGE


def _id(text: str, kind: Optional[str]) -> PatronID:
    if kind != "integer":
        return text
    try:
        return int(text)
    except ValueError:
        raise SystemExit(_usage(f"{text!r} is no id: ids here are integers")) from None


def _run(client: Client, options: argparse.Namespace) -> Dict[str, Any]:
    """What is printed: `text` for people, the rest as JSON."""
    command = options.command
    if command == "ping":
        generation = client.ping()
        return {"generation": generation, "text": f"generation {generation}"}
    if command == "count":
        count = client.count(options.rule)
        return {
            "snapshot": asdict(count.snapshot), "count": count.count,
            "customer_count": count.customer_count,
            "text": f"{count.count} of {count.customer_count} customers"}
    if command == "segments":
        return _table(client.segments(options.segmentation))
    if command == "segment-profiles":
        return _table(client.segment_profiles(options.segmentation))
    if command == "append":
        return _append(client, options)
    description = client.describe()
    if command == "describe":
        return _description(description)
    if command == "lookup":
        ids = [_id(text, description.customer_id_kind) for text in options.ids]
        return _table(client.lookup(ids, _columns(options)))
    if command == "explain":
        return _explanation(client.explain(
            _id(options.id, description.customer_id_kind), options.segmentation))
    of_customer = command in ("top-products", "similar-customers")
    kind = description.customer_id_kind if of_customer else description.product_id_kind
    operations: Dict[str, Callable[[PatronID, int], TableAnswer]] = {
        "top-products": client.top_products, "top-customers": client.top_customers,
        "similar-products": client.similar_products, "similar-customers": client.similar_customers,
    }
    return _table(operations[command](_id(options.id, kind), options.count))


def _append(client: Client, options: argparse.Namespace) -> Dict[str, Any]:
    key = None
    if options.key is not None:
        try:
            key = bytes.fromhex(options.key)
        except ValueError:
            raise SystemExit(_usage(f"{options.key!r} is no key")) from None
    with open(options.file, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    kind = client.describe().customer_id_kind
    columns: Dict[str, List[Any]] = {
        name: [row[name] or None for row in rows] for name in reader.fieldnames or ()}
    for name, convert in (
        ("customer", lambda text: _id(text, kind)), ("day", datetime.date.fromisoformat),
        ("time", datetime.datetime.fromisoformat), ("quantity", float),
    ):
        if name in columns:
            columns[name] = [
                None if text is None else _cell_of(name, line, text, convert)
                for line, text in enumerate(columns[name], 2)]
    found = client.append(
        PurchaseLines.of(columns, options.currency, decimals=options.decimals), key=key)
    lines = [f"{found.accepted_count} lines taken, {found.refused_count} refused"
             + (", as before" if found.is_repeat else "")]
    lines += [
        f"line {refusal.line + 2}: {refusal.column}: {refusal.reason.name}" for refusal in found.refusals]
    return {
        "accepted": found.accepted_count, "refused": found.refused_count,
        "is_repeat": found.is_repeat, "key": found.key.hex(),
        "refusals": [
            {"line": refusal.line + 2, "column": refusal.column, "reason": refusal.reason.name}
            for refusal in found.refusals], "text": "\n".join(lines)}


def _cell_of(name: str, line: int, text: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(text)
    except ValueError:
        raise SystemExit(_usage(f"line {line}: {text!r} is no {name}")) from None


def _explanation(found: Explanation) -> Dict[str, Any]:
    def distance(value: Optional[float]) -> str:
        return "" if value is None else f", distance {value:.3f}"

    head = f"segment {found.segment}{distance(found.distance)}"
    if found.next_segment is not None:
        head += f"; next: {found.next_segment}{distance(found.next_distance)}"
    table = _table(found)
    return {
        **table, "segment": found.segment, "next_segment": found.next_segment,
        "distance": found.distance, "next_distance": found.next_distance,
        "model_version": found.model_version, "text": head + "\n" + str(table["text"])}


def _columns(options: argparse.Namespace) -> Optional[List[str]]:
    return options.columns.split(",") if options.columns else None


def _print_customers(client: Client, options: argparse.Namespace) -> None:
    """CSV with a line a customer, a header before; an object a line with --json."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    is_first = True
    with client.customers(options.rule, _columns(options), deadline=options.deadline) as stream:
        for chunk in stream:
            if options.json:
                for row in chunk.rows():
                    print(json.dumps(row, ensure_ascii=False))
                continue
            columns = [
                column for column in chunk.columns.values()
                if column.number not in (ENTITY_ID, ROW_STATUS)]
            if is_first:
                writer.writerow(["id", "status", *(column.name for column in columns)])
                is_first = False
            statuses = [status.name for status in chunk.statuses]
            writer.writerows(zip(chunk.ids, statuses, *(column.values for column in columns)))
    sys.stdout.flush()


def _head(snapshot: Any) -> str:
    return f"generation {snapshot.generation}, as of {snapshot.as_of}, {snapshot.currency}"


def _description(found: Description) -> Dict[str, Any]:
    lines = [
        _head(found.snapshot),
        f"{found.customer_count} customers ({found.customer_id_kind} ids), "
        f"{found.product_count} products ({found.product_id_kind} ids)",
        "models: " + ", ".join(f"{m.name} version {m.version}" for m in found.snapshot.models),
        f"affinity: {found.affinity.variant if found.affinity else 'not told'}",
    ]
    rows = [[c.name, c.type, c.unit, c.description] for c in found.columns]
    lines += _aligned(["column", "type", "unit", "description"], rows)
    return {**asdict(found), "text": "\n".join(lines)}


def _table(found: TableAnswer) -> Dict[str, Any]:
    rows = found.rows()
    lines = [_head(found.snapshot)]
    if rows:
        lines += _aligned(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
    else:
        lines.append(f"no rows: {found.status.name}")
    return {
        "snapshot": asdict(found.snapshot), "status": found.status.name, "rows": rows,
        "text": "\n".join(lines)}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _aligned(names: List[str], rows: Sequence[Sequence[str]]) -> List[str]:
    table = [names, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(names))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in table]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    options = _parser().parse_args(arguments)
    host, port = _address(options.address)
    try:
        token = options.token_file.read_bytes().strip() if options.token_file else None
        with connect(
            host, port, token=token, tls=options.tls, deadline=options.deadline or 30.0,
            connections=1,
        ) as client:
            if options.label is not None:
                client = client.with_options(label=options.label)
            if options.command == "customers":
                _print_customers(client, options)
                return 0
            printed = _run(client, options)
        text = printed.pop("text")
        print(json.dumps(printed, ensure_ascii=False) if options.json else text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads the output has enough. Python flushes at its end once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PatronError, OSError, csv.Error, UnicodeDecodeError) as error:
        print(f"patron-client: {error}", file=sys.stderr)
        return UNAVAILABLE if isinstance(error, Unavailable) else FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
