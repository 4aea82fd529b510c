"""Appending and administration, for the client for asyncio."""

from __future__ import annotations

from typing import List, Optional, Sequence, TypeVar

from . import _admin as admin
from ._append import Append
from ._erase import Erase
from ._lines import PurchaseLines
from ._options import DEFAULT
from ._requests import Request
from .answers import (
    AppendAnswer, EraseReceipt, PatronID, Published, ServedModel, ShadowReport, Stat, StoredGeneration)

A = TypeVar("A")


class AsyncAdminCalls:
    """Operations that change something, and those for operators."""

    async def _call(self, request: Request[A], deadline: Optional[float]) -> A:
        raise NotImplementedError

    async def append(
        self, lines: PurchaseLines, *, key: Optional[bytes] = None,
        deadline: Optional[float] = DEFAULT,
    ) -> AppendAnswer:
        """Appends purchases. When it returns, those without a refusal are durable, and look-ups on
        any connection of the server count them.

        It is repeated as all calls are, with the same key: lines are taken once. Where the outcome
        is not known in the end, call it again with the same lines and the error's `idempotency_key`.

        :param lines: at most 65,536.
        :param key: 16 bytes, of which not all are zero; None for random ones.
        """
        return await self._call(Append(lines, key), deadline)

    async def erase(
        self, customers: Sequence[PatronID], *, key: Optional[bytes] = None,
        deadline: Optional[float] = DEFAULT,
    ) -> EraseReceipt:
        """Erases everything of some customers up to now. When it returns that is durable, and no
        connection of the server shows them; what is on disk goes with the next ingest.

        It is repeated with the same key, as `append` is, and once carried out.

        :param customers: as for `lookup`, at most 65,536.
        """
        return await self._call(Erase(customers, key), deadline)

    # For operators: the scope admin. The first three and `publish` are about the workspace.

    async def served_models(self, *, deadline: Optional[float] = DEFAULT) -> List[ServedModel]:
        """The model versions that answer, by label; `stable` first."""
        return await self._call(admin.Models(), deadline)

    async def set_label(
        self, label: str, generation: int, *, progress: admin.OnProgress = None,
        deadline: Optional[float] = DEFAULT,
    ) -> List[ServedModel]:
        """Has a generation on the server's disk answer under a label, such as `canary`; it is
        verified first.

        :param progress: is told how far that is, from the loop.
        """
        return await self._call(admin.Models(label, generation, progress), deadline)

    async def remove_label(
        self, label: str, *, deadline: Optional[float] = DEFAULT
    ) -> List[ServedModel]:
        """The label names nothing any more."""
        return await self._call(admin.Models(label), deadline)

    async def stored_generations(
        self, *, deadline: Optional[float] = DEFAULT
    ) -> List[StoredGeneration]:
        """The generations on the server's disk, oldest first."""
        return await self._call(admin.Generations(), deadline)

    async def publish(
        self, generation: Optional[int] = None, *, progress: admin.OnProgress = None,
        deadline: Optional[float] = DEFAULT,
    ) -> Published:
        """Makes a generation the current one, once all of its files are verified; returns when the
        server answers from it.

        :param generation: None for the newest.
        :param progress: is told how far the verification is, from the loop.
        :param deadline: for the verification too, which reads all files.
        """
        return await self._call(admin.Publish(generation, progress), deadline)

    async def stats(self, *, deadline: Optional[float] = DEFAULT) -> List[Stat]:
        """What the server counts and measures."""
        return await self._call(admin.Stats(), deadline)

    async def drain(self, *, deadline: Optional[float] = DEFAULT) -> float:
        """Has the server finish what it has begun and end; the seconds that open requests may take."""
        return await self._call(admin.Drain(), deadline)

    async def start_shadow(
        self, *, candidate: Optional[str] = None, generation: Optional[int] = None,
        share: float = 0.01, deadline: Optional[float] = DEFAULT,
    ) -> ShadowReport:
        """Compares a share of look-ups with what another generation would answer; ends an earlier
        comparison. Clients are answered as before.

        :param candidate: its label; either this or `generation`.
        :param share: of the ids that are looked up, 0.000001 … 1.
        """
        request = admin.Shadow.start(label=candidate, generation=generation, share=share)
        return await self._call(request, deadline)

    async def shadow_report(self, *, deadline: Optional[float] = DEFAULT) -> ShadowReport:
        """What the comparison has found so far, or when it ended."""
        return await self._call(admin.Shadow(), deadline)

    async def stop_shadow(self, *, deadline: Optional[float] = DEFAULT) -> ShadowReport:
        """Ends the comparison."""
        return await self._call(admin.Shadow.stop(), deadline)


__all__ = ["AsyncAdminCalls"]
