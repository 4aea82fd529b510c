"""What is tried again, and when."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Optional

from ._status import STATUSES
from .errors import ClientClosed, ConnectionLost, Overloaded, PatronError, ProtocolError, RetryNow, Unavailable


@dataclass(frozen=True)
class Retries:
    """How often and how soon a call is tried again, always within its deadline.

    Only what is harmless to repeat is; a request that was never sent always is.
    """

    #: Tries in all; 1: none is repeated.
    attempts: int = 4
    #: Before the n-th repetition: a random time up to `first_pause` x 2^(n - 1) seconds …
    first_pause: float = 0.02
    #: … and up to this.
    longest_pause: float = 2.0
    #: Repetitions that a call earns for all calls of a client: what is sent a second time is at most
    #: this share of what is asked, in the long run, however much fails.
    budget_share: float = 0.2
    #: Repetitions that a client may make at once before calls have earned any.
    budget_reserve: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.budget_share <= 1 or self.budget_reserve < 0:
            raise ValueError(
                "budget_share is 0 to 1 and budget_reserve not negative, "
                f"not {self.budget_share!r} and {self.budget_reserve!r}")


class Budget:
    """Keeps repetitions from doubling the load of a server that fails because there is too much of
    it: one for all calls of a client."""

    def __init__(self, retries: Retries) -> None:
        self._share = retries.budget_share
        # One more than the reserve, so that a share is worth something without one.
        self._most = retries.budget_reserve + 1.0
        self._tokens = float(retries.budget_reserve)
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call is made for the first time."""
        with self._lock:
            self._tokens = min(self._tokens + self._share, self._most)

    def spend(self) -> bool:
        """Whether one may be repeated."""
        with self._lock:
            # Sums of shares such as 0.2 are not exact.
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens -= 1
            return True


#: Faults of a connection that say nothing about the request.
_IDLE = STATUSES["idleTimeout"]
#: Repeating it finds the same snapshot.
_NOT_IN_SNAPSHOT = STATUSES["notInSnapshot"]


class Tries:
    """The tries of one call."""

    def __init__(
        self, retries: Retries, deadline: Optional[float], may_repeat: bool, budget: Budget,
        repeats_overtaken: bool = True,
    ) -> None:
        self._retries = retries
        self._budget = budget
        budget.earn()
        self._deadline = deadline
        self._may_repeat = may_repeat
        self._repeats_overtaken = repeats_overtaken
        self._failed = 0

    def pause_after(self, error: PatronError, sent: bool) -> Optional[float]:
        """Seconds until the next try; None: there is none, the error stands."""
        self._failed += 1
        if self._failed >= self._retries.attempts or (sent and not self._may_repeat):
            return None
        if not _is_passing(error) or (
            isinstance(error, RetryNow) and not self._repeats_overtaken
        ):
            return None
        longest = min(
            self._retries.longest_pause, self._retries.first_pause * 2 ** (self._failed - 1))
        # Spread out, so that clients that failed together do not come back together.
        pause = random.uniform(0, longest)
        if error.retry_after is not None:
            pause += error.retry_after
        elif self._failed == 1 and isinstance(error, (RetryNow, ConnectionLost)) and sent:
            pause = 0.0
        if self._deadline is not None and time.monotonic() + pause >= self._deadline:
            return None
        # What was never sent is no load.
        if sent and not self._budget.spend():
            return None
        return pause


def _is_passing(error: PatronError) -> bool:
    if isinstance(error, ClientClosed):
        return False
    if isinstance(error, ProtocolError):
        return error.status == _IDLE
    if isinstance(error, Unavailable):
        return error.status != _NOT_IN_SNAPSHOT
    return isinstance(error, (RetryNow, Overloaded))
