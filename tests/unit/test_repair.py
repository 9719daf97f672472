"""What is fetched again of a bad blob, and what is not; from a source in memory."""

from __future__ import annotations

import hashlib
import random
import shutil
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mirror.catalog import parse
from mirror.digests import BLOCK
from mirror.errors import ConnectionDroppedError, DisputedError, NotFoundError, SourceError, StoreError
from mirror.ledger import Ledger
from mirror.lock import Lock
from mirror.recheck import Rechecked, due, recheck
from mirror.repair import Repaired, repair
from mirror.repair.bad import tasks
from mirror.repair.salvage import salvage
from mirror.stopping import Stop, TransferStopped
from mirror.store import Store, partial_key
from mirror.sync.outcome import Outcome, Request
from mirror.sync.parts import Parts
from mirror.sync.pull import pull
from mirror.transfer import Advanced
from mirror.verify import VerifyLevel
from tests import catalogs
from tests.transfer_world import OTHER, URL, Act, MemoryOpeners, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mirror.ledger import FileState, Reader

DATA = random.Random(5).randbytes(10 * BLOCK + 1234)
SHA256 = hashlib.sha256(DATA).hexdigest()
SMALL = DATA[:4000]
#: Bits that leave every CRC-32 as it is: the polynomial itself (ISO 3309, as zlib turns it).
UNSEEN = (1 | 0xEDB88320 << 1).to_bytes(5, "little")


class Stall:
    """A mirror of one model, or of two that have one file in common, and what its sources have."""

    def __init__(self, root: Path, data: bytes = DATA, *, twins: bool = False, **promised: Any) -> None:
        self.data = data
        self.origin = Origin(data)
        self.openers = MemoryOpeners({URL: self.origin})
        first = catalogs.http(catalogs.file("weights.bin", URL, **promised), id="files")
        second = catalogs.http(catalogs.file("same.bin", OTHER, **promised), id="files")
        models = [catalogs.model("bert", first)]
        if twins:
            self.openers.origins[OTHER] = Origin(data)
            models.append(catalogs.model("twin", second))
        self.catalog = parse(catalogs.text(*models), where="a test")
        self.store = Store(root)
        self.stop = Stop()

    @property
    def parts(self) -> Parts:
        return Parts(
            self.catalog.by_artifact.get,
            self.catalog.refused,
            Lock({}),
            self.store,
            self.reader,
            self.ledger,
            self.openers,
        )

    def ledger(self) -> Ledger:
        self.store.root.mkdir(exist_ok=True)
        return Ledger.open(self.store.root / "ledger.db", tool="test", now=lambda: datetime.now(UTC))

    def reader(self) -> AbstractContextManager[Reader]:
        return Ledger.reader(self.store.root / "ledger.db")

    def request(self, *names: str) -> Request:
        artifacts = tuple(self.catalog.artifacts())
        return Request(tuple(a for a in artifacts if not names or a.name in names), retries=2, retry_pause=0.0)

    def pull(self) -> Outcome:
        self.ledger().close()
        outcome = pull(self.parts, self.request(), watch=lambda event: None, stop=self.stop)
        assert outcome.problems == []
        self.forget()
        return outcome

    def forget(self) -> None:
        """Forget what was asked so far."""
        for origin in self.openers.origins.values():
            origin.asked.clear()
            origin.sent = 0

    def verify(self) -> list[Rechecked]:
        with self.reader() as reader:
            return list(recheck(reader, self.store, due(reader, None), VerifyLevel.DIGEST, self.ledger, self.stop))

    def repair(self, *names: str, watch: Callable[[Any], None] = lambda event: None) -> Repaired:
        return repair(self.parts, self.request(*names), watch=watch, stop=self.stop)

    def mended(self) -> Repaired:
        """Verify and repair; everything must be right again."""
        self.verify()
        outcome = self.repair()
        assert outcome.problems == []
        self.assert_right()
        return outcome

    @property
    def blob(self) -> Path:
        return self.store.blob_path(hashlib.sha256(self.data).hexdigest())

    def change(self, *offsets: int, size: int | None = None, by: bytes = b"\1") -> None:
        """Change bytes of the blob, as a failing disk does."""
        held = bytearray(self.blob.read_bytes())
        for offset in offsets:
            for number, bits in enumerate(by):
                held[offset + number] ^= bits
        self.blob.chmod(0o644)
        self.blob.write_bytes(bytes(held[:size]).ljust(size or 0, b"+"))

    def states(self) -> dict[str, FileState]:
        with self.reader() as reader:
            return {f"{state.artifact}/{state.path}": state for state in reader.files()}

    def details(self, kind: str) -> list[dict[str, Any]]:
        with self.reader() as reader:
            return [entry.detail for entry in reader.events(kind=kind)]

    def assert_right(self) -> None:
        """Every blob is what its name says, every file is held, the ledger is sound, and no partial is left."""
        for blob in self.store.iter_blobs():
            assert hashlib.sha256(blob.path.read_bytes()).hexdigest() == blob.sha256
        assert {state.state for state in self.states().values()} == {"held"}
        assert list(self.store.iter_partials()) == []
        assert self.blob.read_bytes() == self.data
        assert self.blob.stat().st_mode & 0o222 == 0
        with self.reader() as reader:
            reader.verify()


