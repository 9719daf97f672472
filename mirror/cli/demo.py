"""``demo``: the whole job on the embedded upstream, told as it goes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirror.cli.miniature import clear, write_catalog
from mirror.cli.output import brief, emit, json_option, many, paint, quiet_option, remark, say, size, table
from mirror.errors import IntegrityError, StoreError
from mirror.interrupt import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.api import Mirror
    from mirror.crosscheck import Compared
    from mirror.handoffs import Waiting
    from mirror.sync.outcome import Outcome
    from mirror.upstream.server import Server

#: A file that is cut in the middle, once: the pull resumes it. It is among the larger ones.
_CUT = "*/albert-xxlarge-v2.pdparams"
#: A file that always comes with one bit flipped: the pull must catch it.
_CORRUPT = "*/tinybert-6l-768d-v2.pdparams"
#: Copies whose bytes are their publisher's and whose numbers are not the model's: one went through half precision,
#: one is another model's. Only the tensors show it.
_APART = ["bert-small@paddle/model_state.pdparams", "albert-large-v2@paddle/albert-large-v2.pdparams"]
#: Columns of a model's name in a table.
_NAME = 28
_FAULTS: dict[str, list[dict[str, Any]]] = {
    _CUT: [{"fault": "cut_after", "bytes": 600_000}],
    _CORRUPT: [{"fault": "flip_bit", "offset": 4096, "times": "always"}],
}


@click.command()
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the demo's mirror in DIR, new or an earlier demo's. Default: a temporary folder, removed at the end.",
)
@json_option
@quiet_option
def demo(folder: Path | None, *, as_json: bool, quiet: bool) -> None:
    """The whole job on a built-in miniature upstream, without internet.

    Starts a Hugging Face hub, Google storage and Baidu object storage on loopback,
    with small seeded weights in the real containers for all 48 models, and mirrors
    them. One transfer is cut in the middle, and one file comes corrupted. Every weight
    file is opened, and all copies of a model are compared, tensor by tensor: one went
    through half precision, and one is another model's. At last a share that only a
    person can fetch is taken in by its content.

    \b
    minibert-mirror demo
    minibert-mirror demo --dir /tmp/demo && cd /tmp/demo && minibert-mirror status
    """
    story = _Story(silent=as_json or quiet)
    with _mirror_folder(folder, quiet=as_json or quiet) as root, _upstream(root) as server:
        facts = _tell(story, root, server)
    if as_json:
        emit(facts)
    if facts["corruption"] != "caught" or facts["second_pull_fetched"] or facts["apart"] != _APART:
        raise IntegrityError("the demo did not go as it must", hint="this is a bug: please report what stands above")


class _Story:
    """Says what happens, unless a program listens."""

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent
        self._number = 0

    def chapter(self, text: str) -> None:
        self._number += 1
        self.say("")
        self.say(paint(f"{self._number}. {text}", bold=True))

    def say(self, text: str) -> None:
        if not self.silent:
            say(text)


@contextmanager
def _mirror_folder(folder: Path | None, *, quiet: bool) -> Iterator[Path]:
    root = _temporary() if folder is None else folder.absolute()
    try:
        if clear(root):
            remark(f"removed an earlier demo's files from {root}", quiet=quiet)
        yield root
    except KeyboardInterrupt:
        left = "the demo's temporary folder is removed" if folder is None else f"{root} stays as it is"
        say(f"stopped; {left}, and the same command begins anew", err=True)
        raise click.exceptions.Exit(STOPPED) from None
    finally:
        if folder is None:
            shutil.rmtree(root, ignore_errors=True)


def _temporary() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="minibert-demo-"))
    except OSError as error:
        raise StoreError(f"no temporary folder: {error.strerror}", hint="set TMPDIR, or name one with --dir") from error


@contextmanager
def _upstream(root: Path) -> Iterator[Server]:
    from mirror.upstream.server import Server
    from mirror.upstream.world import build_world

    world = build_world()
    with Server(world, faults=_FAULTS) as server:
        write_catalog(root / "catalog.json", world.catalog(server))
        yield server


def _tell(story: _Story, root: Path, server: Server) -> dict[str, Any]:
    """Do the whole job and say it; return the facts."""
    from mirror.api import Mirror

    mirror = Mirror.open(root, environ={"HF_ENDPOINT": server.url("hub")})
    story.chapter("The outside world, on loopback")
    story.say(f"   hub {server.url('hub')}, Google storage {server.url('google')}, Baidu {server.url('baidu')}")
    story.say(
        f"   {len(mirror.catalog.models)} models at {sum(1 for _ in mirror.catalog.artifacts())} places; "
        f"the mirror is {root}"
    )

    story.chapter("minibert-mirror pull --all")
    outcome = _pull(story, mirror)

    story.chapter("One transfer was cut in the middle, one file came corrupted")
    resumed, caught = _tell_faults(story, mirror, outcome, server)

    story.chapter("What is held, and how well it is known")
    if not story.silent:
        _print_levels(mirror)

    story.chapter("minibert-mirror pull --all, once more")
    before = len(server.requests())
    server.faults.clear()
    again = _pull(story, mirror)
    healed = _pull(story, mirror, say=False)
    story.say(f"   the corrupted file comes sound now; then nothing is left to do: {healed.seconds:.2f} s, no request")

    story.chapter("minibert-mirror verify, minibert-mirror ledger verify")
    verdicts = Counter(one.verdict.status.value for one in mirror.verify())
    with mirror.reader() as reader:
        audit = reader.verify() if reader is not None else None
    events = audit.events if audit is not None else 0
    story.say(
        f"   {verdicts['intact']} blobs intact, {sum(verdicts.values()) - verdicts['intact']} not; "
        f"{events} events, the chain holds, head {audit.head[:16] if audit else '-'}…"
    )

    story.chapter("minibert-mirror compare: does every copy of a model hold the same numbers?")
    apart = _compare(story, mirror)

    story.chapter("minibert-mirror handoff: what only a person can fetch")
    waiting = [one for one in mirror.handoffs() if one.is_needed]
    story.say(f"   {len(waiting)} Baidu Pan shares, for example {waiting[0].artifact}:")
    story.say(f"   {waiting[0].url} code {waiting[0].code}")

    story.chapter("minibert-mirror ingest: what such a person brought, under any name")
    taken = _ingest(story, mirror, server, waiting[0])
    story.say("")
    story.say("On your own machine: minibert-mirror pull bert-tiny")
    return {
        "models": len(mirror.catalog.models),
        "stored": outcome.stored + again.stored,
        "wire_bytes": outcome.wire_bytes,
        "seconds": round(outcome.seconds, 2),
        "resumed": resumed,
        "corruption": "caught" if caught else "missed",
        "second_pull_fetched": healed.stored,
        "requests": before,
        "events": events,
        "sound": outcome.sound + again.sound,
        "apart": apart,
        "altered": sum(verdicts.values()) - verdicts["intact"],
        "waiting": len(waiting),
        "ingested": taken,
    }


def _pull(story: _Story, mirror: Mirror, *, say: bool = True) -> Outcome:
    from mirror.progress import watching

    begun = time.monotonic()
    with watching(quiet=story.silent or not say) as watch:
        outcome = mirror.sync(everything=True, watch=watch)
    if say:
        levels = ", ".join(f"{count} {level}" for level, count in sorted(outcome.levels.items()))
        story.say(
            f"   {outcome.stored + outcome.adopted} files ({levels}), {size(outcome.wire_bytes)} in "
            f"{time.monotonic() - begun:.1f} s; {len(outcome.problems)} did not come"
        )
    return outcome


def _tell_faults(story: _Story, mirror: Mirror, outcome: Outcome, server: Server) -> tuple[bool, bool]:
    """Show how the two faults ended; whether the cut was resumed, and the corruption caught."""
    asked = [e for e in server.requests() if e.path.endswith(_CUT[1:]) and e.range]
    resumed = bool(asked)
    if resumed:
        story.say(f"   {_CUT[2:]}: cut, then asked for {asked[0].range}; the rest came, the digests agree")
    caught = False
    for problem in outcome.problems:
        caught = caught or problem.subject.endswith(_CORRUPT[2:])
        text = brief(str(problem.error).removeprefix(f"{problem.subject}: "))
        story.say(f"   {paint('caught', fg='green')} {problem.subject}: {text}")
    cases = list(mirror.store.iter_quarantine())
    if cases:
        story.say(
            f"   the bytes are kept as evidence in {cases[0].path.relative_to(mirror.place.root)}, never delivered"
        )
    return resumed, caught


def _ingest(story: _Story, mirror: Mirror, server: Server, share: Waiting) -> int:
    """Take in what is behind a share, as a browser would have left it; return how many files came."""
    from mirror.upstream.stock import share_id
    from mirror.upstream.world import World

    assert isinstance(server.world, World)
    assert share.url is not None
    files = server.world.handoffs[share_id(share.url.partition("?")[0])]
    with tempfile.TemporaryDirectory(prefix="minibert-demo-") as name:
        folder = Path(name)
        for path, content in files.items():
            stem, dot, suffix = path.partition(".")
            (folder / f"{stem}(1){dot}{suffix}").write_bytes(bytes(content.data))
        done = mirror.ingest(folder)
        for one, judged, _ in done.taken:
            story.say(f"   {Path(one.find.name).name}: {one.file}, {judged.evidence.level.value}")
    sound = [proof.loaded.sound for proof in mirror.prove(share.artifact)]
    (status,) = mirror.status(share.artifact)
    story.say(f"   {sum(sound)} of {len(sound)} weight files sound; {'; '.join(status.tensors)}")
    return len(done.taken)


def _compare(story: _Story, mirror: Mirror) -> list[str]:
    """Hold all copies of each model against each other; return the names of those that differ."""
    rows, told, apart = [], [], []
    for found in mirror.compare():
        verdicts = Counter(one.verdict.relation.value if one.verdict else "not read" for one in found.others)
        files = [*([found.reference] if found.reference else []), *[one.file for one in found.others]]
        formats = sorted({one.format for one in files if one.format})
        summary = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())) or "the only copy"
        rows.append((_short(found.model), str(len(files)), ", ".join(formats), summary))
        for one in found.others:
            if one.differs:
                apart.append(one.file.name)
                told.append(f"   {paint('caught', fg='green')} {one.file.name}: {_in_what(one)}")
    if not story.silent:
        table(("model", "copies", "formats", "against the publisher's own"), rows, right=(1,))
    for line in told:
        story.say(line)
    return apart


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _in_what(one: Compared) -> str:
    """Say in what a copy differs, and why where that shows."""
    if one.whose:
        return f"its numbers are those of {one.whose[0]}"
    (cause, count), *_ = Counter(each.cause for each in one.differences).most_common(1)
    largest = max(each.largest or 0.0 for each in one.differences if each.cause == cause)
    return f"{many(count, 'tensor')} {'differs' if count == 1 else 'differ'} by up to {largest:.2g}" + (
        f": {cause}" if cause else ""
    )


def _print_levels(mirror: Mirror) -> None:
    rows: dict[tuple[str, str], Counter[str]] = {}
    for one in mirror.status():
        artifact = mirror.catalog.artifact(one.artifact)
        row = rows.setdefault((artifact.model.family or "?", artifact.source.partition("-")[0]), Counter())
        row["artifacts"] += 1
        row["held"] += one.held
        row["size"] += one.size
        row["waits"] += one.waits
        row.update(one.levels)
    table(
        ("family", "source", "artifacts", "files", "size", "pinned", "attested", "checked", "first-seen", "waits"),
        [
            (
                family,
                source,
                *(str(row[name]) for name in ("artifacts", "held")),
                size(row["size"]),
                *(str(row[name] or "-") for name in ("pinned", "attested", "checked", "first-seen", "waits")),
            )
            for (family, source), row in rows.items()
        ],
        right=range(2, 10),
    )
