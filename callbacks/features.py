"""Training on features that are computed once: whatever a frozen encoder says of a photo is kept."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.errors import InputError
from interseg.features import FeatureStore, cache_folder


@runtime_checkable
class EncodesOnce(Protocol):
    """A network with a frozen encoder, whose features may be kept."""

    encoder: Any
    """With `key`, the name of what it computes, and `frozen`."""

    def features(self, image: Tensor) -> list[Tensor]:
        """Run the encoder alone."""


class KeptFeatures(Callback):
    """Gives every training batch its encoder's `features`, from a store that the first epochs fill.

    A photo is encoded when it is first seen in a view: augmentations that change what the encoder sees (crops, colours) make a new
    view of it each time, so that training takes the whole photo at one size, and its mirror image. The share that had to be
    encoded stands in the progress bar as `new`.

    Args:
        folder: of kept features, of all encoders; "cache" is `$XDG_CACHE_HOME/interseg/features`, null keeps them in memory.
        limit: most gigabytes (1e9 bytes) of one encoder's features.
    """

    def __init__(self, folder: str | None = "cache", limit: float = 20.0) -> None:
        self.folder = cache_folder() if folder == "cache" else None if folder is None else Path(folder)
        self.limit = limit
        self.store: FeatureStore | None = None
        self._warned = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the store; raises `InputError` for a network whose features change in training."""
        network: Any = getattr(pl_module, "network", None)
        if not isinstance(network, EncodesOnce) or not network.encoder.frozen:
            raise InputError(f"{type(network).__name__} has no frozen encoder whose features can be kept; leave callbacks.features=null")
        self.store = FeatureStore(network.encoder.key, self.folder, self.limit)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, batch_idx: int) -> None:
        """Add the features."""
        network: Any = pl_module.network
        assert self.store is not None
        batch["features"], encoded = self.store.features(batch["image"], network.features)
        share = encoded / max(1, len(batch["image"]))
        pl_module.log("new", share, prog_bar=True, batch_size=len(batch["image"]))
        if self.store.full and not self._warned:
            self._warned = True
            place = self.store.folder or "memory"
            rank_zero_warn(
                f"the features in {place} have reached their limit of {self.limit:g} GB: other photos are encoded again in every epoch, "
                "which is slow; raise callbacks.features.limit, or remove folders of encoders that are no longer used"
            )
