"""Calls that take several requests, without input or output: a flow yields requests to be asked at
once and is sent their answers, or the errors in their place. The blocking and the asyncio client
both run these.
"""

from __future__ import annotations

from typing import Any, Dict, Generator, List, Optional, Sequence, Tuple, TypeVar, Union

from ._columns import KNOWN_NAMES, SCORE_NAMES
from ._requests import (
    LOOKUP_IDS, Describe, IDs, Lookup, Request, SingleTemplate, check_numbers)
from ._session import RequestTooLarge
from ._status import STATUSES
from .answers import Description, LookupAnswer
from .errors import PatronError, fault

T = TypeVar("T")
Flow = Generator[List[Request[Any]], List[Any], T]

#: How many times a call starts again because the snapshot was replaced under it.
ROUNDS = 5
#: One object, so that answers know that they share it.
_NO_NAMES: Dict[int, str] = {}
_TOO_LARGE = STATUSES["answerTooLarge"]
#: A name, or a number.
ColumnChoice = Union[str, int]


class Directory:
    """What the client remembers of the server: the columns of the last snapshot it asked about, of
    each label."""

    _MOST_LABELS = 64

    def __init__(self, root: Optional["Directory"] = None) -> None:
        self.description: Optional[Description] = None
        self._root = root or self
        self._limit = LOOKUP_IDS
        self._labelled: Dict[str, Directory] = {}

    @property
    def maximum_ids(self) -> int:
        """Ids a LOOKUP may have, as the server says; before that, the protocol's limit."""
        return self._root._limit

    @maximum_ids.setter
    def maximum_ids(self, limit: int) -> None:
        self._root._limit = limit

    def of(self, label: Optional[str]) -> "Directory":
        """That of the snapshot with a label; None for the current one."""
        if label is None:
            return self._root
        known = self._root._labelled
        if label not in known and len(known) >= self._MOST_LABELS:
            known.clear()
        return known.setdefault(label, Directory(self._root))


def _ask(request: Request[Any]) -> Flow[Any]:
    (answer,) = yield [request]
    if isinstance(answer, PatronError):
        raise answer
    return answer


def describe_flow(directory: Directory) -> Flow[Description]:
    description: Description = yield from _ask(Describe())
    directory.description = description
    return description


def check_columns(columns: Optional[Sequence[ColumnChoice]]) -> Optional[Tuple[ColumnChoice, ...]]:
    if isinstance(columns, (str, bytes)):
        raise fault(
            "valueOutOfRange", f"columns is {type(columns).__name__}", hint="a list of names",
            field="columns")
    return None if columns is None else tuple(columns)


def lookup_flow(
    directory: Directory, ids: IDs, columns: Optional[Sequence[ColumnChoice]],
    ignore_unknown: bool,
) -> Flow[LookupAnswer]:
    """One answer from one snapshot, whatever number of frames it takes.

    Numbers of columns are a snapshot's own: where names are used, an answer counts only if the
    description that gave the numbers is of the same generation.
    """
    columns = check_columns(columns)
    by_name = columns is not None and any([is_of_snapshot(column) for column in columns])
    for _ in range(ROUNDS):
        numbers = yield from numbers_flow(directory, columns, by_name, ignore_unknown)
        tables = yield from _ask_in_parts(directory, ids, numbers, ignore_unknown)
        generation = tables[0].snapshot.generation
        if any(table.snapshot.generation != generation for table in tables):
            continue
        names = _NO_NAMES
        if by_name or not tables[0].tables[0].columns.keys() <= KNOWN_NAMES.keys():
            description = directory.description
            if description is None or description.snapshot.generation != generation:
                description = yield from describe_flow(directory)
                again = yield from numbers_flow(directory, columns, by_name, ignore_unknown)
                if description.snapshot.generation != generation or again != numbers:
                    continue
            names = description.names
        return _merged(tables, ids, names)
    raise fault(
        "snapshotChanged", f"the snapshot was replaced {ROUNDS} times during one look-up",
        hint="ask again")


_SCORE_NUMBERS = {name: number for number, name in SCORE_NAMES.items()}


def is_of_snapshot(column: ColumnChoice) -> bool:
    """Whether the name has another number in another snapshot."""
    return isinstance(column, str) and column not in _SCORE_NUMBERS