@pytest.fixture
def stall(tmp_path: Path) -> Iterator[Stall]:
    made = Stall(tmp_path / "cache")
    made.pull()
    yield made


def test_one_changed_bit_costs_one_block(stall: Stall) -> None:
    stall.change(3 * BLOCK + 17)
    outcome = stall.mended()
    assert stall.origin.asked == [(3 * BLOCK, 4 * BLOCK)]
    (mended,) = outcome.mended
    assert (mended.sha256, mended.size) == (SHA256, len(DATA))
    assert (mended.fetched, mended.kept) == (BLOCK, len(DATA) - BLOCK)
    assert outcome.wire_bytes == stall.origin.sent == BLOCK


def test_what_was_mended_is_recorded_with_what_it_cost(stall: Stall) -> None:
    stall.change(0)
    stall.mended()
    first, second = stall.details("stored")
    assert (first["how"], second["how"]) == ("fetched", "repaired")
    assert (second["bytes"], second["kept"]) == (BLOCK, len(DATA) - BLOCK)
    assert second["blocks"] == first["blocks"]


@pytest.mark.parametrize(
    ("places", "asked"),
    [
        ([4 * BLOCK - 1, 4 * BLOCK], [(3 * BLOCK, 5 * BLOCK)]),
        ([0, 5 * BLOCK], [(0, BLOCK), (5 * BLOCK, 6 * BLOCK)]),
        ([len(DATA) - 1], [(10 * BLOCK, None)]),
    ],
    ids=["neighbours together", "others one by one", "the short last one"],
)
def test_only_damaged_blocks_are_asked_for(
    stall: Stall, places: Sequence[int], asked: list[tuple[int, int | None]]
) -> None:
    stall.change(*places)
    stall.mended()
    assert stall.origin.asked == asked


def test_a_source_without_ranges_sends_the_whole_file(stall: Stall) -> None:
    stall.change(7 * BLOCK)
    stall.origin.acts = [Act(ignore_range=True)] * 3
    (mended,) = stall.mended().mended
    assert (mended.kept, stall.details("stored")[-1]["kept"]) == (0, 0)
    assert stall.origin.sent >= len(DATA)


def test_a_connection_that_breaks_goes_on_within_the_block(stall: Stall) -> None:
    stall.change(2 * BLOCK)
    stall.origin.acts = [Act(cut=70_000)]
    stall.mended()
    assert stall.origin.asked == [(2 * BLOCK, 3 * BLOCK), (2 * BLOCK + 70_000, 3 * BLOCK)]


def test_what_came_before_a_stop_is_not_fetched_again(stall: Stall) -> None:
    stall.change(2 * BLOCK)
    stall.verify()
    stall.origin.acts = [Act(step=1000)]

    def halt(event: object) -> None:
        if isinstance(event, Advanced):
            stall.stop.set()

    assert stall.repair(watch=halt).mended == []
    assert not stall.blob.exists()
    came = stall.origin.sent
    stall.stop = Stop()
    assert stall.repair().problems == []
    assert 0 < came < BLOCK
    assert stall.origin.asked[-1] == (2 * BLOCK + came, 3 * BLOCK)
    assert stall.details("stored")[-1]["kept"] == len(DATA) - BLOCK
    stall.assert_right()


