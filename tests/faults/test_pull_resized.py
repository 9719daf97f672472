"""A held blob that has lost bytes, or won some, is none: it is put away and fetched again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.pulling import LANES, assert_sound, standing
from tests.held import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.pulling import Stand


@pytest.fixture(params=["hub-small", "hub-large", "google-large", "plain-small"])
def stand(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stand]:
    with standing(tmp_path / "mirror", LANES[request.param]) as stand:
        assert stand.pull(no_verify=True).problems == []
        yield stand


def resize(stand: Stand, size: int) -> Path:
    """Give the one blob another size."""
    (blob,) = stand.mirror.store.iter_blobs()
    blob.path.chmod(0o644)
    os.truncate(blob.path, size)
    return blob.path


@pytest.mark.parametrize("size", [0, 5, 3 << 20])
@pytest.mark.parametrize("update", [False, True])
def test_a_blob_of_another_size_is_put_away_and_fetched_again(stand: Stand, size: int, update: bool) -> None:
    blob = resize(stand, size)
    planned = stand.pull(no_verify=True, dry_run=True, update=update).plan
    assert planned is not None
    assert (planned.held_files, len(planned.fetch), planned.adopt) == (0, 1, ())
    assert blob.stat().st_size == size, "a dry run moves nothing"
    outcome = stand.pull(no_verify=True, update=update)
    assert (outcome.problems, outcome.stored) == ([], 1)
    (case,) = stand.mirror.store.iter_quarantine()
    assert case.size == size
    (event,) = stand.mirror.events(kind="verified")
    assert (event.detail["level"], event.detail["verdict"]) == ("stat", "resized")
    assert_sound(stand, [stand.lane.data])
    (state,) = stand.mirror.files()
    assert (state.state, state.damage) == ("held", None)
    done = stand.pull(no_verify=True).plan
    assert done is not None
    assert (done.held_files, done.empty) == (1, True)


def test_offline_it_is_missing(stand: Stand) -> None:
    resize(stand, 5)
    done = command(stand.mirror, "pull", "--all", "--offline", "--no-verify")
    assert done.exit_code == 5
    assert "is not held" in done.output
