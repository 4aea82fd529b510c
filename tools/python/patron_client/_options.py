"""How a client connects, and what goes with its calls."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field, replace
from typing import Any, List, Optional, Tuple, Union

from ._frame import FRAME_BYTES, TAG_MODEL_LABEL, TAG_PRIORITY, TAG_TRACE_ID, lz4_block
from ._requests import (
    FEATURE_AFFINITY_FACTS, FEATURE_LZ4, FEATURE_PROGRESS, FEATURE_STREAMS, FEATURE_TIMINGS, Hello,
    encode_label)
from ._retry import Budget, Retries
from .errors import fault

#: Seconds, for calls that name no deadline.
DEADLINE = 30.0
#: Seconds to connect and say HELLO.
CONNECT_TIMEOUT = 5.0

TLS = Union[None, bool, ssl.SSLContext]


class _Default:
    """As the client was made."""

    def __repr__(self) -> str:
        return "the client's"


DEFAULT: Any = _Default()


@dataclass(frozen=True)
class Settings:
    """Of a client; `replace` makes that of a view of it."""

    host: str
    port: int
    token: Optional[bytes] = field(repr=False)
    tls: Optional[ssl.SSLContext]
    deadline: Optional[float]
    connect_timeout: float
    retries: Retries
    #: Shared by all clients of the same connections.
    budget: Budget
    maximum_frame_bytes: int
    client_name: str
    timings: bool
    compression: bool
    items: Tuple[Tuple[int, bytes], ...] = ()
    #: Of the snapshot that answers; None for the current one.
    label: Optional[str] = None

    def hello(self) -> Hello:
        optional = FEATURE_STREAMS | FEATURE_AFFINITY_FACTS | FEATURE_PROGRESS
        optional |= FEATURE_TIMINGS if self.timings else 0
        optional |= FEATURE_LZ4 if self.compression else 0
        return Hello(
            maximum_frame_bytes=self.maximum_frame_bytes, optional=optional, token=self.token,
            client_name=self.client_name)

    def end_of(self, deadline: Optional[float]) -> Optional[float]:
        """When a call must be answered, by time.monotonic()."""
        seconds = self.deadline if deadline is DEFAULT else deadline
        return None if seconds is None else time.monotonic() + check_seconds(seconds, "deadline")

    def connect_end(self, deadline: Optional[float]) -> float:
        end = time.monotonic() + self.connect_timeout
        return end if deadline is None else min(end, deadline)

    def with_options(
        self, deadline: Optional[float], trace_id: Union[None, str, bytes], priority: Optional[int],
        label: Optional[str] = DEFAULT,
    ) -> "Settings":
        items: List[Tuple[int, bytes]] = list(self.items)
        if trace_id is not None:
            value = trace_id.encode("utf-8") if isinstance(trace_id, str) else bytes(trace_id)
            if not 1 <= len(value) <= 64:
                raise fault(
                    "invalidMeta", f"a trace id of {len(value)} bytes", hint="1 to 64",
                    field="traceID")
            items = [item for item in items if item[0] != TAG_TRACE_ID] + [(TAG_TRACE_ID, value)]
        if priority is not None:
            if not 0 <= priority <= 255:
                raise fault(
                    "invalidMeta", f"priority {priority}",
                    hint="0 bulk, 1 normal, 2 and more urgent", field="priority")
            items = [item for item in items if item[0] != TAG_PRIORITY]
            items.append((TAG_PRIORITY, bytes([priority])))
        own_label = self.label if label is DEFAULT else label
        if label is not DEFAULT:
            items = [item for item in items if item[0] != TAG_MODEL_LABEL]
            if label is not None:
                items.append((TAG_MODEL_LABEL, encode_label(label)))
        chosen = self.deadline if deadline is DEFAULT else deadline
        if chosen is not None:
            check_seconds(chosen, "deadline")
        return replace(self, deadline=chosen, items=tuple(items), label=own_label)


def check_seconds(seconds: float, field: str) -> float:
    if not 0 < seconds < 1e9:
        raise fault(
            "valueOutOfRange", f"{field} is {seconds!r}", hint="seconds above 0, or None for none",
            field=field)
    return float(seconds)


def make_settings(
    host: str, port: int, token: Union[None, str, bytes], tls: TLS, deadline: Optional[float],
    connect_timeout: float, retries: Optional[Retries], maximum_frame_bytes: int, client_name: str,
    timings: bool, compression: bool = False,
) -> Settings:
    if compression and lz4_block is None:
        raise fault(
            "unsupportedFeature", "compression needs the package lz4",
            hint="pip install lz4", field="compression")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise fault("valueOutOfRange", f"port is {port!r}", hint="1 to 65,535", field="port")
    context: Optional[ssl.SSLContext]
    if tls is True:
        context = ssl.create_default_context()
    else:
        context = tls if isinstance(tls, ssl.SSLContext) else None
    chosen = retries or Retries()
    settings = Settings(
        host=host, port=port, token=token.encode("utf-8") if isinstance(token, str) else token,
        tls=context, deadline=None if deadline is None else check_seconds(deadline, "deadline"),
        connect_timeout=check_seconds(connect_timeout, "connect_timeout"),
        retries=chosen, budget=Budget(chosen), maximum_frame_bytes=maximum_frame_bytes,
        client_name=client_name, timings=timings, compression=compression)
    # What HELLO refuses is told before anything is connected.
    settings.hello()
    return settings


__all__ = [
    "CONNECT_TIMEOUT", "DEADLINE", "DEFAULT", "FRAME_BYTES", "Settings", "TLS", "check_seconds",
    "make_settings",
]