def test_copies_that_are_damaged_in_different_places_make_one_that_is_whole(stall: Stall) -> None:
    stall.change(2 * BLOCK)
    stall.mended()
    stall.forget()
    stall.change(5 * BLOCK)
    (mended,) = stall.mended().mended
    assert (stall.origin.asked, mended.fetched, mended.kept) == ([], 0, len(DATA))


def test_a_file_that_was_cut_off_gets_its_end(stall: Stall) -> None:
    stall.change(size=6 * BLOCK + 5)
    stall.mended()
    assert stall.origin.asked == [(6 * BLOCK, None)]


def test_a_file_that_has_grown_costs_nothing(stall: Stall) -> None:
    stall.change(size=len(DATA) + 3)
    stall.mended()
    assert stall.origin.asked == []


def test_damage_that_no_block_shows_is_found_by_the_whole(stall: Stall) -> None:
    stall.change(BLOCK + 99, by=UNSEEN)
    (found,) = stall.verify()
    assert found.verdict.damage == ()
    assert stall.repair().problems == []
    assert stall.origin.asked == [(0, None)]
    stall.assert_right()


def test_without_the_damaged_copy_the_whole_file_comes(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    shutil.rmtree(stall.store.root / "quarantine")
    stall.mended()
    assert stall.origin.asked == [(0, None)]


@pytest.mark.parametrize("evidence", [b"[]", b"{}", b'{"expected": 7}', b'{"expected": {"sha256": 7}}', b"\xff"])
def test_a_case_that_says_nothing_helps_nobody(stall: Stall, evidence: bytes) -> None:
    stall.change(0)
    stall.verify()
    (case,) = stall.store.iter_quarantine()
    (case.path / "evidence.json").write_bytes(evidence)
    stall.mended()
    assert stall.origin.asked == [(0, None)]


def test_a_case_that_cannot_be_read_helps_nobody(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    (case,) = stall.store.iter_quarantine()
    (case.path / "bytes").unlink()
    (case.path / "bytes").mkdir()
    stall.mended()
    assert stall.origin.asked == [(0, None)]


def test_a_small_file_is_fetched_whole(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache", SMALL, size=len(SMALL))
    stall.pull()
    stall.change(17)
    (mended,) = stall.mended().mended
    assert (mended.fetched, mended.kept) == (len(SMALL), 0)
    assert stall.details("stored")[-1]["how"] == "repaired"


def test_what_is_gone_unnoticed_is_found(stall: Stall) -> None:
    stall.blob.unlink()
    assert [mended.kept for mended in stall.repair().mended] == [0]
    assert [one["verdict"] for one in stall.details("verified")] == ["missing"]
    stall.assert_right()


def test_what_was_cut_off_unnoticed_is_kept_as_evidence(stall: Stall) -> None:
    stall.change(size=BLOCK)
    assert stall.repair().problems == []
    assert [case.size for case in stall.store.iter_quarantine()] == [BLOCK]
    assert stall.origin.asked == [(BLOCK, None)]
    stall.assert_right()


def test_what_somebody_put_back_is_believed_once_it_was_read(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    stall.blob.write_bytes(DATA)
    stall.blob.chmod(0o444)
    outcome = stall.repair()
    assert (outcome.adopted, outcome.mended, stall.origin.asked) == (1, [], [])
    stall.assert_right()


def test_what_is_right_is_left_alone(stall: Stall) -> None:
    events = len(stall.details("verified"))
    outcome = stall.repair()
    assert (outcome.mended, outcome.problems, stall.origin.asked) == ([], [], [])
    assert len(stall.details("verified")) == events


def test_nothing_is_repaired_where_nothing_was_ever_recorded(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache")
    stall.ledger().close()
    assert stall.repair().mended == []


def test_bytes_that_got_their_name_before_a_process_died_are_recorded_without_a_request(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    with stall.store.partial(partial_key(f"sha256:{SHA256}")) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, DATA)
        partial.commit(SHA256)
        partial._claim.owner = partial._claim.owner._replace(released=True)
        partial._claim.sign(partial._claim.owner)
    assert [mended.fetched for mended in stall.repair().mended] == [0]
    assert stall.origin.asked == []
    stall.assert_right()


def test_one_blob_of_two_files_is_fetched_once_from_whichever_address_gives_it(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache", twins=True, size=len(DATA), sha256=SHA256)
    stall.pull()
    stall.change(0)
    stall.verify()
    stall.origin.acts = [Act(refuse=ConnectionDroppedError("gone"))] * 9
    outcome = stall.repair("bert@files")
    assert [str(mended.file) for mended in outcome.mended] == ["bert@files/weights.bin"]
    assert stall.openers.origins[OTHER].asked == [(0, BLOCK)]
    stall.assert_right()


def test_only_what_was_asked_for_is_mended(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache", twins=True)
    stall.openers.origins[OTHER].data = DATA[::-1]
    stall.pull()
    stall.change(0)
    stall.verify()
    assert stall.repair("twin@files").mended == []
    assert len(stall.repair("bert@files").mended) == 1


def test_what_the_publisher_said_of_the_bytes_is_still_known_of_them(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache")
    stall.origin.md5 = True
    stall.pull()
    before = stall.states()["bert@files/weights.bin"].level
    stall.change(size=len(DATA) + 1)
    stall.mended()
    assert before == stall.states()["bert@files/weights.bin"].level == "checked"


def test_a_file_that_changed_at_its_source_is_disputed_and_never_offered(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    stall.origin.data = DATA[::-1]
    (problem,) = stall.repair().problems
    assert isinstance(problem.error, DisputedError)
    assert list(stall.store.iter_blobs()) == []
    assert [one["artifact"] for one in stall.details("disputed")] == ["bert@files"]


def test_what_nobody_offers_is_a_problem_that_says_what_to_do(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    share = catalogs.pan(id="files", files=[catalogs.file("weights.bin")])
    stall.catalog = parse(catalogs.text(catalogs.model("bert", share)), where="a test")
    with stall.ledger() as ledger:
        (listed,) = list(ledger.events(kind="listed"))
        listed.detail["files"][0]["urls"] = []
        ledger.record([listed.event])
    (problem,) = stall.repair().problems
    assert isinstance(problem.error, SourceError)
    assert "by hand" in problem.error.hint
    assert not stall.blob.exists()


def test_a_repair_that_another_process_is_at_is_left_to_it(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    with stall.store.partial(partial_key(f"sha256:{SHA256}")):
        (problem,) = stall.repair().problems
    assert "is being written by" in str(problem.error)
    assert stall.details("failed") == []
    assert len(stall.repair().mended) == 1


def test_a_stop_while_good_blocks_are_copied_leaves_what_was_copied(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    with stall.reader() as reader:
        (task,) = tasks(stall.parts, reader, stall.request())
    stop = threading.Event()
    stop.set()
    with pytest.raises(TransferStopped):
        salvage(stall.store, task, stop)
    assert len(stall.repair().mended) == 1
    assert stall.origin.asked == [(0, BLOCK)]
    stall.assert_right()


def test_a_store_that_cannot_be_written_ends_it(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    partials = stall.store.root / "partial"
    shutil.rmtree(partials)
    partials.touch()
    with pytest.raises(StoreError):
        stall.repair()
    partials.unlink()
    stall.stop = Stop()
    assert len(stall.repair().mended) == 1
    stall.assert_right()


def test_what_never_came_is_not_fetched(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache", twins=True)
    stall.openers.origins[OTHER].acts = [Act(refuse=NotFoundError("no such file"))]
    stall.ledger().close()
    assert len(pull(stall.parts, stall.request(), watch=lambda event: None, stop=stall.stop).problems) == 1
    stall.forget()
    stall.change(0)
    stall.verify()
    assert len(stall.repair().mended) == 1
    assert stall.openers.origins[OTHER].asked == []
    assert stall.states()["twin@files/same.bin"].state == "failed"


def test_a_mirror_without_a_ledger_has_nothing_to_repair(tmp_path: Path) -> None:
    stall = Stall(tmp_path / "cache")
    parts = stall.parts._replace(reader=lambda: nullcontext(None))
    assert repair(parts, stall.request(), watch=lambda event: None, stop=stall.stop).mended == []


def test_a_stop_before_the_beginning_leaves_everything_as_it_was(stall: Stall) -> None:
    stall.change(0)
    stall.verify()
    stall.stop.set()
    assert stall.repair().mended == []
    stall.stop = Stop()
    assert len(stall.repair().mended) == 1
    stall.assert_right()
