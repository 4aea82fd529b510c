"""A client of Patron, the customer-value model server.

    import patron_client

    with patron_client.connect("127.0.0.1", 7070) as client:
        answer = client.lookup([17850, 13047], ["lifetime_value", "churn_probability"])
        for customer in answer.customers():
            print(customer.id, customer["lifetime_value"])

`patron_client.aio` is the same for asyncio. The protocol is described in protocol/WIRE.md.
"""

from . import aio, answers, errors
from ._client import Client, CustomerStream, connect
from ._append import new_key
from ._crc32c import IMPLEMENTATION as CRC32C_IMPLEMENTATION
from ._lines import PurchaseLines
from ._retry import Retries
from .aio import AsyncClient, AsyncCustomerStream
from .answers import (
    Affinity, AppendAnswer, Basis, Column, ColumnInfo, Count, Customer, CustomerChunk,
    CustomerStatus, Description, EraseReceipt, ErasedCustomer, Explanation, LookupAnswer, Model,
    Offer, OfferAnswer, PatronID, Profile, ProfilesAnswer,
    Progress, Published, Refusal, RefusalReason, ScoreAnswer, Segment, SegmentsAnswer, ServedModel,
    ShadowColumn, ShadowMove, ShadowReport, Snapshot, Stat, StoredGeneration, Timings, Top, TopAnswer)
from .errors import (
    Cancelled, ClientClosed, ConnectionLost, DataDamaged, DeadlinePassed, FixRequest, InternalError,
    MalformedAnswer, NotAllowed, NotFound, Overloaded, PatronError, ProtocolError, RetryNow,
    Unavailable, Unsupported)

__version__ = "0.1.0"

__all__ = [
    "Affinity", "AppendAnswer", "AsyncClient", "AsyncCustomerStream", "Basis",
    "CRC32C_IMPLEMENTATION", "Cancelled", "Client", "ClientClosed", "Column", "ColumnInfo",
    "ConnectionLost", "Count", "Customer", "CustomerChunk", "CustomerStatus", "CustomerStream",
    "DataDamaged", "DeadlinePassed", "Description", "EraseReceipt", "ErasedCustomer", "Explanation",
    "FixRequest", "InternalError", "LookupAnswer", "MalformedAnswer", "Model", "NotAllowed",
    "NotFound", "Offer", "OfferAnswer", "Overloaded", "PatronError", "PatronID", "Profile",
    "ProfilesAnswer", "Progress", "ProtocolError", "Published", "PurchaseLines", "Refusal",
    "RefusalReason", "Retries", "RetryNow", "ScoreAnswer", "Segment", "SegmentsAnswer",
    "ServedModel", "ShadowColumn", "ShadowMove", "ShadowReport", "Snapshot", "Stat",
    "StoredGeneration", "Timings", "Top", "TopAnswer", "Unavailable", "Unsupported", "aio",
    "answers", "connect", "errors", "new_key",
]
