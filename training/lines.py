"""Progress as plain lines, at most one in a while: they read the same on a terminal and in a file."""

import time

from rich.console import Console

EVERY_SECONDS = 10.0


class Lines:
    """What goes on, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """In any case."""
        self._last = time.monotonic()
        self._console.print(f"{self._last - self._began:6.1f} s  {text}", highlight=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """If nothing was said for a while."""
        if time.monotonic() - self._last >= EVERY_SECONDS:
            self.say(text)
