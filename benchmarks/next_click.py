"""Time of `RitmUser.next_click` at 1080p against the rule word by word.

The rule takes two exact distance transforms of the whole image. The states are those of an
evaluation: a trained network plays its clicks on each object at the data's own size, then truth,
prediction and clicks are stretched to 1080 x 1920 and the next click is timed. Synthetic worst
cases come after. Every state is also checked: both must give the same click.

    python -m benchmarks.next_click --checkpoint RUN [--config data/NAME.yaml] [key=value ...]
"""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import median_times
from benchmarks.played import build_method, spread_indices
from callbacks.user_loop import UserLoop
from configs import build
from configs.console import run_guarded
from configs.options import parser
from datamodules.click_batches import ClickDataset, collate
from interseg.batches import ClickBatch
from interseg.clicks.layout import Click, Clicks, no_clicks, unpad_clicks
from interseg.clicks.users import RitmUser
from interseg.views import scale_clicks

HEIGHT, WIDTH = 1080, 1920
SHOWN = (1, 2, 3, 5, 10, 15, 20)


class State(NamedTuple):
    """A user's view before a click."""

    prediction: NDArray[np.bool_]
    mask: NDArray[np.uint8]
    clicks: Clicks


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--checkpoint", required=True, metavar="RUN", help="a run's folder, or a checkpoint in one"
    )
    arguments.add_argument(
        "--objects", type=int, default=12, help="played, evenly spread over the test split"
    )
    arguments.add_argument("--repeats", type=int, default=5, help="of each timing")
    arguments.add_argument("--threads", type=int, default=2, help="of OpenCV, for both rules")
    options = arguments.parse_intermixed_args()
    cv2.setNumThreads(options.threads)
    ratios: dict[int, list[float]] = {}
    # all states first: the network's threads keep the cores busy for a while after a call
    for state in list(played_states(options)):
        ratio, _, _ = compare(state, options.repeats)
        ratios.setdefault(len(state.clicks), []).append(ratio)
    print(
        f"full transforms / next_click at {HEIGHT} x {WIDTH}, {options.threads} OpenCV threads, "
        f"{options.objects} objects"
    )
    print("after clicks  states  median ratio")
    for count in SHOWN:
        print(
            f"{count:12}  {len(ratios.get(count, [])):6}  "
            f"{statistics.median(ratios.get(count, [float('nan')])):12.1f}"
        )
    every = [ratio for column in ratios.values() for ratio in column]
    print(
        f"all           {len(every):6}  {statistics.median(every):12.1f}    minimum "
        f"{min(every):.1f}"
    )
    for name, state in worst_cases().items():
        ratio, naive, ours = compare(state, options.repeats)
        print(f"{name:44} {ratio:5.1f}    {1000 * naive:6.1f} ms / {1000 * ours:6.1f} ms")
    print("every click was the same under both")


def compare(state: State, repeats: int) -> tuple[float, float, float]:
    """Compute the ratio and the median seconds of both rules.

    Raises:
        RuntimeError: Their clicks differ.
    """
    next_click = partial(RitmUser().next_click, *state, np.random.default_rng(0))
    if (expected := naive_click(state)) != (got := next_click()):
        raise RuntimeError(
            f"the clicks differ: {expected} by two full transforms, {got} by RitmUser, "
            f"after {state.clicks.tolist()}"
        )
    naive, ours = median_times(repeats, lambda: naive_click(state), next_click)
    return naive / ours, naive, ours


def naive_click(state: State) -> Click | None:
    """Compute the next click by RITM's rule (Sofiiuk et al. 2021, `Clicker._get_next_click`).

    Of equal maxima the first in row-major order is taken.
    """
    found = []
    for error in ((state.mask == 1) & ~state.prediction, (state.mask == 0) & state.prediction):
        padded = cv2.copyMakeBorder(error.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        depth[state.clicks[:, 0], state.clicks[:, 1]] = 0
        y, x = divmod(int(np.argmax(depth)), depth.shape[1])
        found.append((float(depth[y, x]), y, x))
    positive = found[0][0] > found[1][0]
    depth, y, x = found[0 if positive else 1]
    return Click(y, x, int(positive)) if depth > 0 else None


def played_states(options: Any) -> Iterator[State]:
    """Yield the states after each click of the network of a run, at 1080p."""
    model, config = build_method(options)
    model.eval()
    loop = UserLoop(max_clicks=SHOWN[-1], full_curves=True)
    dataset = ClickDataset(build(config["data"], options.trust).objects("test"))
    for index in spread_indices(len(dataset), options.objects):
        batch = cast(ClickBatch, collate([dataset[0, index]]))
        loop.play(model, batch)
        truth, size = batch["mask"][0].numpy(), batch["mask"].shape[-2:]
        clicks = unpad_clicks(scale_clicks(batch["outcome"]["clicks"], size, (HEIGHT, WIDTH)))[0]
        masks = np.unpackbits(batch["outcome"]["masks"][0].numpy(), axis=-1, count=size[1])
        large, *rounds = (
            cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
            for mask in (truth, *masks[: len(clicks)])
        )
        yield from (
            State(mask.astype(bool), large.astype(np.uint8), clicks[: count + 1])
            for count, mask in enumerate(rounds)
        )


def worst_cases() -> dict[str, State]:
    """Make states that leave little to skip: one large error, or very many small ones."""
    half = np.tile(np.arange(WIDTH) < WIDTH // 2, (HEIGHT, 1))
    truth, guess = np.random.default_rng(0).random((2, HEIGHT, WIDTH)) < 0.5
    board = np.indices((HEIGHT, WIDTH)).sum(0) % 2 == 0
    return {
        "empty prediction, object of half the image": State(
            np.zeros_like(half), half.astype(np.uint8), no_clicks()
        ),
        "salt-and-pepper noise (truth and prediction)": State(
            guess, truth.astype(np.uint8), no_clicks()
        ),
        "checkerboard against its inverse": State(~board, board.astype(np.uint8), no_clicks()),
    }


if __name__ == "__main__":
    run_guarded(main)
