"""The annotator: time of a click at the server, SIGKILL at random moments, eight people at once.

    python -m benchmarks.annotate [--checkpoint RUN] [--height 1080] [--width 1920] [--clicks 20]
    [--kills 50] [--people 8]

The time is what the server needs for a request, from its body to its answer; its parts are the
network's answer, what is done with its mask, and the disk; `http` is what whoever asks waits beyond
it. A killed server is one of its own process; after each kill everything that it acknowledged must
be in the journal, with the masks that a session gives.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import interseg
from annotate.folders import key_of
from annotate.photos import Project
from annotate.server import make_app, open_socket, serve, serving
from annotate.state import runs_of
from configs.console import run_guarded
from interseg.inference.model import Model

PATIENCE = 20.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--checkpoint", default="interseg-s")
    arguments.add_argument("--height", type=int, default=1080)
    arguments.add_argument("--width", type=int, default=1920)
    arguments.add_argument("--clicks", type=int, default=20)
    arguments.add_argument("--kills", type=int, default=0)
    arguments.add_argument("--people", type=int, default=0)
    arguments.add_argument("--threads", type=int, default=2, help="of torch")
    arguments.add_argument("--device", default="auto")
    options = arguments.parse_args()
    model = interseg.load(options.checkpoint, device=options.device)
    if not isinstance(model, Model):
        raise SystemExit("an export is not annotated with; give its run")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = draw_photos(
            Path(place) / "photos", max(1, options.people), (options.height, options.width)
        )
        draw = random.Random(0)
        # before any other thread has run the network: a forked process has none of them
        for number in range(options.kills):
            moment = draw.uniform(0.1, 5.0)
            kept = kill_once(model, folder, Path(place) / f"killed{number}", moment, number)
            print(
                f"killed after {moment:.2f} s: {kept} acknowledged clicks are there, "
                "with a session's masks",
                flush=True,
            )
        times = click_times(
            model, folder, Path(place) / "out", options.clicks, (options.height, options.width)
        )
        totals = [parts["total"] for parts in times]
        busy = f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
        shown = f"{options.clicks} clicks at {options.height} x {options.width}, {busy}"
        print(
            f"{shown}: median {statistics.median(totals):.0f} ms at the server, "
            f"from {min(totals):.0f} to {max(totals):.0f}"
        )
        for name in times[0]:
            print(f"  {name:8}{statistics.median(parts[name] for parts in times):8.1f} ms")
        if options.people:
            people(model, folder, Path(place) / "people", options.people, options.clicks)


def draw_photos(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Write photos of soft noise with a bright disk."""
    folder.mkdir(parents=True)
    y, x = np.indices(size)
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 120, (size[0] // 16 + 1, size[1] // 16 + 1, 3)).astype(np.uint8)
        pixels = np.array(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
        pixels[(y - size[0] / 2) ** 2 + (x - size[1] / 2) ** 2 < (min(size) / 4) ** 2] += 100
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    return folder


def ask(address: str, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """Post a request; return the answer and its milliseconds.

    They are the server's `Server-Timing`, and `http`, the wait beyond it.
    """
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    started = time.perf_counter()
    with opener.open(request, timeout=PATIENCE) as answer:
        content = json.loads(answer.read())
        parts = [part.strip().split(";dur=") for part in answer.headers["server-timing"].split(",")]
    times = {name: float(value) for name, value in parts}
    return content, times | {"http": 1000 * (time.perf_counter() - started) - times["total"]}


def answer_parts(address: str, path: str, body: dict[str, Any]) -> dict[str, float]:
    """Post a request, and return the server's times in ms by part."""
    times = ask(address, path, body)[1]
    del times["http"]
    return times


def give_clicks(
    address: str, key: str, count: int, size: tuple[int, int], seed: int, kept: list[dict[str, Any]]
) -> list[dict[str, float]]:
    """Click at random places, one click after the other; return each one's times.

    `kept` takes what was acknowledged.
    """
    rng = np.random.default_rng(seed)
    answer, _ = ask(address, f"/api/photos/{key}", {"tab": f"tab{seed}"})
    times: list[dict[str, float]] = []
    number: int | None = None
    for click in range(count):
        y, x = (int(rng.integers(limit)) for limit in size)
        body = {
            "do": "click",
            "tab": f"tab{seed}",
            "version": answer["version"],
            "object": number,
            "y": y,
            "x": x,
        }
        answer, parts = ask(
            address,
            f"/api/photos/{key}/act",
            body | {"label": int(click == 0 or rng.random() < 0.5)},
        )
        number = answer["things"][0]["number"]
        kept.append(answer["things"][0])
        times.append(parts)
    return times


def click_times(
    model: Model, images: Path, out: Path, count: int, size: tuple[int, int]
) -> list[dict[str, float]]:
    """Measure the times of clicks, after one that is not measured."""
    project = Project(model, "benchmark", images, out)
    with serving(project) as address:
        give_clicks(address, key_of("0.png"), 1, size, 0, [])
        computed = time.process_time()
        times = give_clicks(address, key_of("0.png"), count, size, 0, [])
        print(
            f"  processor time {1000 * (time.process_time() - computed) / count:.0f} ms a click, "
            "of all threads, whoever asks included"
        )
    project.close()
    return times


def people(model: Model, images: Path, out: Path, count: int, clicks: int) -> None:
    """Have people click at once, each on their own photo; every click must be there, in order."""
    project = Project(model, "benchmark", images, out)
    size = np.array(Image.open(images / "0.png")).shape[:2]
    kept: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    with serving(project) as address:
        jobs = [(address, key_of(f"{k}.png"), clicks, size, k, kept[k]) for k in range(count)]
        threads = [threading.Thread(target=give_clicks, args=job) for job in jobs]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - started
    for k, answers in enumerate(kept):
        things = project.photo(key_of(f"{k}.png")).state.present
        told = [list(click[:3]) for click in things[0].clicks]
        if len(answers) != clicks or told != [click[:3] for click in answers[-1]["clicks"]]:
            raise RuntimeError(
                f"person {k} gave {clicks} clicks, {len(answers)} were acknowledged, "
                f"{told} are there"
            )
    project.close()
    print(f"{count} people, {clicks} clicks each: all there, in order, in {seconds:.1f} s")


def serve_until_killed(model: Model, images: Path, out: Path, place: Any) -> None:
    """Serve, in a process of its own."""
    serve(make_app(Project(model, "killed", images, out)), place)


def kill_once(model: Model, images: Path, out: Path, moment: float, seed: int) -> int:
    """Kill a server while somebody clicks.

    Returns:
        The number of clicks that were acknowledged.

    Raises:
        RuntimeError: One of them is missing, or has another mask than a session gives.
    """
    size = np.array(Image.open(images / "0.png")).shape[:2]
    place = open_socket("127.0.0.1", 0)
    place.listen()
    process = multiprocessing.get_context("fork").Process(
        target=serve_until_killed, args=(model, images, out, place)
    )
    process.start()
    kept: list[dict[str, Any]] = []

    def click() -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):  # it is dead
            give_clicks(
                f"http://127.0.0.1:{place.getsockname()[1]}",
                key_of("0.png"),
                1000,
                size,
                seed,
                kept,
            )

    person = threading.Thread(target=click)
    person.start()
    waited = time.monotonic()
    while not kept and time.monotonic() - waited < PATIENCE:
        time.sleep(0.005)
    time.sleep(moment)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    place.close()
    person.join()
    project = Project(model, "killed", images, out)
    try:
        check(project, kept)
    finally:
        project.close()
    return len(kept)


def check(project: Project, kept: list[dict[str, Any]]) -> None:
    """Compare acknowledged clicks with those kept; one may be kept whose answer was on its way."""
    photo = project.photo(key_of("0.png"))
    actions = photo.state.things[1].actions
    if not len(kept) <= len(actions) <= len(kept) + 1:
        raise RuntimeError(f"{len(kept)} clicks were acknowledged, {len(actions)} are there")
    for answer, action in zip(kept, actions, strict=False):
        if answer["runs"] != action.runs:
            raise RuntimeError("a mask is not the acknowledged one")
    session = project.model.session(photo.path)
    for action in actions:
        if action.click is None or runs_of(session.click(*action.click[:3])) != action.runs:
            raise RuntimeError("a mask is not the session's")


if __name__ == "__main__":
    run_guarded(main)
