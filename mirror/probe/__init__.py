"""Whether shares live, and what is in them, by asking an undocumented page: opt-in, unofficial, polite.

One request a second and never two at once; a settled answer holds for a day, and the ledger
remembers it; at the first captcha everybody else is left alone. Nothing is downloaded.

``outcome`` the values · ``memory`` events and back · ``run`` who is asked, and in which order.
"""

from __future__ import annotations

from mirror.probe.memory import Memory
from mirror.probe.outcome import Clock, Outcome, Probed

__all__ = ["Clock", "Memory", "Outcome", "Probed"]
