"""Train a method: `python train.py --config itis.yaml [--config data/NAME.yaml] [key=value ...]`.

`weights=RUN_OR_FILE` starts from another run's weights. A folder that holds a run is refused: `checkpoint=last` goes on with it,
`overwrite=true` begins it again.
"""

from pathlib import Path

from pytorch_lightning import seed_everything

from configs import build, load, resolve
from configs.checkpoints import digest, find_checkpoint, start_from, without_download
from configs.folders import begin_again, check_free, open_folder, own_folder, resume_point
from configs.run import build_model, guarded, needs, parser, trainer


def main() -> None:
    """Config -> objects -> `Trainer.fit`; the run's folder is printed at the end."""
    options = parser(__doc__.splitlines()[0]).parse_intermixed_args()
    merged = load(options.config, options.overrides, trusted=options.trust) | {"overwrite": False}
    config = resolve(load(options.config, options.overrides, trusted=options.trust))
    needs(config, "model", "data")
    weights = find_checkpoint(config["weights"])[1] if config["weights"] else None
    if weights:
        merged["weights_digest"] = digest(weights)
        without_download(config["model"])
    data = build(config["data"], options.trust)
    data.prepare_data()
    data.objects("train")  # missing data stop the run before a network is built, and both before its folder is opened
    seed_everything(config["seed"], workers=True, verbose=False)
    model = build_model(config, options.trust)
    folder = Path(config["run"] or own_folder(Path("runs", config["name"]), merged))
    checkpoint = resume_point(config, folder, merged)
    if checkpoint is None and config["checkpoint"] is None:
        check_free(folder, merged, overwrite=config["overwrite"])
        begin_again(folder)
    lines = start_from(model, weights) if weights and checkpoint is None else []
    open_folder(folder, merged)
    fit = trainer(config, folder, options.trust, checkpoint)
    for line in lines if fit.is_global_zero else []:
        print(line)
    fit.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    if fit.is_global_zero:
        print(f"run: {folder}")


if __name__ == "__main__":
    guarded(main)
