"""One file from a source in memory: right bytes, or a typed error and nothing visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror.digests import BLOCK
from mirror.errors import (
    BusyError,
    ChangedError,
    ConnectionDroppedError,
    DisputedError,
    ImpostorError,
    IntegrityError,
    MirrorError,
    NotFoundError,
    OversizeError,
    RangeError,
    RateLimitedError,
    SourceError,
)
from mirror.model import Authority, Claim, Digest, Level
from mirror.stopping import TransferStopped
from mirror.store.content import NOTED_EVERY
from mirror.transfer import Advanced, Done, Failed, Restarted, Started, Waiting, account_of, key_of
from mirror.transfer.policy import Policy
from mirror.transfer.ring import BUFFER
from mirror.transfer.segments import IN_HAND
from mirror.wire import Validator
from tests.transfer_world import OTHER, URL, Act, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.model import RemoteFile
    from mirror.transfer import Progress

PAGE = b"<!DOCTYPE html><title>Login</title>"
DATA = bytes(value * 7 % 251 for value in range(300_000))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, DATA)


def nothing_visible(bench: Bench) -> bool:
    return not list(bench.store.iter_blobs())


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_bytes_that_keep_a_promise_are_pinned(bench: Bench, small: int) -> None:
    receipt = bench.fetch(bench.file("sha256"), policy=bench.policy(small=small))
    assert bench.got(receipt) == DATA
    assert receipt.evidence.level is Level.PINNED
    assert (receipt.size, receipt.wire_bytes, receipt.attempts) == (len(DATA), len(DATA), ())
    assert (receipt.data == DATA) is (small > 0)
    assert (receipt.url, receipt.validator) == (URL, Validator('"v1"'))


def test_what_nobody_promised_is_first_seen(bench: Bench) -> None:
    receipt = bench.fetch(bench.file(size=None))
    assert bench.got(receipt) == DATA
    assert receipt.evidence.level is Level.FIRST_SEEN


def test_the_publishers_weak_digest_is_checked(bench: Bench) -> None:
    bench.origin.md5 = True
    assert bench.fetch(bench.file()).evidence.level is Level.CHECKED


def test_a_git_object_id_is_computed_though_the_size_is_only_learnt_at_the_end(bench: Bench) -> None:
    bench.origin.acts = [Act(stated=False)]
    receipt = bench.fetch(bench.file("git-sha1", size=None))
    assert "git-sha1" in receipt.digests
    assert bench.got(receipt) == DATA


@pytest.mark.parametrize("kept", [1, 4095, 4096, len(DATA) - 1])
def test_a_drop_resumes_where_it_was(bench: Bench, kept: int) -> None:
    bench.origin.acts = [Act(cut=kept)]
    receipt = bench.fetch(bench.file("sha256"))
    assert bench.got(receipt) == DATA
    assert bench.origin.asked == [(0, None), (kept, None)]
    assert bench.origin.sent == receipt.wire_bytes == len(DATA)
    assert [(a.error, a.offset, a.bytes) for a in receipt.attempts] == [("ConnectionDroppedError", 0, kept)]


def test_another_process_goes_on_where_the_first_was_stopped(tmp_path: Path) -> None:
    first = Bench(tmp_path, DATA, [Act(cut=100_000, step=50_000)])

    def stop_soon(event: Progress) -> None:
        if isinstance(event, Advanced):
            first.stop.set()

    with pytest.raises(TransferStopped):
        first.fetch(first.file(), watch=stop_soon)
    second = Bench(tmp_path, DATA)
    receipt = second.fetch(second.file())
    assert second.got(receipt) == DATA
    assert second.origin.asked == [(100_000, None)]
    assert isinstance(second.events[0], Started)
    assert second.events[0].held == 100_000


def test_without_a_validator_or_a_promise_a_drop_starts_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA, [Act(cut=100_000)], etag=None)
    assert bench.got(bench.fetch(bench.file())) == DATA
    assert bench.origin.asked == [(0, None), (0, None)]
    assert any(isinstance(event, Restarted) for event in bench.events)


def test_without_a_validator_a_promised_digest_lets_it_resume(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA, [Act(cut=100_000)], etag=None)
    assert bench.got(bench.fetch(bench.file("sha256"))) == DATA
    assert bench.origin.asked == [(0, None), (100_000, None)]


def test_a_source_that_starts_over_is_taken_from_its_beginning_without_asking_again(bench: Bench) -> None:
    bench.origin.acts = [Act(cut=100_000), Act(ignore_range=True)]
    receipt = bench.fetch(bench.file("sha256"))
    assert bench.got(receipt) == DATA
    assert len(bench.origin.asked) == 2


def test_a_source_that_never_serves_ranges_and_always_drops_is_given_up(bench: Bench) -> None:
    bench.origin.acts = [Act(cut=100_000, ignore_range=True) for _ in range(50)]
    with pytest.raises(ConnectionDroppedError):
        bench.fetch(bench.file("sha256"))
    assert len(bench.origin.asked) == 7
    assert nothing_visible(bench)


def test_a_file_that_changes_is_fetched_anew_and_never_mixed(bench: Bench) -> None:
    changed = bytes(reversed(DATA))
    file = bench.file()
    bench.origin.acts = [Act(cut=100_000)]
    bench.origin.etag = '"v2"'
    bench.origin.acts[0] = Act(cut=100_000, etag='"v1"')

    def change(event: Progress) -> None:
        if isinstance(event, Advanced):
            bench.origin.data = changed

    receipt = bench.fetch(file, watch=change)
    assert bench.got(receipt) == changed
    assert receipt.validator == Validator('"v2"')


@pytest.mark.parametrize("shift", [-1, 1, 1000])
def test_a_range_at_the_wrong_place_is_never_written(bench: Bench, shift: int) -> None:
    bench.origin.acts = [Act(cut=100_000), Act(shift=shift)]
    receipt = bench.fetch(bench.file())
    assert bench.got(receipt) == DATA
    assert receipt.attempts[1].error in {"RangeError", "ChangedError"}


def test_a_source_whose_ranges_are_always_wrong_is_asked_for_the_whole(bench: Bench) -> None:
    bench.origin.acts = [Act(cut=100_000), Act(shift=1), Act(shift=1)]
    assert bench.got(bench.fetch(bench.file())) == DATA
    assert bench.origin.asked[-1] == (0, None)


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_bytes_past_the_promise_are_refused(bench: Bench, small: int) -> None:
    bench.origin.acts = [Act(extra=5) for _ in range(50)]
    with pytest.raises(OversizeError):
        bench.fetch(bench.file(), policy=bench.policy(small=small))
    assert nothing_visible(bench)


def test_bytes_past_the_promise_do_no_harm_where_a_strong_digest_is_kept(bench: Bench) -> None:
    bench.origin.acts = [Act(extra=5)]
    assert bench.got(bench.fetch(bench.file("sha256"))) == DATA


@pytest.mark.parametrize("small", [0, 1 << 20])
@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_another_size_than_promised_is_refused(bench: Bench, size: int, small: int) -> None:
    with pytest.raises((ChangedError, OversizeError)):
        bench.fetch(bench.file(size=size), policy=bench.policy(small=small))
    assert nothing_visible(bench)


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_one_flipped_bit_on_the_way_is_fetched_again(bench: Bench, small: int) -> None:
    bench.origin.acts = [Act(flip=77_777)]
    receipt = bench.fetch(bench.file("sha256"), policy=bench.policy(small=small))
    assert bench.got(receipt) == DATA
    assert [attempt.error for attempt in receipt.attempts] == ["DigestMismatch"]


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_the_publishers_own_digest_finds_a_flipped_bit(bench: Bench, small: int) -> None:
    bench.origin.acts, bench.origin.md5 = [Act(flip=3)], True
    receipt = bench.fetch(bench.file(), policy=bench.policy(small=small))
    assert bench.got(receipt) == DATA


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_the_same_wrong_bytes_twice_are_disputed_and_kept_as_evidence(bench: Bench, small: int) -> None:
    file = bench.file("sha256")
    bench.origin.data = bytes(reversed(DATA))
    with pytest.raises(DisputedError) as caught:
        bench.fetch(file, policy=bench.policy(small=small))
    (case,) = bench.store.iter_quarantine()
    account = account_of(caught.value)
    assert account.quarantine == case.path.name
    assert (case.path / "bytes").read_bytes() == bench.origin.data
    assert case.evidence["against"][0]["authority"] == "catalog"
    assert case.evidence["actual"]["sha256"] == account.digests["sha256"].hex
    assert len(bench.origin.asked) == 2
    assert nothing_visible(bench)


def test_what_the_publisher_vouches_for_is_disputed_without_a_second_fetch(bench: Bench) -> None:
    file = bench.file("sha256")
    bench.origin.data, bench.origin.md5 = bytes(reversed(DATA)), True
    with pytest.raises(DisputedError):
        bench.fetch(file)
    assert len(bench.origin.asked) == 1


def test_a_mixture_of_two_versions_is_fetched_again_in_one_go(bench: Bench) -> None:
    bench.origin.acts = [Act(cut=100_000, flip=5)]
    receipt = bench.fetch(bench.file("sha256"))
    assert bench.got(receipt) == DATA
    assert bench.origin.asked == [(0, None), (100_000, None), (0, None)]


def test_promises_for_a_large_file_that_contradict_each_other_are_disputed_before_anything_is_asked(
    bench: Bench,
) -> None:
    other = Claim(Digest("sha256", "0" * 64), Authority.LOCK, "catalog.lock.json")
    with pytest.raises(DisputedError):
        bench.fetch(bench.file("sha256", claims=(other,)))
    assert bench.origin.asked == []


def test_what_a_source_gives_for_a_small_file_with_contradicting_promises_is_kept_as_evidence(bench: Bench) -> None:
    other = Claim(Digest("sha256", "0" * 64), Authority.LOCK, "catalog.lock.json")
    with pytest.raises(DisputedError) as caught:
        bench.fetch(bench.file("sha256", claims=(other,)), policy=bench.policy(small=1 << 20))
    account = account_of(caught.value)
    assert account.quarantine is not None
    assert {str(claim) for claim in account.evidence.against} == {str(other)}  # type: ignore[union-attr]
    assert nothing_visible(bench)


def test_a_publisher_that_contradicts_a_pin_is_disputed_before_a_byte_is_fetched(bench: Bench) -> None:
    bench.origin.md5 = True
    pin = Claim(Digest("md5", "0" * 32), Authority.CATALOG, "catalog.json")
    with pytest.raises(DisputedError) as caught:
        bench.fetch(bench.file(claims=(pin,)))
    assert bench.origin.sent == 0
    assert account_of(caught.value).evidence is not None


@pytest.mark.parametrize(
    ("page", "size", "small"), [(PAGE, None, 0), (PAGE.ljust(len(DATA)), -1, 0), (PAGE.ljust(len(DATA)), -1, 1 << 20)]
)
def test_a_login_page_is_an_impostor_and_the_other_address_is_asked(
    bench: Bench, page: bytes, size: int | None, small: int
) -> None:
    bench.origin.acts = [Act(page=page)]
    other = bench.other()
    receipt = bench.fetch(bench.file(size=size), policy=bench.policy(small=small))
    assert bench.got(receipt) == DATA
    assert len(other.asked) == 1


def test_a_login_page_everywhere_is_the_error(bench: Bench) -> None:
    bench.origin.acts = [Act(page=PAGE)]
    with pytest.raises(ImpostorError):
        bench.fetch(bench.file(size=None))
    assert nothing_visible(bench)


def test_nothing_at_all_is_an_impostor_where_something_was_expected(bench: Bench) -> None:
    file = bench.file(size=None)
    bench.origin.data = b""
    with pytest.raises(ImpostorError):
        bench.fetch(file)


def test_an_empty_file_that_is_promised_empty_is_fetched(tmp_path: Path) -> None:
    bench = Bench(tmp_path, b"")
    receipt = bench.fetch(bench.file("sha256"))
    assert receipt.data == b""
    assert receipt.evidence.level is Level.PINNED


def test_when_no_address_has_it_that_is_the_error(bench: Bench) -> None:
    bench.origin.acts = [Act(refuse=NotFoundError("404", status=404))]
    bench.other(acts=[Act(refuse=NotFoundError("404", status=404))])
    with pytest.raises(NotFoundError) as caught:
        bench.fetch(bench.file("sha256"))
    assert [attempt.status for attempt in account_of(caught.value).attempts] == [404, 404]
    assert isinstance(bench.events[-1], Failed)


def test_a_file_without_an_address_is_a_source_error(bench: Bench) -> None:
    bench.openers.origins = {}
    with pytest.raises(SourceError, match="no address"):
        bench.fetch(bench.file())


def test_another_address_goes_on_where_the_first_one_ended(bench: Bench) -> None:
    drop = Act(refuse=ConnectionDroppedError("refused"))
    bench.origin.acts = [Act(cut=100_000), drop, drop]
    other = bench.other()
    assert bench.got(bench.fetch(bench.file("sha256"))) == DATA
    assert other.asked == [(100_000, None)]


def test_another_address_starts_over_where_no_digest_could_tell_a_mixture(bench: Bench) -> None:
    drop = Act(refuse=ConnectionDroppedError("refused"))
    bench.origin.acts = [Act(cut=100_000), drop, drop]
    other = bench.other(bytes(reversed(DATA)))
    assert bench.got(bench.fetch(bench.file())) == other.data
    assert other.asked == [(0, None)]


def test_a_source_that_asks_for_patience_gets_it(bench: Bench) -> None:
    bench.origin.acts = [Act(refuse=RateLimitedError("busy", status=429, retry_after=33.0))]
    clock = [0.0]

    def sleep(seconds: float, stop: object) -> None:
        clock[0] += seconds

    from mirror.transfer import HostLimits, Policy

    policy = Policy(small=0, sleep=sleep, clock=lambda: clock[0], hosts=HostLimits(clock=lambda: clock[0]))
    assert bench.got(bench.fetch(bench.file(), policy=policy)) == DATA
    assert clock[0] >= 33.0
    assert any(isinstance(event, Waiting) and event.seconds == 33.0 for event in bench.events)


def test_a_stop_before_the_first_request_asks_nothing(bench: Bench) -> None:
    bench.stop.set()
    with pytest.raises(TransferStopped):
        bench.fetch(bench.file())
    assert bench.origin.asked == []


def test_two_at_once_in_one_store_do_not_write_the_same_partial(bench: Bench) -> None:
    file = bench.file("sha256")
    with bench.store.partial(key_of(file)), pytest.raises(BusyError):
        bench.fetch(file)


def died_before_the_row(bench: Bench) -> RemoteFile:
    """Leave a file as a process does that is killed between the blob's name and its row."""
    file = bench.file("sha256")
    with bench.store.partial(key_of(file)) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, DATA)
        partial.commit(file.sha256 or "")
        partial.release()
    return file