def numbers_flow(
    directory: Directory, columns: Optional[Sequence[ColumnChoice]], by_name: bool,
    ignore_unknown: bool,
) -> Flow[Optional[List[int]]]:
    if columns is None:
        return None
    if by_name:
        found, unknown = _resolve(directory.description, columns)
        if unknown:
            # A newer snapshot may have it.
            description = yield from describe_flow(directory)
            found, unknown = _resolve(description, columns)
        if unknown and not (ignore_unknown and found):
            known = ", ".join(directory.description.numbers) if directory.description else ""
            raise fault(
                "unknownColumn", f"no column is called {unknown[0]!r}", hint=f"there are {known}",
                field="columns")
        return found
    return [_SCORE_NUMBERS[c] if isinstance(c, str) else c for c in columns]


def single_template(
    description: Description, columns: Optional[Sequence[ColumnChoice]], ignore_unknown: bool,
    is_text: bool,
) -> Optional[SingleTemplate]:
    """Of LOOKUPs of one customer; None where a column is not known."""
    if columns is None:
        return SingleTemplate([], ignore_unknown, is_text)
    found, unknown = _resolve(description, columns)
    if unknown:
        return None
    return SingleTemplate(check_numbers(found), ignore_unknown, is_text)


def _resolve(
    description: Optional[Description], columns: Sequence[ColumnChoice]
) -> Tuple[List[int], List[str]]:
    """Numbers, and the names that have none."""
    known = {} if description is None else description.numbers
    found: List[int] = []
    unknown: List[str] = []
    for column in columns:
        if not isinstance(column, str):
            found.append(column)
        elif column in known:
            found.append(known[column])
        elif column in _SCORE_NUMBERS:
            found.append(_SCORE_NUMBERS[column])
        else:
            unknown.append(column)
    return found, unknown


def _ask_in_parts(
    directory: Directory, ids: IDs, numbers: Optional[List[int]], ignore_unknown: bool
) -> Flow[List[LookupAnswer]]:
    """The answers in the ids' order. Parts that the limits refuse are halved; parts of an older
    generation than the newest are asked once more."""
    size = max(1, min(directory.maximum_ids, LOOKUP_IDS))
    if len(ids) <= size:
        # Nearly always: one frame.
        (only,) = yield [Lookup(ids, numbers, ignore_unknown)]
        if not isinstance(only, PatronError):
            return [only]
        if not _can_be_halved(only, slice(0, len(ids))):
            raise only
        size = (len(ids) + 1) // 2
    parts = [slice(at, min(at + size, len(ids))) for at in range(0, len(ids), size)]
    answers: Dict[Tuple[int, int], LookupAnswer] = {}
    asked_again = False
    while True:
        wanted = [part for part in parts if (part.start, part.stop) not in answers]
        if not wanted:
            newest = max(answer.snapshot.generation for answer in answers.values())
            older = [
                place for place, answer in answers.items()
                if answer.snapshot.generation != newest]
            if older and not asked_again:
                asked_again = True
                for place in older:
                    del answers[place]
                continue
            return [answers[part.start, part.stop] for part in parts]
        found = yield [
            Lookup(ids[part], numbers, ignore_unknown) for part in wanted]
        for part, answer in zip(wanted, found):
            if not isinstance(answer, PatronError):
                answers[part.start, part.stop] = answer
            elif _can_be_halved(answer, part):
                middle = (part.start + part.stop) // 2
                index = parts.index(part)
                parts[index : index + 1] = [slice(part.start, middle), slice(middle, part.stop)]
            else:
                raise answer


def _can_be_halved(error: PatronError, part: slice) -> bool:
    if part.stop - part.start < 2:
        return False
    return isinstance(error, RequestTooLarge) or error.status == _TOO_LARGE


def _merged(tables: List[LookupAnswer], ids: IDs, names: Dict[int, str]) -> LookupAnswer:
    first = tables[0]
    if len(tables) == 1:
        first.names = names
        return first
    return LookupAnswer(
        first.snapshot, first.status, [answer.tables[0] for answer in tables], names,
        first.timings, ids=ids.given)
