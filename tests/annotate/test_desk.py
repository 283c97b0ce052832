"""The desk: in order among those who wait, what nobody waits for last, errors to whoever asked."""

import threading

import pytest

from annotate.desk import AHEAD, NOW, Desk
from interseg.errors import InputError


def test_jobs_are_done_one_by_one_in_order_and_those_ahead_when_nobody_waits():
    desk, done, begin = Desk(), [], threading.Event()
    first = desk.submit(NOW, begin.wait)
    jobs = [
        desk.submit(urgency, lambda k=k: done.append(k))
        for k, urgency in enumerate([AHEAD, NOW, NOW, AHEAD, NOW])
    ]
    begin.set()
    assert first.result()
    for job in jobs:
        job.result()
    assert done == [1, 2, 4, 0, 3]
    desk.close()


def test_an_error_is_raised_where_it_was_asked_for_and_the_desk_goes_on():
    desk = Desk()
    with pytest.raises(ZeroDivisionError):
        desk.do(NOW, lambda: 1 // 0)
    assert desk.do(NOW, lambda: 3) == 3
    desk.close()


def test_a_closed_desk_refuses_jobs_and_keeps_nobody_waiting():
    desk = Desk()
    desk.close()
    with pytest.raises(InputError, match="is being closed"):
        desk.submit(NOW, lambda: 3).result(timeout=5)