def test_a_crash_before_the_row_is_healed_by_reading_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA)
    file = died_before_the_row(bench)
    receipt = bench.fetch(file)
    assert (receipt.sha256, receipt.wire_bytes, bench.origin.asked) == (file.sha256, 0, [])
    assert not list(bench.store.iter_partials())


def test_what_is_inside_is_looked_at_when_a_crash_is_healed_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA)
    file = died_before_the_row(bench)
    broken = Claim(Digest("sha256", "0" * 64), Authority.CATALOG, "member vocab.txt")
    with pytest.raises(DisputedError):
        bench.fetch(file, examine=lambda data, sha256: (broken,))
    assert nothing_visible(bench)
    assert [case.size for case in bench.store.iter_quarantine()] == [len(DATA)]


def test_whole_bytes_of_a_partial_need_no_request(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA)
    file = bench.file("sha256")
    with bench.store.partial(key_of(file)) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, DATA)
    assert bench.got(bench.fetch(file)) == DATA
    assert bench.origin.asked == []


def test_a_partial_that_was_altered_is_found_out_and_fetched_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA)
    file = bench.file("sha256")
    with bench.store.partial(key_of(file)) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, bytes(1000) + DATA[1000:200_000])
    assert bench.got(bench.fetch(file)) == DATA
    assert bench.origin.asked == [(200_000, None), (0, None)]


