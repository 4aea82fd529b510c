"""Streams of customers, without input or output: which columns, what to do with each chunk, when to
go on after a lost connection. The blocking and the asyncio client both run `customers_flow`.
"""

from __future__ import annotations

import time
from typing import Any, Dict, Generator, Generic, List, NamedTuple, Optional, Sequence, TypeVar, Union

from ._columns import KNOWN_NAMES
from ._flow import (
    ROUNDS, ColumnChoice, Directory, check_columns, describe_flow, is_of_snapshot, numbers_flow)
from ._requests import Audience, Request, Scan, check_credit, check_token, encode_rule
from ._retry import Budget, Retries, Tries
from ._status import STATUSES
from .answers import CustomerChunk
from .errors import ConnectionLost, DeadlinePassed, PatronError, fault, malformed

#: Bytes: a few chunks ahead of the reader; sixteen such streams share a connection.
CREDIT = 1 << 20
_CHANGED = STATUSES["snapshotChanged"]
_CUT = STATUSES["unexpectedEnd"]
C = TypeVar("C")


class Open(NamedTuple):
    """Sends a request; answered with None, or the error."""

    request: Request[CustomerChunk]


class Next:
    """Answered with the next chunk, None behind the last one, or the error."""


class Stop:
    """Ends the stream that is open."""


class Pause(NamedTuple):
    seconds: float


Step = Union[Open, Next, Stop, Pause, CustomerChunk, List[Request[Any]]]


class Wanted:
    """What a stream is of, and how far it has come."""

    def __init__(
        self, rule: Optional[str], columns: Optional[Sequence[ColumnChoice]],
        after: Optional[bytes], credit: int,
    ) -> None:
        if rule is not None:
            encode_rule(rule)
        self.rule = rule
        self.columns = check_columns(columns)
        self.credit = check_credit(credit)
        #: Of the last chunk that the caller has got.
        self.token = check_token(after)
        if self.columns is not None and all([isinstance(c, int) for c in self.columns]):
            self.request([c for c in self.columns if isinstance(c, int)])

    def request(self, numbers: Optional[List[int]]) -> Scan:
        if self.rule is None:
            return Scan(numbers, after=self.token, credit=self.credit)
        return Audience(self.rule, numbers, after=self.token, credit=self.credit)


def customers_flow(
    directory: Directory, wanted: Wanted, retries: Retries, end: Optional[float],
    budget: Budget,
) -> Generator[Step, Any, None]:
    """Yields steps; those that are chunks are for the caller.

    All chunks are of one generation. Numbers of columns and names are that generation's: before the
    first chunk is given away the description that they come from is compared with it.
    """
    columns = wanted.columns
    by_name = columns is not None and any([is_of_snapshot(column) for column in columns])
    if by_name and wanted.token is not None:
        # The token is of the present snapshot, or useless: so must the numbers be.
        yield from describe_flow(directory)
    names: Dict[int, str] = {}
    generation, rounds = 0, 0
    numbers: Optional[List[int]] = None
    tries = Tries(retries, end, True, budget)
    while True:
        if generation == 0:
            numbers = yield from numbers_flow(directory, columns, by_name, False)
        error: Optional[PatronError] = yield Open(wanted.request(numbers))
        moved = False
        while error is None:
            found = yield Next()
            if found is None:
                return
            if isinstance(found, PatronError):
                error = found
                break
            chunk: CustomerChunk = found
            if generation == 0:
                needs_names = by_name or not chunk.tables[0].columns.keys() <= KNOWN_NAMES.keys()
                of_chunk = chunk.snapshot.generation
                description = directory.description
                if needs_names and (
                    description is None or description.snapshot.generation != of_chunk
                ):
                    description = yield from describe_flow(directory)
                    again = yield from numbers_flow(directory, columns, by_name, False)
                    if description.snapshot.generation != of_chunk or again != numbers:
                        rounds += 1
                        if wanted.token is not None or rounds == ROUNDS:
                            raise fault(
                                "snapshotChanged", "the snapshot was replaced",
                                hint="begin anew, without a token", generation=of_chunk)
                        yield Stop()
                        break
                if needs_names and description is not None:
                    names = description.names
                generation = of_chunk
            if chunk.snapshot.generation != generation:
                raise malformed(
                    "valueOutOfRange", "generation",
                    f"generation {chunk.snapshot.generation} in a stream of {generation}", 8)
            chunk.names = names
            wanted.token = chunk.token
            moved = True
            yield chunk
        if error is None:
            continue
        if moved:
            # Not as often in a row as that.
            tries = Tries(retries, end, True, budget)
        if error.status == _CHANGED and wanted.token is not None:
            raise error
        is_late = end is not None and time.monotonic() >= end
        if isinstance(error, DeadlinePassed) and moved and not is_late:
            # The server does not wait for ever for a reader that takes its time.
            continue
        if error.status == _CUT:
            # Most of what a stream's connection carries are chunks: where it is lost, one is cut.
            error = ConnectionLost(error.text, status=_CUT, hint="the server ended, or the network")
        pause = tries.pause_after(error, True)
        if pause is None:
            raise error
        yield Pause(pause)


class StreamBase(Generic[C]):
    """What the two clients' streams have in common."""

    def __init__(self, wanted: Wanted, chunks: C) -> None:
        self._wanted = wanted
        self._chunks = chunks

    @property
    def token(self) -> Optional[bytes]:
        """Of the last chunk: `after=` it a new stream goes on. None before the first."""
        return self._wanted.token
