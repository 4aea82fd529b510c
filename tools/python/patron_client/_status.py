"""Statuses: protocol/WIRE.md, section 6."""

from __future__ import annotations

from typing import Dict

STATUSES: Dict[str, int] = {
    "ok": 0,
    "truncatedBody": 101,
    "trailingBytes": 102,
    "valueOutOfRange": 103,
    "tooManyItems": 104,
    "nonzeroReserved": 105,
    "misalignedBuffer": 106,
    "invalidText": 107,
    "invalidMeta": 108,
    "unknownColumn": 109,
    "duplicateColumn": 110,
    "wrongIDKind": 111,
    "overBudget": 112,
    "requestIDInUse": 113,
    "bufferOutsideBody": 114,
    "invalidOffsets": 115,
    "answerTooLarge": 116,
    "rawLengthMismatch": 117,
    "notFinite": 118,
    "invalidRule": 119,
    "invalidBlock": 120,
    "unusableLines": 130,
    "otherCurrency": 131,
    "unknownCustomer": 201,
    "unknownProduct": 202,
    "unknownSegmentation": 203,
    "unknownLabel": 204,
    "unknownGeneration": 205,
    "snapshotChanged": 301,
    "tooManyInFlight": 401,
    "tooManyConnections": 402,
    "outputFull": 403,
    "logBusy": 410,
    "loading": 501,
    "draining": 502,
    "notInSnapshot": 503,
    "workspaceLocked": 504,
    "notDurable": 510,
    "authenticationFailed": 601,
    "scopeMissing": 602,
    "badMagic": 701,
    "headerChecksumMismatch": 702,
    "unsupportedVersion": 703,
    "badHeaderSize": 704,
    "frameTooSmall": 705,
    "frameTooLarge": 706,
    "bodyChecksumMismatch": 707,
    "helloRequired": 708,
    "unexpectedHello": 709,
    "wrongDirection": 710,
    "handshakeTimeout": 711,
    "idleTimeout": 712,
    "peerTooSlow": 713,
    "unexpectedEnd": 714,
    "deadlinePassed": 801,
    "cancelled": 901,
    "unsupportedOperation": 1001,
    "unsupportedFlag": 1002,
    "compressionNotNegotiated": 1003,
    "unsupportedTag": 1004,
    "unsupportedEncoding": 1005,
    "unsupportedType": 1006,
    "unsupportedFeature": 1007,
    "readOnly": 1010,
    "snapshotDamaged": 1101,
    "internalError": 1201,
}

NAMES: Dict[int, str] = {number: name for name, number in STATUSES.items()}

#: By class: number // 100.
CLASS_NAMES: Dict[int, str] = {
    0: "ok",
    1: "fixRequest",
    2: "notFound",
    3: "retryNow",
    4: "overloaded",
    5: "unavailable",
    6: "notAllowed",
    7: "protocolError",
    8: "deadlinePassed",
    9: "cancelled",
    10: "unsupported",
    11: "dataDamaged",
    12: "internalError",
}


def status_name(number: int) -> str:
    """The name of a status; of one that this release does not know, its class and number."""
    known = NAMES.get(number)
    if known is not None:
        return known
    return f"{CLASS_NAMES.get(number // 100, 'internalError')} {number}"
