"""Commands that are refused, and the line that says why."""

UNMADE = "the trainer cannot be made with"
NO_CPU = f"{UNMADE} trainer.accelerator=cpu"
GPU = "trainer.accelerator is gpu, and torch sees no GPU; leave gpu.yaml out on this machine"
KEPT = (
    "which it keeps; go on with the config it was trained with, "
    "or start a new run from it by weights=RUN/checkpoints/last.ckpt"
)
PRECISION = "trainer.precision is 17; it takes 64 or 32 or 16 or "
SEED = "seed is -1; give a number from 0 to 4294967295"
BINARY = "FILES/binary.yaml is no valid YAML: 'utf-8' codec can't decode byte 0x80"
NETWORK = (
    "RUN/checkpoints/last.ckpt is of another network, e.g. network.first.weight: "
    "(4, 5, 3, 3) -> (6, 5, 3, 3); go on with"
)
REFUSED = [
    ("train", "--config gpu.yaml trainer.accelerator=gpu", GPU),
    ("train", "trainer.accelerator=gpu", GPU),
    ("train", "trainer.accelerator=cuda", GPU.replace("is gpu", "is cuda")),
    (
        "train",
        "trainer.devices=-1",
        f"{NO_CPU} trainer.devices=-1: `devices` selected with `CPUAccelerator` should be an int "
        "> 0.",
    ),
    (
        "train",
        "trainer.accelerator=auto trainer.devices=-1",
        f"{UNMADE} trainer.accelerator=auto trainer.devices=-1: ",
    ),
    (
        "train",
        "trainer.devices=0",
        f"{NO_CPU} trainer.devices=0: `Trainer(devices=0)` value is not a valid input using cpu "
        "accelerator.",
    ),
    (
        "train",
        "trainer.num_nodes=0",
        f"{UNMADE} trainer.num_nodes=0: `num_nodes` must be a positive integer, but got 0.",
    ),
    (
        "train",
        "trainer.strategy=fast",
        f"{UNMADE} trainer.strategy=fast: You selected an invalid strategy name: ",
    ),
    ("train", "trainer.precision=17", PRECISION),
    (
        "train",
        "trainer.max_time=soon",
        "trainer.max_time is 'soon'; write 10m, 1h30m, 2d or DD:HH:MM:SS",
    ),
    ("train", "trainer.max_epochs=-5", f"{UNMADE} trainer.max_epochs=-5: "),
    ("train", "trainer.limit_train_batches=7.5", f"{UNMADE} trainer.limit_train_batches=7.5: "),
    ("train", "trainer.profiler=best", f"{UNMADE} trainer.profiler=best: "),
    (
        "train",
        "trainer.accumulate_grad_batches=0",
        "trainer.accumulate_grad_batches is 0; give 1 or more",
    ),
    (
        "train",
        "trainer.limit_val_batches=1.0 trainer.val_check_interval=1000",
        "trainer.val_check_interval is 1000, and an epoch has ",
    ),
    (
        "train",
        "trainer.check_val_every_n_epoch=0",
        "trainer.check_val_every_n_epoch is 0; give 1 or more",
    ),
    (
        "train",
        "trainer.gradient_clip_val=-1",
        "trainer.gradient_clip_val is -1; give 0 or more, or null for none",
    ),
    (
        "train",
        "trainer.callbacks=[]",
        "trainer.callbacks is []; leave it out: callbacks.NAME._target_=CLASS adds one",
    ),
    (
        "train",
        "trainer.enable_checkpointing=false",
        "trainer.enable_checkpointing is False; leave it out: callbacks.checkpoint=null",
    ),
    (
        "train",
        "trainer.logger=true",
        "trainer.logger is True; use logger=csv, logger=wandb, or trainer.logger=false for none",
    ),
    ("train", "logger=tensorboard", "logger is 'tensorboard'; use csv, wandb or null"),
    ("train", "callbacks=null", "callbacks is null; it takes {str: a mapping or null}"),
    (
        "train",
        "callbacks.loop=null trainer.limit_val_batches=1.0",
        "no callback plays the clicks, and there is nothing to count; ",
    ),
    ("train", "loading.batch_size=0", "batch_size is 0; give 1 or more"),
    (
        "train",
        "loading.batch_size=100",
        "10 training objects do not fill a batch of 100 on 1 processes; lower loading.batch_size",
    ),
    (
        "train",
        "trainer.devices=2 trainer.strategy=ddp_fork loading.batch_size=8",
        "the training objects do not fill a batch on each of 2 processes; lower loading.batch_size",
    ),
    (
        "train",
        "protocol.labels=whole",
        "protocol has labels=whole and no stream to say it of; name a stream's config first",
    ),
    ("train", "trainer.max_epochs=0", "trainer.max_epochs is 0, which trains nothing; give more"),
    ("train", "trainer.max_steps=0", "trainer.max_steps is 0, which trains nothing; give more"),
    (
        "train",
        "trainer.limit_train_batches=0",
        "trainer.limit_train_batches is 0, which trains nothing; give more",
    ),
    ("train", "loading.eval_batch_size=0", "eval_batch_size is 0; give 1 or more"),
    ("train", "loading.num_workers=-1", "num_workers is -1; give 0 or more"),
    ("train", "loading.train_objects=0", "train_objects is 0; give 1 or more"),
    ("train", "seed=-1", SEED),
    ("train", "seed=4294967296", "seed is 4294967296; give a number from 0 to 4294967295"),
    ("train", "max_clicks=0", "max_clicks is 0; give 1 or more"),
    ("train", "targets=[]", "targets is []; give IoUs above 0, 1 at most, e.g. targets=[0.85,0.9]"),
    (
        "train",
        "targets=[85]",
        "targets is [85]; give IoUs above 0, 1 at most, e.g. targets=[0.85,0.9]",
    ),
    ("train", "--config FILES/binary.yaml", BINARY),
    (
        "train",
        "--config FILES/list.yaml",
        "FILES/list.yaml: a config is a mapping of keys, got list",
    ),
    ("train", "--config RUN/checkpoints/last.ckpt", "RUN/checkpoints/last.ckpt is no valid YAML: "),
    (
        "train",
        "--config none.yaml",
        "there is no config none.yaml, neither here nor in configs/; it has ",
    ),
    ("train", "weights=FILES/binary.yaml", "FILES/binary.yaml cannot be read as a checkpoint: "),
    (
        "resume",
        "model.optimisation.optimizer=sgd",
        "RUN/checkpoints/last.ckpt was trained with another optimiser "
        f"(model.optimisation.optimizer: adamw -> sgd), {KEPT}",
    ),
    (
        "resume",
        "model.optimisation.learning_rate=0.1",
        "RUN/checkpoints/last.ckpt was trained with another optimiser "
        f"(model.optimisation.learning_rate: 0.0003 -> 0.1), {KEPT}",
    ),
    ("resume", "model.network.width=6", NETWORK),
    ("train", "checkpoint=FILES/binary.yaml", "FILES/binary.yaml cannot be read as a checkpoint: "),
    (
        "train",
        "checkpoint=FILES/none.ckpt",
        "there is no checkpoint FILES/none.ckpt; give a file, or checkpoint=last with run=FOLDER",
    ),
    ("evaluate", "trainer.accelerator=gpu", GPU),
    (
        "evaluate",
        "trainer.devices=-1",
        f"{NO_CPU} trainer.devices=-1: `devices` selected with `CPUAccelerator` should be an int "
        "> 0.",
    ),
    ("evaluate", "trainer.precision=17", PRECISION),
    (
        "evaluate",
        "trainer.max_time=soon",
        "trainer.max_time is 'soon'; write 10m, 1h30m, 2d or DD:HH:MM:SS",
    ),
    (
        "evaluate",
        "trainer.limit_test_batches=0.0001",
        "You requested to check 0.0001 of the `test_dataloader` but 0.0001 * ",
    ),
    (
        "evaluate",
        "trainer.limit_test_batches=0",
        "trainer.limit_test_batches=0 plays nothing; leave it out",
    ),
    (
        "evaluate",
        "trainer.limit_test_batches=1 shard=0/2 run=parts",
        "shard= deals out all objects, and trainer.limit_test_batches or fast_dev_run",
    ),
    ("evaluate", "callbacks=null", "callbacks is null; it takes {str: a mapping or null}"),
    (
        "evaluate",
        "callbacks.noc=null",
        "no callback is a NumberOfClicks; add one with _target_: callbacks.noc.NumberOfClicks",
    ),
    (
        "evaluate",
        "callbacks.loop=null",
        "no callback plays the clicks, and there is nothing to count; "
        "leave callbacks.loop as it is",
    ),
    ("evaluate", "loading.eval_batch_size=0", "eval_batch_size is 0; give 1 or more"),
    ("evaluate", "seed=-1", SEED),
    (
        "evaluate",
        "model.network.width=6",
        "RUN/checkpoints/last.ckpt does not fit ITIS: size mismatch for network.first.weight",
    ),
    ("evaluate", "--config FILES/binary.yaml", BINARY),
    (
        "evaluate",
        "--checkpoint FILES/binary.yaml",
        "FILES/binary.yaml cannot be read as a checkpoint: ",
    ),
    (
        "evaluate",
        "--checkpoint FILES",
        "FILES is no run: there is no FILES/checkpoints/last.ckpt; "
        "give the folder that train.py printed",
    ),
    ("classical", "trainer.devices=-1", f"{NO_CPU} trainer.devices=-1: "),
    ("predict", "--clicks FILES/binary.yaml", "FILES/binary.yaml cannot be read as clicks ("),
    ("predict", "--clicks FILES", "FILES cannot be read as clicks ([Errno 21] Is a directory"),
    (
        "predict",
        "--checkpoint FILES/binary.yaml",
        "FILES/binary.yaml cannot be read as a checkpoint: ",
    ),
    ("predict", "--device abc", "device is 'abc', which cannot be used ("),
    (
        "predict",
        "--images FILES/none",
        "there is no folder FILES/none; give the photos' by --images",
    ),
    ("predict", "seed=-1", SEED),
    (
        "predict",
        "model.network.width=6",
        "RUN/checkpoints/last.ckpt does not fit ITIS: size mismatch for network.first.weight",
    ),
]
