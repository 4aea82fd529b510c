"""What a call raises: one class a status class of protocol/WIRE.md section 6.

Faults that the client finds itself, in an answer's bytes or in a call's arguments, have the status
that the specification gives them, so that a caller needs to know one hierarchy only.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Type

from ._status import STATUSES, status_name


class PatronError(Exception):
    """A call without an answer. Its subclasses say what to do about it."""

    def __init__(
        self,
        text: str,
        *,
        status: Optional[int] = None,
        hint: str = "",
        field: str = "",
        byte_offset: Optional[int] = None,
        generation: int = 0,
        retry_after: Optional[float] = None,
        idempotency_key: Optional[bytes] = None,
    ) -> None:
        super().__init__(text)
        #: What is wrong, and what to do.
        self.text = text
        self.hint = hint
        #: The number; None where no status fits, as for a connection that was closed.
        self.status = status
        #: The field of the message at fault, in the words of the specification.
        self.field = field
        self.byte_offset = byte_offset
        #: Generation of the snapshot that was asked; 0: none.
        self.generation = generation
        #: Seconds that the server wants to be left alone; None: it did not say.
        self.retry_after = retry_after
        #: Of an APPEND: with it the same lines can be sent again, and are taken once.
        self.idempotency_key = idempotency_key

    @property
    def name(self) -> str:
        """The status's name in the specification."""
        return "connectionLost" if self.status is None else status_name(self.status)

    def __str__(self) -> str:
        detail = f"{self.name}: {self.field}" if self.field else self.name
        text = f"{self.text} ({detail})"
        return f"{text}: {self.hint}" if self.hint else text

    def __reduce__(self) -> Any:
        fields = ("status", "hint", "field", "byte_offset", "generation", "retry_after", "idempotency_key")
        return _restore, (type(self), self.text, {name: getattr(self, name) for name in fields})


def _restore(kind: Type[PatronError], text: str, fields: Dict[str, Any]) -> PatronError:
    return kind(text, **fields)


class FixRequest(PatronError, ValueError):
    """The request is wrong; repeating it is useless."""


class NotFound(PatronError, LookupError):
    """The snapshot has no such customer, product or segmentation."""


class RetryNow(PatronError):
    """The same request may succeed at once."""


class Overloaded(PatronError):
    """The server has too much to do: ask again after `retry_after`, or with growing pauses."""


class Unavailable(PatronError):
    """Another server, or this one later."""


class ConnectionLost(Unavailable, ConnectionError):
    """The connection ended, or could not be made. What became of open requests is unknown."""


class ClientClosed(ConnectionLost):
    """`close` was called."""


class NotAllowed(PatronError):
    """The credentials do not suffice."""


class ProtocolError(PatronError):
    """One side has a fault; the connection is closed."""


class DeadlinePassed(PatronError, TimeoutError):
    """No answer in time; the server may still be working on it."""


class Cancelled(PatronError):
    """The request was cancelled."""


class Unsupported(PatronError):
    """The server, or this client, does not have it."""


class DataDamaged(PatronError):
    """A file of the snapshot is damaged: tell the operator."""


class InternalError(PatronError):
    """A fault of the server: tell the operator."""


_CLASSES: Dict[int, Type[PatronError]] = {
    1: FixRequest,
    2: NotFound,
    3: RetryNow,
    4: Overloaded,
    5: Unavailable,
    6: NotAllowed,
    7: ProtocolError,
    8: DeadlinePassed,
    9: Cancelled,
    10: Unsupported,
    11: DataDamaged,
    12: InternalError,
}


def error_for(status: int, text: str, **fields: Any) -> PatronError:
    """The error of a status number; an unknown class counts as internalError."""
    return _CLASSES.get(status // 100, InternalError)(text, status=status, **fields)


def fault(name: str, text: str, **fields: Any) -> PatronError:
    """The error of a status name."""
    return error_for(STATUSES[name], text, **fields)


def malformed(name: str, field: str, detail: str = "", byte_offset: Optional[int] = None) -> "MalformedAnswer":
    """The error of an answer whose bytes the specification refuses."""
    return MalformedAnswer(name, field, detail, byte_offset)


class MalformedAnswer(ProtocolError):
    """The server's bytes are not what the specification says; the connection is closed.

    `status` is the one that the specification gives to the fault, of whatever class.
    """

    def __init__(
        self, name: str, field: str, detail: str = "", byte_offset: Optional[int] = None
    ) -> None:
        text = f"the server's answer cannot be read: {detail or field}"
        super().__init__(
            text, status=STATUSES[name], field=field, byte_offset=byte_offset,
            hint="one side has a fault; report it",
        )
        self._arguments = (name, field, detail, byte_offset)

    def __reduce__(self) -> Any:
        return MalformedAnswer, self._arguments
