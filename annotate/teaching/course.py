"""A course: what is taught, each item's journal, and the thread that learns.

One thread runs the fit (`configs.teaching`, `configs.teaching_volumes`). It asks what the person
says of an item, and waits; while it waits it answers what others ask of the method. What the person
says is on the disk before it is acknowledged, and the fit reads it from
there: a server that is started again goes on with the round in which it was killed.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from annotate.folders import key_of, lock_folder
from annotate.journal import Event, Journal
from annotate.photos import StaleError
from annotate.teaching.rounds import Rounds
from interseg.errors import InputError

CLOSED = "the lessons are being closed; start them again"
T = TypeVar("T")
R = TypeVar("R", bound=Rounds)


class ClosedError(Exception):
    """The lessons end: the annotator is closed."""


class CancelledError(Exception):
    """The person does not want the round that is being learned."""


@dataclass
class Item(Generic[R]):
    """A photo or a volume that is taught, or will be."""

    key: str
    """Name in requests."""
    task: int
    path: Path
    journal: Journal
    rounds: R


class Course(Generic[R]):
    """The person's side of a fit, whatever is taught; a subclass says what a person may say.

    Args:
        learn: Function that runs the fit, with this as the teacher, until it raises.
        folder: Folder of the lessons' run.
        files: Files that are taught, in order.
        replay: Function that makes the state of an item of its events.
        apply: Function that lets an event happen to it.
    """

    def __init__(
        self,
        learn: Callable[[Any], None],
        folder: Path,
        files: Iterable[Path],
        replay: Callable[[Iterable[Event]], R],
        apply: Callable[[R, Event], None],
    ) -> None:
        self.learn, self.out, self.apply = learn, folder, apply
        self._alone = lock_folder(folder)
        self.items: dict[str, Item[R]] = {}
        for task, path in enumerate(files):
            journal = Journal(folder / "journal" / f"{path.name}.jsonl")
            self.items[key_of(path.name)] = Item(
                key_of(path.name), task, path, journal, replay(journal.events)
            )
        self.order = list(self.items.values())
        self.bell = threading.Condition()
        self.meeting: Any = None
        """Answer that is shown of the item that is taught now; it has a `task` and a `round`."""
        self.student: Any = None
        self.resting, self.closing, self.cancelled, self.problem = False, False, False, ""
        self.progress, self.started = (0, 0), 0.0
        self._jobs: deque[tuple[Callable[[Any], Any], Future[Any]]] = deque()
        self._thread = threading.Thread(target=self._learn, name="lessons", daemon=True)

    def start(self) -> None:
        """Begin, and wait until the method has met an item; raise `InputError` if it fails."""
        self._thread.start()
        with self.bell:
            self.bell.wait_for(lambda: self.meeting is not None or self.resting or self.problem)
        if self.problem:
            raise InputError(self.problem)

    def close(self) -> None:
        """End the lessons; a round that is being learned is learned when they go on."""
        with self.bell:
            self.closing = True
            self.bell.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._alone)

    # --- the thread that learns

    def _learn(self) -> None:
        while True:
            try:
                self.learn(self)
                with self.bell:
                    if not self.closing:  # `start` and the page wait for something
                        self.problem = "the training has ended by itself; start the lessons again"
                return
            except CancelledError:
                continue
            except ClosedError:
                return
            except BaseException as error:  # whoever waits is told
                line = " ".join(str(error).split()) or type(error).__name__
                line = line if isinstance(error, InputError) else f"{type(error).__name__}: {line}"
                with self.bell:
                    if self._give_up_round(line[:400]):
                        continue
                    self.problem = line[:400]
                return
            finally:
                with self.bell:
                    if self.problem or self.closing:
                        self._refuse_jobs()

    def _refuse_jobs(self) -> None:
        """Tell whoever waits for the method that it answers no more."""
        while self._jobs:
            self._jobs.popleft()[1].set_exception(InputError(self.problem or CLOSED))
        self.bell.notify_all()

    def _give_up_round(self, line: str) -> bool:
        """Cancel a decided round that cannot be learned, so that the person can say something else.

        Returns False where there is none, or where that cannot be kept.
        """
        item = self.current
        if item is None or not item.rounds.learning:
            return False
        try:
            self.happen(item, {"do": "cancel", "round": item.rounds.round, "problem": line})
        except (OSError, InputError):  # e.g. a full disk: nothing can be kept any more
            return False
        self.meeting = None
        return True

    def meet_with(self, meeting: Any, event: Event) -> Item[R]:
        """Show an item, and wait for the journal's decision on its round.

        Args:
            meeting: Meeting that is shown.
            event: Event that is kept of the first meeting.
        """
        item = self.order[meeting.task]
        with self.bell:
            if item.rounds.met is None:
                if not item.journal.events:
                    self.happen(item, {"do": "begin", "name": item.path.name, "format": 1})
                self.happen(item, event)
            self.meeting, self.cancelled = meeting, False
            self.bell.notify_all()
        self._wait(lambda: meeting.round in item.rounds.decided)
        self.progress, self.started = (0, 0), time.perf_counter()
        return item

    def update(self, done: int, of: int) -> None:
        """Hear of an update of the weights."""
        with self.bell:
            self.progress = (done, of)
            self._check()

    def over(self, task: int, round: int, event: Event) -> None:
        """Hear of a round's end: from here on it cannot be cancelled."""
        item = self.order[task]
        with self.bell:
            self._check()
            if (
                round == item.rounds.round
            ):  # else a server was killed before the state of the round was kept
                passed = time.perf_counter() - self.started
                self.happen(
                    item,
                    event | {"do": "taught", "round": round, "seconds": float(f"{passed:.3g}")},
                )
            self.meeting = None
            self.bell.notify_all()

    def rest(self) -> None:
        """Wait: there is nothing more to teach."""
        with self.bell:
            self.meeting, self.resting = None, True
            self.bell.notify_all()
        self._wait(lambda: False)

    def _check(self) -> None:
        if self.closing:
            raise ClosedError
        if self.cancelled:
            raise CancelledError

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Wait for the person; answer what is asked of the method meanwhile."""
        while True:
            with self.bell:
                self.bell.wait_for(lambda: self.closing or self._jobs or ready())
                self._check()
                if ready():
                    return
                job, future = self._jobs.popleft()
            try:
                future.set_result(job(self.student))
            except BaseException as error:  # whoever asked is told; the lessons go on
                future.set_exception(error)

    def ask(self, job: Callable[[Any], T]) -> T:
        """Have something done with the method, after the round that is being learned."""
        future: Future[T] = Future()
        with self.bell:
            if self.problem or self.closing:
                raise InputError(self.problem or CLOSED)
            self._jobs.append((job, future))
            self.bell.notify_all()
        return future.result()

    def happen(self, item: Item[R], event: Event) -> None:
        """Keep an event, then let it happen."""
        item.journal.append(event)
        self.apply(item.rounds, event)

    # --- what the person asks

    @property
    def current(self) -> Item[R] | None:
        """The item that is being taught."""
        return None if self.meeting is None else self.order[self.meeting.task]

    def item(self, key: str) -> Item[R]:
        """Give an item; raises `InputError` for one that is not there."""
        if key not in self.items:
            raise InputError("there is no such photo or volume; reload the page")
        return self.items[key]

    def taught_now(self, key: str) -> Item[R]:
        """Give the item that is being taught; raises `InputError` for another one."""
        item = self.item(key)
        if item is not self.current:
            state = "done" if item.rounds.finished else "not met yet"
            raise InputError(f"{item.path.name} is {state}; the lessons are elsewhere")
        if self._relearns(item):
            raise InputError("a round is learned again, during which the server was killed; wait")
        return item

    def _relearns(self, item: Item[R]) -> bool:
        """Tell whether a round is learned whose end is in the journal, but in no checkpoint."""
        return bool(self.meeting.round < item.rounds.round)

    def keep(self, item: Item[R], version: int, make: Callable[[], Event]) -> None:
        """Keep what a person says; when this returns it is on the disk.

        Args:
            item: Item that is being taught.
            version: Number of events that the page knows of.
            make: Function that makes the event, or raises `InputError` before anything is kept.

        Raises:
            StaleError: something happened that the page does not know of.
        """
        with self.bell:
            if version != len(item.journal.events):
                raise StaleError("it was changed elsewhere; the page reads it again")
            event = make()
            self.happen(item, event)
            self.cancelled = self.cancelled or event["do"] == "cancel"
            self.bell.notify_all()

    def status(self) -> dict[str, Any]:
        """Return what goes on, for the page."""
        with self.bell:
            item, (done, of) = self.current, self.progress
            place = (
                {"key": item.key, "version": len(item.journal.events)}
                if item
                else {"key": None, "version": 0}
            )
            return place | {
                "state": self._state(item),
                "done": done,
                "of": of,
                "problem": self.problem,
            }

    def _state(self, item: Item[R] | None) -> str:
        if self.problem:
            return "failed"
        if item is not None:
            return "learning" if item.rounds.learning or self._relearns(item) else "waiting"
        return "resting" if self.resting else "preparing"
