"""Train a method: `python train.py --config itis.yaml [--config data/NAME.yaml] [key=value ...]`."""

from pathlib import Path

from configs import build, load, resolve
from configs.folders import begin_anew, open_folder, own_folder, resume_point
from configs.run import answer_by, guarded, needs, parser, trainer


def main() -> None:
    """Config -> objects -> `Trainer.fit`; the run's folder is printed at the end."""
    options = parser(__doc__).parse_intermixed_args()
    merged = load(options.config, options.overrides, trusted=options.trust)
    config = resolve(merged)
    needs(config, "model", "data")
    folder = Path(config["run"] or own_folder(Path("runs", config["name"]), merged))
    checkpoint = resume_point(config, folder, merged)
    open_folder(folder, merged)
    if checkpoint is None and config["checkpoint"] is None:
        begin_anew(folder)
    fit = trainer(config, folder, options.trust, checkpoint)
    data = build(config["data"], options.trust)
    data.prepare_data()
    data.objects("train")  # missing data stop the run before a network is built
    model = build(config["model"], options.trust)
    answer_by(model, config, options.trust)
    fit.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    if fit.is_global_zero:
        print(f"run: {folder}")


if __name__ == "__main__":
    guarded(main)
