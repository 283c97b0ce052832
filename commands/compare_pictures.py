"""Pictures of compare.py: the objects on which methods differ most, with answers and clicks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from configs import build, resolve
from configs.replay import answer_again, evaluated_method
from interseg.clicks.layout import Mask
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, Method, most_different
from interseg.evaluation.drawing import jpeg, overlay, scale_to

Answerer = Callable[[int, Any], Mask]
"""A function that plays an object again, by its number among the objects and its sample."""
HEIGHT = 220
"""Height of a picture in pixels."""


def answerers(found: list[Method], trusted: list[str]) -> tuple[dict[str, Answerer], list[str]]:
    """Make the functions that play each method's first run again.

    Args:
        found: Methods with their runs.
        trusted: Packages that configs may name.

    Returns:
        The functions by the method's name; and the methods without one and why, a line each.
    """
    made: dict[str, Answerer] = {}
    problems = []
    for method in found:
        run = method.runs[0]
        try:
            model = evaluated_method(run.folder, run.config, trusted)
        except InputError as error:
            problems.append(f"{method.name}: clicks without answers; {error}")
            continue
        loop = (resolve(run.config)["callbacks"] or {}).get("loop") or {}

        def answer(
            index: int,
            sample: Any,
            model: Any = model,
            run: Evaluation = run,
            threshold: float = loop.get("threshold", 0.5),
        ) -> Mask:
            return answer_again(
                model,
                sample.image,
                run.clicks[index],
                int(run.names[index].split()[0]),
                sample.previous,
                threshold,
            )

        made[method.name] = answer
    return made, problems


def pictures(
    found: list[Method], count: int, trusted: list[str], answers: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Draw the objects on which methods differ most, with their last answers and clicks.

    Args:
        found: Methods; each one's first run is drawn.
        count: Number of objects.
        trusted: Packages that configs may name.
        answers: Whether to play the objects again to draw the answers.

    Returns:
        The objects with a panel per method; and the problems, a line each.
    """
    chosen = most_different(found, count)
    try:
        source = build(resolve(found[0].runs[0].config)["data"], trusted).objects("test")
        names = [found[0].names[index] for index in chosen]
        numbers = [int(name.split()[0]) for name in names]
        if [f"{id} {source.name(id)}" for id in numbers if id < len(source)] != names:
            return [], ["The objects cannot be shown: the data set has others than were evaluated."]
        samples = [source.read(number) for number in numbers]
    except InputError as error:
        return [], [f"The objects cannot be shown: {error}"]
    playing, problems = answerers(found, trusted) if answers and samples else ({}, [])
    shown = []
    for index, sample in zip(chosen, samples, strict=True):
        panels = []
        for method in found:
            clicks, curve = method.runs[0].clicks[index], method.runs[0].curves[index]
            play = playing.get(method.name)
            mask = play(index, sample) if play else np.zeros(sample.mask.shape, bool)
            scale = scale_to(HEIGHT, *sample.mask.shape)
            drawn = overlay(sample.image, mask, clicks, sample.mask, scale)
            panels.append(
                {
                    "method": method.name,
                    "jpeg": jpeg(drawn),
                    "curve": curve,
                    "clicks": len(clicks),
                }
            )
        shown.append({"name": found[0].names[index], "panels": panels})
    return shown, problems
