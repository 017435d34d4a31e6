"""A clock that only tests move."""

import threading


class Clock(threading.local):
    """Clock that stands still but for the work of a test; each thread has its own."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
