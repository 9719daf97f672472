"""What the ledger answers after the events of pulls, verifications and sweeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mirror.errors import LedgerError
from mirror.ledger import Ledger, State
from mirror.model import Authority, Claim, Digest, Listing, RemoteFile
from tests.ledger_events import (
    ARTIFACT,
    REVISION,
    claim,
    disputed,
    failed,
    file,
    listed,
    members,
    open_ledger,
    removed,
    sha256,
    stored,
    verified,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.model import Event

CONFIG = sha256("config.json")
GIT = f"git-sha1:{sha256('git')[:40]}"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db") as opened:
        yield opened
        opened.verify()  # whatever a test did, the state follows from the events


def state_of(ledger: Ledger, path: str = "config.json") -> str:
    found = ledger.file(ARTIFACT, path)
    assert found is not None
    return found.state


def test_a_listing_comes_back_as_values(ledger: Ledger) -> None:
    pin = claim(f"sha256:{CONFIG}", "catalog")
    ledger.record([listed(file("config.json", pin, size=285), file("z.txt"), file("a.txt", revision=None))])
    url = "https://huggingface.co/x/{}".format
    word = Claim(Digest("sha256", CONFIG), Authority.CATALOG, "huggingface.co API")
    assert ledger.listing(ARTIFACT) == Listing(
        ARTIFACT,
        REVISION,
        (
            RemoteFile(ARTIFACT, "config.json", (url("config.json"),), 285, (word,), REVISION),
            RemoteFile(ARTIFACT, "z.txt", (url("z.txt"),), None, (), REVISION),
            RemoteFile(ARTIFACT, "a.txt", (url("a.txt"),), None, (), None),
        ),
    )
    assert ledger.listing("bert-tiny@google") is None


def test_a_file_goes_from_listed_to_held(ledger: Ledger) -> None:
    ledger.record([listed(file("config.json"))])
    assert state_of(ledger) == State.LISTED
    ledger.record([stored("config.json", size=285, level="first-seen")])
    held = ledger.file(ARTIFACT, "config.json")
    assert held is not None
    assert (held.state, held.sha256, held.size, held.level, held.revision, held.event) == (
        "held", CONFIG, 285, "first-seen", REVISION, 3,
    )  # fmt: skip


def test_a_failure_is_kept_until_the_file_comes(ledger: Ledger) -> None:
    ledger.record([listed(file("config.json")), failed("config.json")])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert (found.state, found.error) == ("failed", "StalledError: no byte for 60 s")
    ledger.record([stored("config.json")])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert (found.state, found.error) == ("held", None)


def test_a_failure_of_a_whole_artifact_makes_no_file(ledger: Ledger) -> None:
    ledger.record([failed(None)])
    assert list(ledger.files()) == []


def test_a_dispute_names_both_sides(ledger: Ledger) -> None:
    ledger.record([listed(file("config.json")), disputed("config.json")])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert (found.state, found.level) == ("disputed", "disputed")
    assert f"sha256:{sha256('other')}" in (found.error or "")
    assert f"catalog (huggingface.co API) says sha256:{CONFIG}" in (found.error or "")


@pytest.mark.parametrize("later", [failed("config.json"), disputed("config.json"), verified(CONFIG, "missing")])
def test_what_was_seen_first_goes_on_binding(ledger: Ledger, later: Event) -> None:
    ledger.record([listed(file("config.json", revision=None), revision=None), stored("config.json"), later])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert found.state != "held"
    assert found.sha256 == CONFIG
    assert CONFIG in ledger.needed()


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (file("config.json"), file("config.json"), "held"),
        (file("config.json", size=285), file("config.json"), "held"),
        (file("config.json"), file("config.json", size=286), "listed"),
        (file("config.json"), file("config.json", revision="f" * 40), "listed"),
        (file("config.json", claim(GIT)), file("config.json", claim(GIT), revision="f" * 40), "held"),
        (file("config.json", claim(GIT)), file("config.json", claim(GIT, "lock")), "held"),
        (file("config.json"), file("config.json", claim(GIT)), "listed"),
        (file("config.json", claim("md5:" + "0" * 32)), file("config.json", claim("md5:" + "1" * 32)), "listed"),
        (
            file("config.json", claim("crc32c:00000000")),
            file("config.json", claim("crc32c:00000000"), revision="f" * 40),
            "listed",
        ),
    ],
)
def test_a_new_listing_keeps_what_it_promises_the_same(
    ledger: Ledger, before: dict[str, object], after: dict[str, object], state: str
) -> None:
    ledger.record([listed(before), stored("config.json"), listed(after)])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert found.state == state
    assert found.sha256 == (CONFIG if state == "held" else None)


def test_a_new_listing_forgets_files_that_are_gone(ledger: Ledger) -> None:
    ledger.record([listed(file("a"), file("b")), stored("a"), stored("b"), listed(file("b"))])
    assert ledger.held(ARTIFACT) == {"b": sha256("b")}


@pytest.mark.parametrize("verdict", ["missing", "altered", "resized"])
def test_a_bad_blob_is_not_held_until_it_is_stored_again(ledger: Ledger, verdict: str) -> None:
    ledger.record([listed(file("config.json")), stored("config.json"), verified(CONFIG, verdict)])
    found = ledger.file(ARTIFACT, "config.json")
    assert found is not None
    assert (found.state, found.damage) == ("listed", verdict)
    assert ledger.held(ARTIFACT) == {}
    assert ledger.counts().files == {"listed": 1}
    ledger.record([stored("config.json")])
    assert ledger.held(ARTIFACT) == {"config.json": CONFIG}


def test_a_look_at_the_size_does_not_clear_altered_bytes(ledger: Ledger) -> None:
    ledger.record([stored("config.json"), verified(CONFIG, "altered"), verified(CONFIG, "intact", "stat")])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert row.verdict == "altered"


def test_a_blob_that_came_back_is_there_and_not_verified(ledger: Ledger) -> None:
    ledger.record([stored("config.json"), verified(CONFIG, "missing", "stat")])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert not row.present
    ledger.record([stored("config.json", how="held")])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert (row.present, row.verdict) == (True, None)
    assert ledger.held(ARTIFACT) == {"config.json": CONFIG}


def test_only_bytes_that_were_read_count_as_verified(ledger: Ledger) -> None:
    ledger.record([stored("config.json")])
    ledger.record([stored("config.json", how="held", artifact="other@x"), verified(CONFIG, "intact", "stat")])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert row.verified_at == "2025-01-31T12:00:00.000000Z"
    ledger.record([verified(CONFIG)])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert row.verified_at == "2025-01-31T12:00:02.000000Z"


def test_a_verdict_on_an_unknown_blob_is_remembered(ledger: Ledger) -> None:
    ledger.record([verified(CONFIG)])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert (row.size, row.verdict, row.present) == (None, "intact", True)


def test_a_removed_blob_is_gone_and_known(ledger: Ledger) -> None:
    ledger.record([stored("config.json"), removed(CONFIG)])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert (row.present, row.verdict) == (False, "removed")
    assert [blob.sha256 for blob in ledger.blobs()] == []


def test_a_blob_keeps_every_digest_and_block(ledger: Ledger) -> None:
    ledger.record([stored("x", CONFIG, digests={"git-sha1": GIT[9:]}, blocks=[1, 2**32 - 1])])
    ledger.record([stored("y", CONFIG, how="held"), stored("z", CONFIG, digests={"md5": "0" * 32})])
    row = ledger.blob(CONFIG)
    assert row is not None
    assert {str(digest) for digest in row.digests.values()} == {f"sha256:{CONFIG}", GIT, f"md5:{'0' * 32}"}
    assert row.blocks == (1, 2**32 - 1)
    assert row.first_event == 2
    assert ledger.counts().blobs == 1


def test_a_strong_digest_finds_its_blob(ledger: Ledger) -> None:
    ledger.record([stored("x", CONFIG, digests={"git-sha1": GIT[9:]})])
    for digest in (Digest.parse(GIT), Digest("sha256", CONFIG)):
        row = ledger.blob_by_digest(digest)
        assert row is not None
        assert row.sha256 == CONFIG
    for digest in (Digest("git-sha1", GIT[9:15] + "0" * 34), Digest("sha256", CONFIG[:6] + "0" * 58)):
        assert ledger.blob_by_digest(digest) is None


def test_of_two_blobs_with_one_git_id_the_present_one_is_found(ledger: Ledger) -> None:
    first, second = sorted([CONFIG, sha256("other")])
    digests = {"git-sha1": GIT[9:]}
    ledger.record([stored("x", first, digests=digests), stored("y", second, digests=digests), removed(first)])
    row = ledger.blob_by_digest(Digest.parse(GIT))
    assert row is not None
    assert row.sha256 == second


def test_a_weak_digest_finds_nothing_because_it_proves_nothing(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="weak"):
        ledger.blob_by_digest(Digest("crc32", "00000000"))


@pytest.mark.parametrize("question", ["sha256", "git-sha1"])
def test_look_ups_by_digest_read_one_row_not_all(ledger: Ledger, question: str) -> None:
    from mirror.ledger import questions

    plan = ledger._connection.execute(f"EXPLAIN QUERY PLAN {questions.WITH_DIGEST[question]}", ("a",)).fetchall()
    assert "SEARCH blobs USING INDEX" in plan[0][3]


def test_needed_blobs_are_those_held_promised_and_pinned(ledger: Ledger) -> None:
    git = sha256("known by its git id")
    ledger.record(
        [
            listed(
                file("held"),
                file("pinned", claim(f"sha256:{sha256('pin')}", "lock")),
                file("by git id", claim(GIT)),
                file("by crc", claim("crc32:00000000")),
            ),
            stored("held"),
            stored("elsewhere", git, artifact="other@x", digests={"git-sha1": GIT[9:]}),
            listed(artifact="other@x"),
            verified(sha256("nobody's")),
        ]
    )
    assert ledger.needed() == {sha256("held"), sha256("pin"), git}


def test_members_are_those_of_the_last_look(ledger: Ledger) -> None:
    ledger.record([members(CONFIG, "b", "old"), members(CONFIG, "b", "a", "a")])
    assert [(m.path, m.size, m.crc32, m.sha256) for m in ledger.members(CONFIG)] == [
        ("a", 7, "0badcafe", sha256("a")),
        ("b", 7, "0badcafe", sha256("b")),
    ]
    assert ledger.members(sha256("no archive")) == ()


def test_holdings_give_every_listed_artifact_with_its_files_in_the_order_asked(ledger: Ledger) -> None:
    ledger.record(
        [
            listed(file("b"), file("a"), narrowed=["safetensors"]),
            listed(file("c"), artifact="z@x", revision=None),
            listed(artifact="empty@x"),
            listed(file("d"), artifact="not asked@x"),
            stored("a"),
        ]
    )
    found = list(ledger.holdings(["z@x", "unknown@x", "empty@x", ARTIFACT, "z@x"]))
    assert [(one.artifact, one.revision, one.narrowed) for one in found] == [
        ("z@x", None, None),
        ("empty@x", REVISION, None),
        (ARTIFACT, REVISION, ("safetensors",)),
    ]
    assert [[(one.path, one.state) for one in holding.files] for holding in found] == [
        [("c", "listed")],
        [],
        [("a", "held"), ("b", "listed")],
    ]
    assert found[2].files == tuple(ledger.files(ARTIFACT))


def test_files_are_asked_for_by_artifact_or_all(ledger: Ledger) -> None:
    ledger.record([listed(file("b"), file("a")), listed(file("c"), artifact="a@x")])
    assert [(one.artifact, one.path) for one in ledger.files()] == [("a@x", "c"), (ARTIFACT, "a"), (ARTIFACT, "b")]
    assert [one.path for one in ledger.files(ARTIFACT)] == ["a", "b"]
    assert ledger.file(ARTIFACT, "c") is None


def test_events_are_found_by_subject_kind_time_and_number(ledger: Ledger) -> None:
    for batch in ([listed(file("a"), file("b"))], [stored("a"), failed("b")], [stored("a", artifact=f"{ARTIFACT}2")]):
        ledger.record(batch)

    def found(**asked: object) -> list[int]:
        return [entry.seq for entry in ledger.events(**asked)]  # type: ignore[arg-type]

    assert found() == [1, 2, 3, 4, 5]
    assert found(subject=ARTIFACT) == [2, 3, 4]
    assert found(subject=f"{ARTIFACT}/a") == [3]
    assert found(kind="stored") == [3, 5]
    assert found(kind="stored", subject=ARTIFACT) == [3]
    assert found(since=datetime(2025, 1, 31, 12, 0, 1, tzinfo=UTC)) == [3, 4, 5]
    assert found(limit=2) == [4, 5]
    assert found(kind="stored", limit=1) == [5]
    assert found(limit=0) == []


def test_a_history_has_everything_about_one_file_and_nothing_else(ledger: Ledger) -> None:
    ledger.record(
        [
            listed(file("a"), file("b")),
            stored("a"),
            stored("b"),
            members(sha256("a"), "x"),
            verified(sha256("b")),
            verified(sha256("a")),
            listed(file("b")),
            failed("a"),
            removed(sha256("a")),
        ]
    )
    assert [entry.kind for entry in ledger.history(ARTIFACT, "a")] == [
        "listed",
        "stored",
        "members",
        "verified",
        "failed",
        "removed",
    ]


def test_counts_add_up(ledger: Ledger) -> None:
    ledger.record([listed(file("a"), file("b"), file("c")), stored("a", size=5), stored("b", size=7), failed("c")])
    counts = ledger.counts()
    assert (counts.events, counts.artifacts, counts.files, counts.blobs, counts.bytes) == (
        5, 1, {"held": 2, "failed": 1}, 2, 12,
    )  # fmt: skip


def test_a_new_ledger_knows_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        assert ledger.head() == (0, "0" * 64)
        assert ledger.counts().files == {}
        assert ledger.needed() == set()
        assert list(ledger.holdings([ARTIFACT])) == []
        assert ledger.blob(CONFIG) is None


def test_a_file_that_was_stored_without_a_listing_has_a_row(ledger: Ledger) -> None:
    ledger.record([stored("config.json")])
    assert ledger.held(ARTIFACT) == {"config.json": CONFIG}
    assert ledger.listing(ARTIFACT) is None


def test_a_row_that_somebody_broke_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([listed(file("a"))])
        ledger._connection.execute("UPDATE files SET claims = 'not JSON'")
        with pytest.raises(LedgerError) as caught:
            ledger.listing(ARTIFACT)
    assert "ledger verify" in caught.value.hint


def test_long_answers_stream(tmp_path: Path) -> None:
    import tracemalloc

    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.record([listed(*(file(f"{number:06d}.bin") for number in range(20_000)))])
    with Ledger.reader(tmp_path / "ledger.db") as reader:
        sum(1 for _ in reader.files())
        tracemalloc.start()
        assert sum(1 for _ in reader.files()) == 20_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 200_000
