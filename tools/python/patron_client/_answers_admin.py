"""What appending and administration return."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import IntEnum
from typing import List, Optional, Tuple, Union

from ._frame import Timings
from ._snapshot import Snapshot


class RefusalReason(IntEnum):
    """Why a line was not taken; `OTHER`: a reason that this release does not know."""

    MISSING_CUSTOMER_ID = 1
    #: No whole number where the plan has integers, or too long.
    INVALID_ID = 2
    MISSING_TIME = 3
    TIME_OUT_OF_RANGE = 4
    MISSING_AMOUNT = 5
    #: An amount, margin, cost or quantity.
    AMOUNT_OUT_OF_RANGE = 6
    #: A margin or a cost.
    MISSING_MARGIN = 7
    TEXT_TOO_LONG = 8
    #: A text with a byte 0.
    NUL_BYTE = 9
    UNUSABLE = 10
    OTHER = 255

    @classmethod
    def of(cls, number: int) -> "RefusalReason":
        return cls(number) if 1 <= number <= 10 else cls.OTHER


@dataclass(frozen=True)
class Refusal:
    """A reason why a line was not taken; a line may have several."""

    #: Of the lines sent, from 0.
    line: int
    #: The column of `PurchaseLines` at fault.
    column: str
    reason: RefusalReason


@dataclass(frozen=True)
class AppendAnswer:
    """What has become of purchase lines. Those without a refusal are durable."""

    #: Whose look-ups count the lines now.
    snapshot: Snapshot
    #: The number of the batch among all of the workspace; None where none of its lines was taken.
    sequence: Optional[int]
    accepted_count: int
    refused_count: int
    #: Whether the key had come before: nothing was appended now.
    is_repeat: bool
    #: By line.
    refusals: List[Refusal]
    #: With which the same lines can be sent again, and are taken once.
    key: bytes
    timings: Optional[Timings] = None


@dataclass(frozen=True)
class ErasedCustomer:
    id: Union[int, str]
    #: Whether the snapshot, scored before the erasure, has a row of this customer.
    was_in_snapshot: bool
    #: Whether purchases had been appended since it was scored.
    had_appended: bool


@dataclass(frozen=True)
class EraseReceipt:
    """What has become of customers who were to be erased: it is durable, and no connection shows
    them any more."""

    snapshot: Snapshot
    #: The number of the erasure among all of the workspace: with it an operator learns how far the
    #: files are.
    sequence: int
    #: When it was asked for the first time.
    erased_at: datetime.datetime
    #: Whether the key had come before: nothing was erased now.
    is_repeat: bool
    #: In the order of the request.
    customers: List[ErasedCustomer]
    #: With which the same can be asked again, and is done once.
    key: bytes
    timings: Optional[Timings] = None


@dataclass(frozen=True)
class Progress:
    """How far the server is with a request that takes long."""

    done: int
    #: None where it is not known.
    total: Optional[int]
    #: bytes or customers; `other` and a number of newer servers.
    unit: str


@dataclass(frozen=True)
class ServedModel:
    """A model version that answers under a label."""

    #: `stable` is that of the current generation.
    label: str
    generation: int
    #: Days since 1970-01-01; None where the generation cannot be served.
    as_of_day: Optional[int]
    #: None for a generation without models.
    name: Optional[str]
    version: Optional[int]
    #: CRC-32C of the model's file.
    checksum: Optional[int]
    #: Why the generation is not served; None where it is.
    problem: Optional[str]


@dataclass(frozen=True)
class StoredGeneration:
    """A generation on the server's disk."""

    generation: int
    #: Whether the workspace calls it current.
    is_current: bool
    #: Whether the server answers from it where a request names no label.
    is_served: bool
    #: Those under which the server answers from it.
    labels: Tuple[str, ...]
    #: None of a generation whose description cannot be read, as what follows.
    as_of_day: Optional[int]
    customer_count: Optional[int]
    #: Of all its files.
    byte_count: Optional[int]
    #: As `lifetime 2, affinity 3`.
    models: Optional[str]
    #: Why its description cannot be read; None where it can.
    problem: Optional[str]


@dataclass(frozen=True)
class Published:
    """What a publish did."""

    #: That is served now.
    snapshot: Snapshot
    previous_generation: int
    #: Read and compared with their checksums.
    verified_byte_count: int


@dataclass(frozen=True)
class Stat:
    """A number that the server tells of itself."""

    #: `server`, `snapshot`, `label`, or an operation of the protocol.
    group: str
    name: str
    value: float
    #: `s`, `bytes`, `days`, or empty.
    unit: str


@dataclass(frozen=True)
class ShadowMove:
    """Customers of one category in the current generation and of one in the candidate."""

    before: int
    after: int
    count: int


@dataclass(frozen=True)
class ShadowColumn:
    """How a column differs between two generations."""

    number: int
    name: str
    #: Customers with a value in both.
    compared_count: int
    differing_count: int
    only_current_count: int
    only_candidate_count: int
    #: Of the sizes of differences over all compared; None for categories, and without any.
    mean_difference: Optional[float]
    largest_difference: Optional[float]
    median_difference: Optional[float]
    difference_90: Optional[float]
    difference_99: Optional[float]
    #: Of categories, the most frequent first; those that stay where they are too.
    moves: Tuple[ShadowMove, ...]


@dataclass(frozen=True)
class ShadowReport:
    """How look-ups differ between the current generation and a candidate."""

    current: Snapshot
    candidate: Snapshot
    #: none, running, stopped, or overtaken by a new current generation.
    state: str
    #: Of the ids of look-ups, 0 … 1.
    share: float
    sampled_count: int
    compared_count: int
    only_current_count: int
    only_candidate_count: int
    #: Chosen, but too many came at once.
    dropped_count: int
    elapsed_seconds: float
    #: The status of rows first.
    columns: List[ShadowColumn]


__all__ = [
    "AppendAnswer", "EraseReceipt", "ErasedCustomer", "Progress", "Published", "Refusal", "RefusalReason", "ServedModel",
    "ShadowColumn", "ShadowMove", "ShadowReport", "Stat", "StoredGeneration",
]
