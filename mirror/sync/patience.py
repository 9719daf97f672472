"""How patient, how polite and how fast a pull is: what was asked for, as a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.transfer import HostLimits, Policy, RateLimit

if TYPE_CHECKING:
    from mirror.sync.outcome import Request


def policy_of(request: Request) -> Policy:
    """Return the policy of one pull; its limits are shared by everything that uses it."""
    return Policy(
        stall=request.stall,
        attempts=request.retries + 1,
        backoff=request.retry_pause,
        rate=RateLimit(request.limit_rate) if request.limit_rate else None,
        hosts=HostLimits(request.jobs),
    )
