"""SIGKILL at random moments of lessons: nothing acknowledged is lost, the weights are the same."""

import contextlib
import http.client
import json
import multiprocessing
import os
import random
import signal
import threading
import time

from annotate.server import make_server, open_socket, running
from annotate.teaching.server import make_app
from tests.helpers.teaching import Pupil, lessons_of, state_of
from tests.helpers.training import assert_equal

SAID = [
    ("label", 5, 6, 0),
    ("label", 20, 30, 1),
    ("teach",),
    ("label", 30, 50, 1),
    ("teach",),
    ("label", 12, 20, 0),
    ("next",),
]


def say(person, said):
    """Say one thing more."""
    do, *more = said
    if do == "label":
        y, x, label = more
        person.act(do, kind="superpixel", y=y, x=x, label=label)
    else:
        person.learn(do)


def serve(run, photos, out, place):
    """A server that only a signal ends."""
    lessons = lessons_of(run, photos, out)
    lessons.start()
    make_server(make_app(lessons)).run(sockets=[place])


def kept(out):
    """Read from the journal what was said."""
    path = out / "journal" / "0.png.jsonl"
    events = (
        [
            json.loads(line)
            for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        if path.exists()
        else []
    )
    return [event["do"] for event in events if event["do"] in ("label", "teach", "next")]


def live(run, photos, out, count, seconds):
    """Go on with what is to be said to a server that is killed in the middle of it.

    It is killed seconds after it has acknowledged so many things, or all that is left.
    """
    place = open_socket("127.0.0.1", 0)
    place.listen()
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(run, photos, out, place)
    )
    process.start()
    begun, acknowledged, heard = len(kept(out)), [], threading.Event()

    def person():
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):  # it is dead
            one = Pupil(f"http://127.0.0.1:{place.getsockname()[1]}")
            for said in SAID[begun:]:
                say(one, said)
                acknowledged.append(said)
                if len(acknowledged) >= count:
                    heard.set()
        heard.set()

    speaks = threading.Thread(target=person)
    speaks.start()
    assert heard.wait(60)
    speaks.join(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    place.close()
    speaks.join()
    assert len(acknowledged) <= len(kept(out)) - begun <= len(acknowledged) + 1


def test_a_killed_server_loses_nothing_that_it_acknowledged(photos, pretrained, tmp_path):
    run, out, draw = pretrained("clis"), tmp_path / "killed", random.Random(2)
    whole = lessons_of(run, photos, tmp_path / "whole")
    with running(make_app(whole)) as address:
        whole.start()
        for said in SAID:
            say(Pupil(address), said)
        whole.close()
    lives = 0
    while len(kept(out)) < len(SAID):
        lives += 1
        live(run, photos, out, draw.randint(1, 3), draw.uniform(0, 0.02))
    assert lives > 1
    assert kept(out) == [do for do, *_ in SAID]
    again = lessons_of(run, photos, out)
    with running(make_app(again)):
        again.start()
        until = time.monotonic() + 60
        while again.order[1].rounds.met is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        again.close()
    assert_equal(state_of(tmp_path / "whole"), state_of(out))
