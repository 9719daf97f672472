"""Who fetches which part of a file: parts never overlap, and none is forgotten."""

from __future__ import annotations

from mirror.transfer.board import LEAST, Board, Run

MIB = 1 << 20


class Cuts:
    """A partial's way to cut a span, which remembers the cuts."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []
        self.spans = 1

    def __call__(self, index: int, at: int) -> int:
        self.made.append((index, at))
        self.spans += 1
        return self.spans - 1


def fresh(size: int | None = 40 * MIB) -> Board:
    return Board([(0, size, 0)], size=size, cut=Cuts())


def taken(board: Board) -> Run:
    run = board.take()
    assert run is not None
    return run


def test_a_fresh_file_is_one_part_and_nobody_else_gets_it() -> None:
    board = fresh()
    run = taken(board)
    assert (run.next, run.stop) == (0, 40 * MIB)
    assert board.take() is None


def test_bytes_are_counted_as_they_come() -> None:
    board = fresh(10)
    run = taken(board)
    board.advance(run, 4)
    assert (board.held, board.contiguous, board.whole) == (4, 4, False)
    board.advance(run, 6)
    assert (board.held, board.arrived, board.whole) == (10, 10, True)


def test_what_is_given_back_is_taken_by_the_next_where_it_was_left() -> None:
    board = fresh()
    run = taken(board)
    board.advance(run, 7 * MIB)
    board.leave(run)
    assert taken(board).next == 7 * MIB


def test_a_split_part_covers_the_same_bytes() -> None:
    board = fresh()
    first = taken(board)
    board.advance(first, 3 * MIB)
    assert board.split(first, 8) == 8
    runs = [first]
    while (run := board.take()) is not None:
        runs.append(run)
    assert [run.next for run in runs[1:]] == [run.stop for run in runs[:-1]]
    assert (runs[0].next, runs[-1].stop, len(runs)) == (3 * MIB, 40 * MIB, 8)


def test_a_short_rest_is_not_split() -> None:
    board = fresh(2 * LEAST - 1)
    assert board.split(taken(board), 8) == 1


def test_further_connections_begin_at_the_end_so_that_the_first_goes_on_for_long() -> None:
    board = fresh()
    first = taken(board)
    board.split(first, 4)
    last = board.take(last=True)
    assert last is not None
    assert (last.next, last.stop) == (30 * MIB, 40 * MIB)
    assert board.reach(first) == 30 * MIB
    board.advance(first, 10 * MIB)
    behind = board.follow(first, None)
    assert behind is not None
    assert (behind.next, behind.stop) == (10 * MIB, 20 * MIB)


def test_the_first_does_not_follow_into_a_part_that_somebody_has_begun() -> None:
    board = fresh()
    first = taken(board)
    board.split(first, 2)
    other = board.take(last=True)
    assert other is not None
    board.advance(other, MIB)
    board.leave(other)
    board.advance(first, 20 * MIB)
    assert board.follow(first, None) is None
    board.leave(first)
    assert taken(board).next == 21 * MIB


def test_a_connection_that_was_asked_for_less_does_not_follow_beyond() -> None:
    board = fresh()
    first = taken(board)
    board.split(first, 2)
    board.advance(first, 20 * MIB)
    assert board.follow(first, 20 * MIB) is None


def test_who_has_nothing_left_takes_half_of_what_another_fetches() -> None:
    board = fresh()
    slow = taken(board)
    helper = board.take(last=True)
    assert helper is not None
    assert (slow.stop, helper.next, helper.stop) == (20 * MIB, 20 * MIB, 40 * MIB)
    assert board.held == 0


def test_too_little_is_not_taken_away() -> None:
    board = fresh(2 * LEAST - 1)
    taken(board)
    assert board.take(last=True) is None


def test_the_prefix_ends_at_the_first_gap() -> None:
    board = Board([(0, 10, 10), (20, 30, 5), (10, 20, 3)], size=30, cut=Cuts())
    assert (board.contiguous, board.held) == (13, 18)
    assert taken(board).next == 13


def test_a_size_that_is_learnt_late_ends_the_file() -> None:
    board = fresh(None)
    run = taken(board)
    board.advance(run, 5)
    assert (board.size, run.missing) == (None, None)
    board.settle(5)
    assert (board.size, run.missing, board.whole) == (5, 0, True)


def test_one_request_reaches_through_parts_that_are_nobodys() -> None:
    board = Board([(0, 10, 4), (10, 20, 0), (20, 30, 1), (30, 40, 0)], size=40, cut=Cuts())
    first = taken(board)
    assert board.reach(first) == 20
    board.leave(first)
    third = board.take(last=True)
    assert third is not None
    assert third.next == 30
    assert board.reach(third) is None
