"""Propagated annotations by the weight of pairs of neighbours and by contrast (CLIS, eq. 11 to 14).

    python -m benchmarks.propagation_weights [key=value ...] --checkpoint RUN [--sequences 4 5 6]

The pretrained network of a run answers the images of some sequences, the user annotates, the
annotations are propagated: mean IoU on pixels without annotation. Nothing is learned. Sequences are
drawn from the same images: some are in several. Overrides are those of the run's config.
"""

import numpy as np
import torch

from benchmarks import print_heading
from configs import build, load, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config
from configs.console import run_guarded
from configs.options import parser
from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import AnsweredImage, no_annotation
from interseg.continual.superpixels import superpixels
from interseg.evaluation.overlap import mean_iou
from lightning_modules.task_learner import Propagation

PAIR_WEIGHTS = (1, 3, 10, 30, 100)
CONTRASTS = (30, 100, 300, 1000)


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--checkpoint", required=True, metavar="RUN", help="a pretraining's folder"
    )
    arguments.add_argument("--sequences", type=int, nargs="+", default=[5, 6, 7, 8])
    options = arguments.parse_intermixed_args()
    _, weights = find_checkpoint(options.checkpoint)
    config = resolve(
        load(
            options.config, options.overrides, trained_config(weights, options.trust), options.trust
        )
    )
    data, model = build(config["data"], options.trust), build(config["model"], options.trust).eval()
    loop = build(config["callbacks"]["loop"], options.trust)
    load_weights(model, weights)
    model.prepare(data)
    scenes = []
    for index in [index for number in options.sequences for index in data.images_of(number)]:
        batch = data.batch_of([index])
        image, mask = batch["image"][0], batch["mask"][0].numpy()
        torch.manual_seed(index)
        answer = model.predict_current(batch["image"])
        prediction = answer.probabilities[0].argmax(0).byte().numpy()
        segments = superpixels((image * 255).round().byte().movedim(0, -1).numpy(), loop.segments)
        answered = AnsweredImage(
            prediction, mask, answer.uncertainty[0].numpy(), segments, no_annotation(mask.shape)
        )
        annotation, number = loop.user.annotate(
            answered, np.random.default_rng(index), loop.scale(mask)
        )
        scenes.append(
            (
                image,
                answer.probabilities[0],
                torch.from_numpy(annotation),
                np.where(annotation != IGNORE, IGNORE, mask),
                number,
            )
        )
    before = np.mean(
        [mean_iou(p.argmax(0).numpy(), rest, data.classes) for _, p, _, rest, _ in scenes]
    )
    print(
        f"{len(scenes)} images, {np.mean([scene[-1] for scene in scenes]):.1f} annotations each; "
        f"before: {before:.3f}\n"
    )
    print_heading(["weight of pairs", *(f"contrast {contrast}" for contrast in CONTRASTS)])
    for weight in PAIR_WEIGHTS:
        cells = []
        for contrast in CONTRASTS:
            spread = Propagation(pair_weight=weight, contrast=contrast)
            ious = [
                mean_iou(spread(image, p, given).argmax(0).numpy(), rest, data.classes)
                for image, p, given, rest, _ in scenes
            ]
            cells.append(f"{np.mean(ious):.3f}")
        print(f"| {weight} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    run_guarded(main)
