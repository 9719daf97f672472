"""One file, resumable for ever: source → partial → blob.

``transfer`` brings the bytes of one ``RemoteFile`` from whichever of its addresses
gives them, computes every digest while they pass, and lets nothing become visible
that has not been judged. Rules are pure functions (``retry``, ``widen``, ``ruling``,
``resume``); the rest is a thin loop around them.
"""

from __future__ import annotations

from mirror.transfer.events import Advanced, Done, Failed, Progress, Restarted, Started, Waiting, Watch
from mirror.transfer.limits import HostLimits, RateLimit
from mirror.transfer.one import key_of, transfer
from mirror.transfer.policy import Policy
from mirror.transfer.receipt import Account, Attempt, Receipt, account_of

__all__ = [
    "Account",
    "Advanced",
    "Attempt",
    "Done",
    "Failed",
    "HostLimits",
    "Policy",
    "Progress",
    "RateLimit",
    "Receipt",
    "Restarted",
    "Started",
    "Waiting",
    "Watch",
    "account_of",
    "key_of",
    "transfer",
]
