"""What makes streams of tasks and volumes tiny, as overrides of a command."""

TASKS = [
    *("data.size=[40,56]", "data.pretraining_images=4", "data.length=3"),
    *("model.network.first=6", "model.network.width=8"),
    *("loading.batch_size=2", "loading.num_workers=0"),
    *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
    *("callbacks.transfer.forward_after=1", "callbacks.transfer.backward_after=3"),
]
VOLUMES = [
    *("data.size=[8,16,16]", "data.held_out=2", "data.stream=2"),
    *("trainer.max_epochs=2", "model.steps=1", "model.more_steps=0"),
    *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
    "callbacks.dice.every=1",
]
