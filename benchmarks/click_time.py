"""Seconds of a click and of encoding a photo in a session: medians over the rounds of some objects.

    python -m benchmarks.click_time [--checkpoint RUN] [--config itis/once.yaml --config
    data/NAME.yaml] [--threads 1] [key=value ...]

The first object is played twice, its first play left out. The ratio of the two is what encoding
once saves a click.
"""

import statistics

import numpy as np
import torch
from pytorch_lightning import Trainer

from benchmarks.played import build_method, spread_indices
from benchmarks.throughput import QUIET
from configs import build
from configs.console import run_guarded
from configs.options import parser
from datamodules.click_batches import ClickDataset
from interseg.clicks.users import RitmUser
from interseg.evaluation.game import Game, play
from interseg.inference.session import open_sessions

DEFAULT = ["itis/once.yaml", "data/samples.yaml"]


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--checkpoint", help="a run's folder, a checkpoint, or the name of a network that ships"
    )
    arguments.add_argument(
        "--objects", type=int, default=10, help="played, evenly spread over the test split"
    )
    arguments.add_argument("--threads", type=int, default=1, help="of torch")
    options = arguments.parse_intermixed_args()
    torch.set_num_threads(options.threads)
    model, config = build_method(options, DEFAULT)
    player = Trainer(
        devices=1,
        accelerator=config["trainer"].get("accelerator", "auto"),
        precision=config["trainer"].get("precision"),
        **QUIET,
    )
    model = model.to(player.strategy.root_device).eval()
    dataset = ClickDataset(build(config["data"], options.trust).objects("test"))
    chosen = spread_indices(len(dataset), options.objects)
    encodings, clicks, users = [], [], []
    with player.precision_plugin.forward_context():
        for index in [chosen[0], *chosen]:
            sample = dataset[0, index]
            (session,) = open_sessions(model, sample["image"][None].to(model.device))
            game = Game(session, sample["mask"].numpy(), RitmUser(), config["max_clicks"])
            play([game])
            encodings.append(session.encoding_seconds)
            clicks.append(session.seconds)
            users.append(game.simulator_seconds / max(1, len(session.seconds)))
    rounds: list[float] = []
    for row in clicks[1:]:
        rounds += row
    encoding, click = statistics.median(encodings[1:]), statistics.median(rounds)
    slow = float(np.quantile(rounds, 0.9))
    user = statistics.median(users[1:])
    print(
        f"{config['name']} on {model.device}, {torch.get_num_threads()} threads, "
        f"{len(chosen)} objects, {len(rounds)} clicks: "
        f"a click {1000 * click:.1f} ms (90 %: {1000 * slow:.1f}), "
        f"encoding {1000 * encoding:.1f} ms, "
        f"click / (encoding + click) {click / (encoding + click):.3f}; "
        f"the simulated user {1000 * user:.1f} ms"
    )


if __name__ == "__main__":
    run_guarded(main)
