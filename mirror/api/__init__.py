"""``Mirror``: what a program calls, and the command line too.

Opening a mirror reads nothing but where it is; the catalog, the ledger, the store and
the network are opened by the call that needs them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror import place
from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from mirror.doctor import Finding
    from mirror.explain import Explanation
    from mirror.ledger import FileState
    from mirror.model import Event
    from mirror.status import ArtifactStatus
    from mirror.stopping import Stop
    from mirror.sync.outcome import Outcome

from mirror.api.base import Watch, ignore
from mirror.api.drive import Driving
from mirror.api.judging import Judging
from mirror.api.keeping import Keeping
from mirror.api.probing import Probing
from mirror.load.naming import may_hold_weights


class Mirror(Judging, Keeping, Driving, Probing):
    """One mirror: a folder with a catalog and a cache.

    Args:
        where: Its paths.
        environ: ``HF_ENDPOINT``, ``HF_TOKEN``, proxies, CA bundles.
    """

    def sync(
        self,
        *selectors: str,
        everything: bool = False,
        formats: Sequence[str] = (),
        update: bool = False,
        offline: bool = False,
        locked: bool = False,
        peer: str | None = None,
        jobs: int = 48,
        limit_rate: float | None = None,
        stall: float = 60.0,
        retries: int = 5,
        retry_pause: float = 0.5,
        dry_run: bool = False,
        no_verify: bool = False,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> Outcome:
        """Pull what ``selectors`` name and say what came of it; a file's problem is not raised.

        Args:
            selectors: What to pull.
            everything: Every artifact of every model.
            formats: Narrow repositories to these formats: ``safetensors``, ``pytorch`` …
            update: Ask the sources again what they have.
            offline: Open no socket.
            locked: Take only what is pinned.
            peer: Another mirror's address or folder, asked first.
            jobs: The most transfers at once.
            limit_rate: Bytes a second over all transfers.
            stall: Seconds without a byte after which a connection is given up.
            retries: Further tries in a row for a file that brings no new byte; then it is given up.
            retry_pause: Seconds before the first of them; each further pause is twice as long.
            dry_run: Stop after the plan.
            no_verify: Do not look inside archives and weights, and say nothing of what was found in them before.
            watch: Told of progress, from several threads.
            stop: Ends the pull when it is set; partials are kept.

        Raises:
            UsageError: A format is unknown, or names are given with ``everything``.
            SelectorError: A selector is malformed or names nothing.
            SourceError: ``peer`` is no mirror.
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be read or written.
        """
        if update and offline:
            raise UsageError("--update asks the sources, and --offline forbids to ask anybody")
        from mirror.sources.narrow import known_formats
        from mirror.stopping import Stop, abortable
        from mirror.sync.outcome import Request
        from mirror.sync.pull import pull

        request = Request(
            self.select(*selectors, everything=everything),
            formats=known_formats(formats),
            update=update,
            offline=offline,
            locked=locked,
            peer=peer,
            jobs=jobs,
            dry_run=dry_run,
            limit_rate=limit_rate,
            stall=stall,
            retries=retries,
            retry_pause=retry_pause,
            look_inside=not no_verify,
        )
        stop = stop or Stop()
        with self._parts(stall=stall) as parts, abortable(stop, parts.openers.close):
            if no_verify:
                outcome = pull(parts, request, watch=watch or ignore, stop=stop)
            else:
                after = partial(self._judge_weights, stop)
                outcome = pull(parts, request, watch=watch or ignore, stop=stop, after=after, concerns=may_hold_weights)
        if outcome.plan is not None:
            outcome.plan = outcome.plan._replace(waiting=self._still_wait(outcome.plan.waiting))
        return outcome

    def pull(self, *selectors: str, **options: Any) -> Path:
        """Pull what ``selectors`` name and return the folder with it.

        Takes the options of ``sync``.

        Returns:
            The folder of the artifact, of the model, or of all models, whichever holds everything that was named.

        Raises:
            MirrorError: Something did not come; see ``sync`` to be told everything.
        """
        self.sync(*selectors, **options).raise_for_problems(strict=False)
        return self.path(*selectors)

    def path(self, *selectors: str) -> Path:
        """Return a folder with the held files of what ``selectors`` name, under their own names.

        The files are links to the blobs: read them, do not write them.

        Returns:
            ``cache/trees/<model>/<source>`` for one artifact, ``cache/trees/<model>`` for one model,
            ``cache/trees`` for several. Of a mirror that cannot be written, in the user's own cache directory.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: Nothing of it is held.
            StoreError: The folder cannot be written.
        """
        from mirror.tree import lay_out

        artifacts = self.select(*selectors, everything=not selectors)
        with self.reader() as reader:
            held = [(a, reader.held(a.name)) for a in artifacts] if reader is not None else []
        found = [(artifact, files) for artifact, files in held if files]
        if not found:
            raise UsageError(
                f"nothing of {' '.join(selectors) or 'the catalog'} is held",
                hint=f"minibert-mirror pull {' '.join(selectors) or '--all'}",
            )
        own = place.own_trees(self.place, self._environ)
        one_model = len({artifact.model.name for artifact in artifacts}) == 1
        return lay_out(self.store, found, own, one_model=one_model, one_artifact=len(artifacts) == 1)

    def status(self, *selectors: str) -> list[ArtifactStatus]:
        """Return what is held of every artifact that ``selectors`` name; of all without any.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            LedgerError: The ledger cannot be read.
        """
        from mirror.status import ArtifactStatus

        artifacts = self._selected(selectors)
        counts = {
            a.name: ArtifactStatus(a.name, bundle=a.bundle, waits=a.waits_for_person, url=a.url, code=a.code)
            for a in artifacts
        }
        with self.reader() as reader:
            bad = reader.loaded.unsound() if reader is not None else set()
            for holding in reader.holdings(list(counts)) if reader is not None else ():
                counts[holding.artifact].add(holding, bad)
            brought = {artifact.name for artifact in artifacts if artifact.waits_for_person}  # maybe pinned by a lock
            unproved = [
                name for name, one in counts.items() if one.levels.get("first-seen") or (one.held and name in brought)
            ]
            if reader is not None and unproved:
                from mirror.corroborate import corroborations

                for name, found in corroborations(self.catalog, reader, unproved).items():
                    counts[name].tensors = [str(one) for one in found]
        return list(counts.values())

    def files(self, *selectors: str) -> Iterator[FileState]:
        """Yield the state of every file that the ledger knows of what ``selectors`` name; of all without any.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            LedgerError: The ledger cannot be read.
        """
        with self.reader() as reader:
            if reader is None:
                return
            if not selectors:
                yield from reader.files()
            for artifact in self.select(*selectors) if selectors else ():
                yield from reader.files(artifact.name)

    def events(
        self,
        *,
        subject: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Yield what happened, oldest first.

        Args:
            subject: Only what happened to this artifact, file or blob.
            kind: Only events of this kind; ``docs/ledger.md`` lists them.
            since: Only events at this time or later; aware.
            limit: Only the last so many of them.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self.reader() as reader:
            if reader is not None:
                yield from (entry.event for entry in reader.events(subject, kind, since, limit))

    def why(self, name: str) -> list[Explanation]:
        """Return everything that is known about the files that ``name`` means; see ``explain.find``.

        Raises:
            SelectorError: It means no file that the ledger knows.
            LedgerError: The ledger cannot be read.
        """
        from mirror.explain import find

        with self.reader() as reader:
            return find(name, self.catalog, reader)

    def examine(self, *, offline: bool = False) -> Iterator[Finding]:
        """Yield what ``doctor`` finds on this machine.

        Raises:
            UsageError: ``HF_ENDPOINT`` or ``HF_TOKEN`` makes no sense.
            CatalogError: The catalog is damaged.
        """
        from mirror.catalog.addresses import addresses, page
        from mirror.doctor import examine

        with self._parts(stall=60.0) as parts:
            client = None if offline else lambda: parts.openers.client
            artifacts, hub = tuple(self.catalog.artifacts()), parts.openers.hub.endpoint
            urls = [url for file in addresses(artifacts, endpoint=hub) for url in file.urls]
            urls += [page(artifact, endpoint=hub) for artifact in artifacts if artifact.kind == "hub"]
            hosts = {urlsplit(url).netloc: url for url in reversed(urls) if url.startswith("http")}
            yield from examine(self.place.cache, list(reversed(hosts.values())), environ=self._environ, client=client)
