"""The snapshot that an answer comes from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Tuple

_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class Model:
    """A model of the snapshot."""

    name: str
    version: int
    #: CRC-32C of the model's file.
    checksum: int


@dataclass(frozen=True)
class Snapshot:
    """Everything in one answer comes from one snapshot, this one."""

    #: From 1; larger for each that is published.
    generation: int
    #: Days from 1970-01-01 to the last day whose purchases count.
    as_of_day: int
    #: ISO 4217 code of every amount of money.
    currency: str
    models: Tuple[Model, ...]

    @property
    def as_of(self) -> datetime.date:
        """The last day whose purchases count, in the time zone of the workspace's plan."""
        return _EPOCH + datetime.timedelta(days=self.as_of_day)
