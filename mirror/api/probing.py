"""Shares, asked whether they live: unofficial, and only when somebody asks for it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mirror.api.base import Base
from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import httpx2

    from mirror.catalog import Artifact
    from mirror.model import Event
    from mirror.probe import Clock, Memory, Probed
    from mirror.sources.shares.link import Link


class Probing(Base):
    """The mirror as somebody who looks whether links are dead."""

    def probe(self, *selectors: str, again: bool = False, clock: Clock | None = None) -> Iterator[Probed]:
        """Ask the shares of what ``selectors`` name whether they live, and give each as it is found.

        Unofficial: it asks the undocumented pages of Baidu Pan, one request a second and never two at once.
        Settled answers of the last day come from the ledger, nobody is asked after a captcha, and 60 shares
        a run are asked at the most. Nothing is downloaded. Each answer is recorded before the next share is asked.
        Selectors that are no good are refused by the call itself, everything else as it is met.

        Args:
            selectors: Whose shares; every share without any.
            again: Ask also who was asked within the last day.
            clock: Time; the machine's own by default.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: Nothing of it is a share with an address, or the address is no share's.
            BusyError: Another process, or another thread, is probing with this mirror.
            StoreError: The mirror cannot be written.
            LedgerError: The ledger cannot be read or written.
        """
        return self._probed(self._shares(selectors), again=again, clock=clock)

    def _probed(self, shares: Sequence[tuple[Artifact, Link]], *, again: bool, clock: Clock | None) -> Iterator[Probed]:
        from mirror.probe.run import Prober
        from mirror.sources.shares.limit import visitor

        with ExitStack() as stack:
            recorders: list[Callable[[Event], None]] = []

            def visit() -> AbstractContextManager[httpx2.Client]:
                if not recorders:  # nobody is asked for an answer that could not be kept
                    recorders.append(stack.enter_context(self._alone()))
                return visitor(self._environ)

            prober = Prober(self._probes(), again=again, clock=clock)
            yield from prober.run(shares, visit, lambda event: recorders[0](event))

    def plan_probe(self, *selectors: str, again: bool = False, clock: Clock | None = None) -> list[Probed]:
        """Return what ``probe`` would do: what is known, and who would be asked; nobody is.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: As ``probe``.
            LedgerError: The ledger cannot be read.
        """
        from mirror.probe.run import Prober

        return list(Prober(self._probes(), again=again, clock=clock).plan(self._shares(selectors)))

    def listed_sizes(self, artifact: str) -> dict[str, int] | None:
        """Return the bytes of each file of a share, by its path there, as the last probe that listed it whole has them.

        Args:
            artifact: Name of the artifact: ``bert-tiny@baidu-pytorch``.

        Returns:
            None where no probe knows them.

        Raises:
            SelectorError: It names nothing.
            UsageError: It is no share with an address, or more than one.
            LedgerError: The ledger cannot be read.
        """
        shares = self._shares((artifact,))
        if len(shares) != 1:
            raise UsageError(f"{artifact!r} is {len(shares)} shares", hint="name one, such as bert-tiny@baidu-pytorch")
        found = self._probes().last(shares[0][1])
        return None if found is None else found.sizes

    def _shares(self, selectors: tuple[str, ...]) -> list[tuple[Artifact, Link]]:
        from mirror.probe.run import shares_of

        found = shares_of(self._selected(selectors))
        if not found:
            raise UsageError(
                f"nothing of {' '.join(selectors) or 'the catalog'} is a share",
                hint="`minibert-mirror handoff` lists them",
            )
        return found

    @contextmanager
    def _alone(self) -> Iterator[Callable[[Event], None]]:
        """Let nobody else probe with this mirror; gives a call that records an event."""
        with self._ledger() as ledger, self.store.alone("probe") as still_here:

            def record(event: Event) -> None:
                ledger.record([event])
                still_here()

            yield record

    def _probes(self) -> Memory:
        from mirror.probe import Memory

        with self.reader() as reader:
            return Memory.of(reader)
