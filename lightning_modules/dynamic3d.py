"""Dynamic interactive learning in 3D (Tian, Chen and Gao, 2023).

A segmenter learns volume after volume from proxy masks.

Proxy masks and guidance are in `interseg/volumes/`, replay in `interseg/continual/replay.py`, the
user in `callbacks/slice_loop.py`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from interseg.batches import VolumeBatch, require
from interseg.checkpoints import read_checkpoint, sized_as
from interseg.continual.replay import ReplayBuffer, to_half
from interseg.continual.stream import learn_round
from interseg.distributed import take_from_first_rank
from interseg.errors import InputError
from interseg.losses import weighted_cross_entropy_and_dice
from interseg.volumes.augmentation import flip_and_turn
from interseg.volumes.stream import VolumeMethod
from lightning_modules.base import (
    InteractiveModule,
    check_loss,
    part_of,
    protocol_of,
    seed_of,
    spare,
    update,
)
from lightning_modules.optimisation import Optimisation, check_constant


class Dynamic3D(InteractiveModule, VolumeMethod):
    """Learner of a stream of volumes (algorithm 5), or each volume by itself (algorithm 3).

    A round is a batch: the slice loop has put `target` and `confidence` into it, from the user's
    slices or from the whole truth. By the protocol of the data a "stream" goes on from volume to
    volume; "static" learns each volume by itself, and a volume's learning replays its own rounds
    alone; "offline" is one training, in which each epoch plays one permutation.

    The loss is eq. 9 with its weights made to sum to 1: the replayed samples share what the new one
    leaves.

    As the algorithm has it, the replayed samples of a round are drawn once and kept for all of its
    steps. Several processes share the samples of a step, so that they learn what one would.

    Args:
        network: (1, 1, D, H, W) to logits of the same size, sides multiples of `divisor`.
        divisor: Divisor of the sides to which volumes are padded by replication, and cropped back;
            a side is at least twice it.
        size: (D, H, W) at which the network sees and learns volumes, while proxy masks, guidance
            and answers keep their resolution; null for the volumes' own.
        replay: Replay buffer; null to learn from the newest volume alone.
        samples: Number m of samples replayed a step.
        smoothing: Whether targets are mixed with what the segmenter said before it learned the
            volume, by lambda_Y(t) = max(0.8, 1 - 0.02 t). Without effect where each volume is
            learned by itself, which has no t.
        smoothing_floor: Least lambda_Y, 0.8.
        smoothing_rate: Decrease of lambda_Y with each t, 0.02.
        steps: Steps of a volume's first round, n_F(0).
        more_steps: Steps more of each later round than of the one before.
        pretrained: Checkpoint that a stream or a volume starts from (warm start); null for a cold
            one.
        augment: Whether to flip and turn samples in the plane of the slices.
        turn: Largest angle of these turns, in degrees.
        optimisation: Adam at 1e-3 by default.
    """

    before: Tensor

    def __init__(
        self,
        network: nn.Module,
        divisor: int = 16,
        size: tuple[int, int, int] | None = None,
        replay: dict[str, Any] | None = None,
        samples: int = 4,
        smoothing: bool = True,
        smoothing_floor: float = 0.8,
        smoothing_rate: float = 0.02,
        steps: int = 10,
        more_steps: int = 5,
        pretrained: str | None = None,
        augment: bool = True,
        turn: float = 15.0,
        optimisation: Optimisation | None = None,
    ) -> None:
        super().__init__()
        if steps < 1 or more_steps < 0:
            raise InputError(
                f"steps={steps}, more_steps={more_steps}; a round takes 1 step or more, a "
                "later one no fewer"
            )
        if samples < 0 or not 0 <= smoothing_floor <= 1 or smoothing_rate < 0:
            given = f"samples={samples}, smoothing_floor={smoothing_floor}"
            raise InputError(
                f"{given}, smoothing_rate={smoothing_rate}; samples and the rate are 0 or more, "
                "the floor is a share"
            )
        self.automatic_optimization = False
        self.answers_clicks = False
        self.network, self.divisor, self.pretrained = network, divisor, pretrained
        self.size = None if size is None else tuple(size)
        self.replay = None if replay is None else ReplayBuffer(**replay)
        self.samples, self.steps, self.more_steps = samples, steps, more_steps
        self.augment, self.turn = augment, turn
        self.smoothing, self.smoothing_floor = smoothing, smoothing_floor
        self.smoothing_rate = smoothing_rate
        self.optimisation = optimisation or Optimisation("adam", learning_rate=1e-3)
        check_constant(self.optimisation, "a stream's end is not known")
        self.register_buffer("before", torch.empty(0))
        self._built: dict[str, Tensor] = {}
        self.remembered: dict[str, Any] | None = None
        """Replay buffer that every stream begins with; None for an empty one."""

    def setup(self, stage: str) -> None:
        """Load what a stream starts from, and keep it."""
        if self.pretrained is not None:
            state = read_checkpoint(self.pretrained)["state_dict"]
            weights = part_of(state, "network.")
            try:
                self.network.load_state_dict(weights)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:160]
                raise InputError(
                    f"pretrained: {self.pretrained} does not fit: {reason}; "
                    "give a run of this network"
                ) from None
        self._built = {key: value.clone() for key, value in self.network.state_dict().items()}

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """Compute logits (1, 1, D, H, W) of a volume."""
        require(batch, "volume")
        native, volume = batch["volume"].shape[2:], self._show(batch["volume"])
        depth, height, width = volume.shape[2:]
        padding: list[int] = []
        for side in (width, height, depth):  # torch pads the last side first
            full = side + -side % self.divisor
            padding += [0, max(2 * self.divisor, full) - side]  # one cell has no norm
        logits = self.network(pad(volume, padding, mode="replicate"))
        logits = logits[..., :depth, :height, :width]
        if logits.shape[2:] == native:
            return logits
        return interpolate(logits, native, mode="trilinear")

    def _show(self, volume: Tensor) -> Tensor:
        """Resize a (1, 1, D, H, W) map to the network's size by means.

        No labelled slice is lost between two.
        """
        if self.size in (None, tuple(volume.shape[2:])):
            return volume
        smaller = [min(sides) for sides in zip(self.size, volume.shape[2:], strict=True)]
        return interpolate(interpolate(volume, smaller, mode="area"), self.size, mode="trilinear")

    @torch.no_grad()
    def predict(self, batch: VolumeBatch, task: int | None = None) -> Tensor:
        """Compute probabilities (1, 1, D, H, W) of a volume, in single precision at least.

        Raises `InputError` for NaN.
        """
        training = self.training
        self.eval()
        volume = batch["volume"].to(next(self.parameters()))
        found = self.segment({"volume": volume}).sigmoid()
        self.train(training)
        if not torch.isfinite(found).all():
            raise InputError(
                "the segmenter answers with NaN: its weights have diverged, or half precision "
                "overflows; lower model.optimisation.learning_rate, or give "
                "trainer.precision=32-true"
            )
        return found if found.dtype == torch.float64 else found.float()

    def begin_round(self, batch: VolumeBatch) -> Tensor | None:
        """Answer before a round; None while nothing is learned: a cold start's first round.

        A stream, or a volume that is learned by itself, begins here with the first weights. The
        answer before a volume's first round is kept: smoothed targets are mixed with it.
        """
        torch.manual_seed(seed_of(*self._place(batch)))
        first = batch["round"] == 0
        kind = protocol_of(self).kind
        begun = batch["task"] == 0 and (kind == "stream" or self.trainer.current_epoch == 0)
        fresh = first and (begun or kind == "static")
        if fresh:
            self.network.load_state_dict(self._built)
            self.optimizers().optimizer.state.clear()  # type: ignore[union-attr]
            if self.replay is not None:
                self.replay = ReplayBuffer(self.replay.slots, self.replay.size, self.replay.policy)
            if self.replay is not None and self.remembered is not None:
                self.replay.load_state_dict(self.remembered)
        answer = self.predict(batch)
        if first:
            self.before = answer
        return None if fresh and self.pretrained is None and not self.warm else answer

    def training_step(self, batch: VolumeBatch, batch_idx: int) -> dict[str, Tensor]:
        """Take all steps of a round, and answer again (`probabilities`)."""
        require(batch, "id", "volume", "target", "confidence")
        learn_round(self, batch)
        return {"probabilities": self.predict(batch)}

    def learn(self, batch: VolumeBatch) -> None:
        """Take all steps of a round in which something was labelled."""
        if not batch["new"]:
            return
        static = protocol_of(self).kind == "static"
        task = 0 if static else batch["task"]
        share = 1.0
        if self.smoothing and task > 0:
            share = max(self.smoothing_floor, 1 - self.smoothing_rate * task)
        target = (1 - share) * self.before + share * batch["target"]
        sample = tuple(map(self._show, (batch["volume"], target, batch["confidence"])))
        id = int(batch["id"])
        key = (id, batch["round"]) if static else id
        place = self._place(batch)
        generator = np.random.default_rng(place)
        replayed = (
            self.replay.draw(self.samples, generator, without=key)
            if self.replay is not None
            else []
        )
        for step in range(self.updates(batch)):
            loss = self._step([sample, *replayed], (*place, step))
            check_loss(loss, batch)
        self._share_statistics()
        self.log("train/loss", loss, prog_bar=True, batch_size=1)
        if self.replay is not None:
            self.replay.push(key, tuple(map(to_half, sample)), generator)

    def updates(self, batch: VolumeBatch) -> int:
        """Count the steps of a round, none where nothing was labelled."""
        return self.steps + self.more_steps * batch["round"] if batch["new"] else 0

    def _share_statistics(self) -> None:
        """Share the first rank's running statistics of batch norms with all ranks.

        The answers before the next step are made with them.
        """
        take_from_first_rank(self.network.buffers())

    def _place(self, batch: VolumeBatch) -> tuple[int, ...]:
        """Return the place that seeds randomness.

        A volume that is learned by itself is learned in the same way wherever it stands in
        the stream.
        """
        sequence = () if protocol_of(self).kind == "static" else (batch["sequence"],)
        return (self._seed, *sequence, int(batch["id"]), batch["round"])

    def _step(self, samples: list[tuple[Tensor, ...]], place: tuple[int, ...]) -> Tensor:
        """Take a step on the mean loss of samples, and return it.

        lambda_L of each is one over their number.

        Each is propagated back by itself: the memory is that of one volume. The ranks take them in
        turns.
        """
        world, rank = self.trainer.world_size, self.trainer.global_rank
        losses = []

        def backward() -> None:
            for turn in range(0, len(samples), world):
                mine = turn + rank
                if mine < len(samples):
                    loss = self._loss(samples[mine], (*place, mine))
                else:  # other ranks have one more
                    loss = torch.as_tensor(spare(self.network.parameters()))
                single = torch.promote_types(loss.dtype, torch.float32)  # on all ranks, if weights
                losses.append(loss.detach().to(single))  # and with them a spare loss have less
                self.manual_backward(loss * world / len(samples))

        update(self, backward)
        return self.trainer.strategy.reduce(
            torch.stack(losses).sum() / len(samples), reduce_op="sum"
        )

    def _loss(self, sample: tuple[Tensor, ...], place: tuple[int, ...]) -> Tensor:
        volume, target, weight = (part.to(next(self.parameters())) for part in sample)
        if self.augment:
            volume, target, weight = flip_and_turn(
                [volume, target, weight], np.random.default_rng(place), self.turn
            )
        return weighted_cross_entropy_and_dice(self.segment({"volume": volume}), target, weight)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Check the round's keys; the slice loop has called `begin_round`, which seeds torch."""
        require(batch, "target", "confidence", "new")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the replay buffer."""
        checkpoint["replay"] = None if self.replay is None else self.replay.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the replay buffer."""
        if self.replay is not None and checkpoint.get("replay") is not None:
            self.replay.load_state_dict(checkpoint["replay"])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # its size is the last volume's
        self.before = sized_as(self.before, state_dict, f"{prefix}before")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def configure_optimizers(self) -> Any:
        return self.optimisation(self, {"network": list(self.network.parameters())})
