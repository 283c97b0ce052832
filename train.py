"""Train a method: `python train.py --config itis.yaml [--config data/NAME.yaml] [key=value ...]`.

`weights=RUN_OR_FILE` starts from those of another run's weights that fit. A folder with a trained
run, or with one of another config, is refused: `checkpoint=last` resumes it, `overwrite=true`
starts from the beginning.
"""

from pathlib import Path

from pytorch_lightning import seed_everything

from configs import as_yaml, build, load, resolve
from configs.checkpoints import check_pretraining, identify
from configs.console import run_guarded
from configs.folders import claim, open_folder
from configs.options import parser
from configs.resuming import check_resumes
from configs.run import log_small_epochs, needs, tell, trainer, wait_for_slow_ranks
from configs.starting import (
    COMMAND,
    check_free,
    check_named,
    forget_dashboard,
    remove_results,
    resume_point,
)
from configs.weights import start_model
from lightning_modules.base import InteractiveModule

EXAMPLES = (
    "--config itis/once.yaml --config itis/ritm.yaml --config finetune.yaml "
    "--config data/folder.yaml data.root=PATH",
    "--config small.yaml --config data/folder.yaml data.root=PATH",
    "--config itis.yaml --config gpu.yaml data.root=PATH trainer.devices=-1",
    "--config small.yaml --config data/coco.yaml data.root=PATH weights=RUN",
    "--config small.yaml --config data/folder.yaml data.root=PATH run=RUN checkpoint=last",
)


def main() -> None:
    """Run the command: config -> objects -> `Trainer.fit`; print the run's folder at the end."""
    arguments = parser(__doc__.splitlines()[0], prints=True, examples=EXAMPLES)
    options = arguments.parse_intermixed_args()
    merged = identify(load(options.config, options.overrides, trusted=options.trust))
    config, written = resolve(merged), merged | COMMAND
    if options.print:
        print(as_yaml(config), end="")
        return
    needs(config, "model", "data")
    check_named(config)
    if config["run"]:
        # before the data are read, which may take long
        check_free(Path(config["run"]), config, written)
    data = build(config["data"], options.trust, "data")
    data.prepare_data()
    data.objects("train")  # missing data stop the run before a network is built or a folder opened
    check_pretraining(config, data, options.trust)
    seed_everything(config["seed"], workers=True, verbose=False)
    model, lines = start_model(config, options.trust)
    with claim(config["run"], Path("runs", config["name"]), written) as folder:
        check_free(folder, config, written)
        checkpoint = resume_point(config, folder, written)
        if checkpoint:
            check_resumes(checkpoint, model, data, written, options.trust)
        begins = checkpoint is None and config["checkpoint"] is None
        open_folder(folder, written)
        if begins:
            forget_dashboard(folder)
        wait_for_slow_ranks()  # a validation's
        fit = trainer(config, folder, options.trust, checkpoint)
        log_small_epochs(fit, data)
        if isinstance(model, InteractiveModule):
            model.check_precision(str(fit.precision))
        if begins:
            remove_results(folder)  # last: a run that does not start takes nothing away
    tell(data)
    if fit.is_global_zero:
        print("\n".join([*lines, f"run: {folder}"]), flush=True)
    fit.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    if fit.is_global_zero:
        print(f"run: {folder}")


if __name__ == "__main__":
    run_guarded(main)