def test_what_is_inside_can_be_looked_at_before_the_bytes_get_their_name(bench: Bench) -> None:
    broken = Claim(Digest("sha256", "0" * 64), Authority.CATALOG, "member vocab.txt")
    with pytest.raises(DisputedError):
        bench.fetch(bench.file("sha256"), examine=lambda data, sha256: (broken,))
    assert nothing_visible(bench)
    assert len(list(bench.store.iter_quarantine())) == 1


def test_what_turns_out_to_be_something_else_is_quarantined(bench: Bench) -> None:
    def refuse(data: object, sha256: str) -> tuple[Claim, ...]:
        raise IntegrityError("no archive at all")

    with pytest.raises(IntegrityError, match="no archive"):
        bench.fetch(bench.file("sha256"), examine=refuse)
    assert len(list(bench.store.iter_quarantine())) == 1


def test_events_add_up_to_the_file(bench: Bench) -> None:
    bench.origin.acts = [Act(cut=100_000)]
    bench.fetch(bench.file("sha256"))
    assert isinstance(bench.events[0], Started)
    assert sum(event.bytes for event in bench.events if isinstance(event, Advanced)) == len(DATA)
    assert isinstance(bench.events[-1], Done)


def test_an_address_is_never_recorded_with_its_secrets(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DATA)
    secret = "https://user:pass@source.example/weights.bin?token=secret"
    bench.openers.origins = {secret: bench.origin}
    bench.origin.acts = [Act(cut=10)]
    receipt = bench.fetch(bench.file("sha256"))
    assert "secret" not in repr(receipt.attempts) + receipt.url
    assert "pass" not in repr(receipt.attempts) + receipt.url


def test_the_key_of_a_partial_is_the_strongest_identity_known(bench: Bench) -> None:
    bench.other()
    by_digest, by_url = bench.file("sha256", "git-sha1"), bench.file()
    assert key_of(by_digest) == key_of(bench.file("sha256"))
    assert len({key_of(by_digest), key_of(by_url), key_of(bench.file("git-sha1"))}) == 3


@pytest.mark.parametrize("error", [RangeError("r"), SourceError("s"), ConnectionDroppedError("d")])
def test_a_source_that_only_fails_is_given_up_with_its_own_error(bench: Bench, error: MirrorError) -> None:
    assert isinstance(error, SourceError)
    bench.origin.acts = [Act(refuse=error) for _ in range(20)]
    with pytest.raises(type(error)):
        bench.fetch(bench.file("sha256"))
    assert len(bench.origin.asked) <= 6
    assert OTHER not in bench.openers.origins


def test_what_is_in_hand_and_not_noted_is_less_than_a_block_with_every_connection_there_may_be() -> None:
    assert NOTED_EVERY + BUFFER + (Policy().max_ranges - 1) * IN_HAND < BLOCK
