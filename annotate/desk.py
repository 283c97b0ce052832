"""Thread in which the network works: one job at a time, photos ahead when nobody waits.

One thread alone runs the network, so that answers are those of a session that nobody disturbs, in
the order of their clicks.
"""

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from interseg.errors import InputError

NOW, AHEAD = 0, 1
"""Urgencies. NOW: a request waits; first come, first served, so that many clicks keep nobody from
opening a photo. AHEAD: preloading."""
T = TypeVar("T")


class Desk:
    """A thread that does jobs by urgency, and in order among those that are equally urgent."""

    def __init__(self) -> None:
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], Any] | None, Future[Any]]] = (
            queue.PriorityQueue()
        )
        self._numbers = itertools.count()
        self._lock, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    def submit(self, urgency: int, job: Callable[[], T]) -> "Future[T]":
        """Put a job on the desk; one that has been closed refuses it by `InputError`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(InputError("the annotator is being closed; start it again"))
            else:
                self._jobs.put((urgency, next(self._numbers), job, future))
        return future

    def do(self, urgency: int, job: Callable[[], T]) -> T:
        """Have a job done and give what it gives; what it raises is raised here."""
        return self.submit(urgency, job).result()

    def close(self) -> None:
        """Finish the queued jobs and stop the thread."""
        with self._lock:
            self._closed = True
            self._jobs.put((AHEAD + 1, next(self._numbers), None, Future()))
        self._thread.join()

    def _work(self) -> None:
        while True:
            _, _, job, future = self._jobs.get()
            if job is None:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # whoever asked is told; the desk goes on
                future.set_exception(error)
