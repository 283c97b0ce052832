"""Whose turn it is: of a photo that is open in two tabs, one changes it and the other looks on."""

import threading
import time

PATIENCE = 30.0
"""Seconds after which a silent tab is taken as closed; an open one speaks every ten."""


class Tabs:
    """Holds of tabs on photos.

    A hold is taken, kept by speaking, and ends by letting go, by silence or by being taken over.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._holders: dict[str, tuple[str, float]] = {}

    def hold(self, photo: str, tab: str, take_over: bool = False) -> bool:
        """Take or keep a photo; False where another tab has it."""
        with self._lock:
            holder, heard = self._holders.get(photo, (tab, 0.0))
            if holder != tab and time.monotonic() - heard < self.patience and not take_over:
                return False
            self._holders[photo] = (tab, time.monotonic())
            return True

    def held(self, photo: str) -> bool:
        """Tell whether a tab that is there has a photo."""
        with self._lock:
            return (
                photo in self._holders
                and time.monotonic() - self._holders[photo][1] < self.patience
            )

    def let_go(self, photo: str, tab: str) -> None:
        """Leave a photo to others."""
        with self._lock:
            if self._holders.get(photo, ("", 0.0))[0] == tab:
                del self._holders[photo]
