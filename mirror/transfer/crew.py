"""As many further connections for one file as pay: the rule of ``widen`` put to work."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from mirror.transfer.segments import Helpers
from mirror.transfer.widen import Widening

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.errors import StoreError
    from mirror.sources.reply import Reply
    from mirror.transfer.board import Run
    from mirror.transfer.course import Course
    from mirror.transfer.held import Held
    from mirror.wire import Validator

#: Seconds between two looks at the rate.
_LOOK_AFTER = 0.01


class Crew:
    """The connections beside the first; used by its thread alone.

    Args:
        course: The transfer.
        held: What is here of its file.
        check: Called with every reply and its run; raises when it is not of the same file.

    Attributes:
        look_at: When it is time for the next look, by the clock.
    """

    def __init__(self, course: Course, held: Held, check: Callable[[Reply, Run], None]) -> None:
        self._course = course
        self._held = held
        self._check = check
        self._widening = Widening(course.policy.max_ranges)
        self._helpers: Helpers | None = None
        self._width = 1
        self._alone = course.policy.max_ranges < 2
        self.look_at = inf if self._alone else 0.0

    @property
    def error(self) -> StoreError | None:
        """What the store said to one of them, where it failed."""
        return self._helpers.error if self._helpers is not None else None

    def look(self, run: Run, validator: Validator | None) -> None:
        """Have as many connections as pay now.

        Args:
            run: What the first connection fetches.
            validator: Of the version whose bytes we hold, if this source gave one.
        """
        board, now = self._held.board, self._course.policy.clock()
        if self._alone or board.size is None:
            return
        self.look_at = now + _LOOK_AFTER
        helpers, rule = self._helpers, self._widening
        if helpers is not None:
            rule.latency = helpers.latency
            if helpers.refused:
                helpers.refused = False
                rule.refuse(now, 1 + helpers.flowing)
        flowing = 1 + (helpers.flowing if helpers is not None else 0)
        mine = 1 + (helpers.busy if helpers is not None else 0)
        if self._course.policy.hosts.open(self._course.host) > mine:
            return  # other files fill the link already
        width = rule.look(now, board.arrived, missing=board.size - board.held, flowing=flowing)
        if helpers is None and width > 1 and board.split(run, self._course.policy.max_ranges) > 1:
            helpers = self._helpers = Helpers(
                self._course, board, self._held.partial, validator=validator, check=self._check
            )
        if helpers is not None and width != self._width:
            self._width = width
            helpers.resize(width - 1)

    def dismiss(self, *, for_good: bool = False) -> None:
        """End all of them; ``for_good`` keeps the first alone from now on."""
        if for_good:
            self._alone, self.look_at = True, inf
        if self._helpers is not None:
            self._helpers.close()
            self._helpers = None
