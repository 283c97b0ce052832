"""Several data sets side by side, each with a weight, as in RITM's training on COCO and LVIS."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading
from datamodules.click_batches import ClickDataset
from datamodules.resuming import EpochSampler
from datamodules.sources import ObjectSource, Sample, Subset
from datamodules.splits import is_same_objects_note
from interseg.errors import InputError
from interseg.listing import name_some


class Walk(NamedTuple):
    """A fixed order of a part's objects, in which every epoch continues where the last one stopped.

    No object comes twice in an epoch; in as many epochs as there are objects, each comes `taken`
    times.
    """

    order: NDArray[np.int64]
    """Numbers (n,) of the part's objects."""
    taken: int
    """Number of objects in an epoch, n at most."""

    def of(self, epoch: int) -> NDArray[np.int64]:
        """List an epoch's objects, sorted."""
        places = (epoch * self.taken + np.arange(self.taken)) % len(self.order)
        return np.sort(self.order[places])


class WalkSampler(EpochSampler):
    """A rank's share of an epoch's shuffled objects over several walks, as `(epoch, index)`."""

    def __init__(self, walks: Sequence[Walk], world_size: int, rank: int, seed: int) -> None:
        total = sum(walk.taken for walk in walks)
        super().__init__(range(total), world_size, rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.walks = walks

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        chosen = np.concatenate([walk.of(self.epoch) for walk in self.walks])
        return ((epoch, int(chosen[place])) for epoch, place in super().__iter__())


class JoinedSource(ObjectSource):
    """The objects of several sources, one source after the other, numbered through.

    Args:
        parts: Sources by name.
    """

    def __init__(self, parts: Mapping[str, ObjectSource]) -> None:
        super().__init__()
        self.parts = list(parts.items())
        self.ends = np.cumsum([len(source) for source in parts.values()])
        """Number of objects up to the end of each part."""
        for name, source in self.parts:
            self.problems += [f"{name}: {line}" for line in source.problems]
            self.left_out += [f"{name}: {line}" for line in source.left_out]
            self.notes += [f"{name}: {line}" for line in source.notes]
        self.goes_on = all(source.goes_on for source in parts.values() if source.problems)

    def part(self, index: int) -> int:
        """Return the number of the part that an object belongs to."""
        return int(np.searchsorted(self.ends, index, side="right"))

    def place(self, index: int) -> tuple[str, ObjectSource, int]:
        """Find an object: the part's name, its source and the object's number there."""
        number = self.part(index)
        name, source = self.parts[number]
        start = int(self.ends[number]) - len(source)
        return name, source, index - start

    def __len__(self) -> int:
        return int(self.ends[-1])

    def size(self, index: int) -> tuple[int, int]:
        _, source, own = self.place(index)
        return source.size(own)

    def name(self, index: int) -> str:
        part, source, own = self.place(index)
        return f"{part}/{source.name(own)}"

    def image(self, index: int) -> str:
        part, source, own = self.place(index)
        return f"{part}/{source.image(own)}"

    def facts(self) -> dict[str, str]:
        facts: dict[str, str] = {}
        for name, source in self.parts:
            images = {source.image(index) for index in range(len(source))}
            facts[name] = f"{len(source)} objects of {len(images)} images"
            for key, value in source.facts().items():
                facts[f"{name}: {key}"] = value
        return facts

    def read(self, index: int) -> Sample:
        _, source, own = self.place(index)
        return source.read(own)


class JoinedDataModule(ClickDataModule):
    """Data module of any data modules of clicks side by side.

    A weight is the relative frequency of a part's objects in training. An epoch has every object of
    the part with the largest weight once; of a part with half that weight, each epoch takes another
    half of the objects. No object comes twice in an epoch, whose order is a function of seed and
    epoch alone.

    A split with one part only is that part's split, with its ids and names, so that its figures
    equal those of the part by itself.

    Args:
        parts: Data modules by name; null leaves one out. They are read with this module's
            `loading`.
        weights: Weights of parts by name, above 0; 1 by default.
        train: Names of the parts to train on; null for all.
        evaluate: Names of the parts whose validation and test splits are evaluated on; null for
            all. A part without splits is trained on or evaluated on, not both.
        without: Names of images of a part that are not trained on, such as photos that are also
            evaluated on (check.py finds them).
        root: Folder that the roots of a config's parts may refer to, as `${data.root}/NAME`.
        loading: See `Loading`.

    Raises:
        InputError: There is no part, a name is unknown, or a weight is not above 0.
    """

    def __init__(
        self,
        parts: Mapping[str, ClickDataModule | None],
        weights: Mapping[str, float] | None = None,
        train: Sequence[str] | None = None,
        evaluate: Sequence[str] | None = None,
        without: Mapping[str, Sequence[str]] | None = None,
        root: str | None = None,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.parts = {name: part for name, part in parts.items() if part is not None}
        if not self.parts:
            raise InputError("there is no data set to join; name some under data.parts")
        taken_out = parts.keys() - self.parts.keys()
        self.root = root
        self.weights = dict(weights or {})
        self.without = {name: set(images) for name, images in (without or {}).items()}
        for name in taken_out:
            self.weights.pop(name, None)
            self.without.pop(name, None)
        self.trained = list(self.parts if train is None else train)
        self.evaluated = list(self.parts if evaluate is None else evaluate)
        self._check_names("weights", list(self.weights))
        self._check_names("train", self.trained)
        self._check_names("evaluate", self.evaluated)
        self._check_names("without", list(self.without))
        for name, weight in self.weights.items():
            if not 0 < weight < math.inf:
                raise InputError(
                    f"data.weights.{name} is {weight}; it is above 0. A part is left out by "
                    f"data.parts.{name}=null"
                )
        for part in self.parts.values():
            part.loading = self.loading

    def _check_names(self, key: str, names: Sequence[str]) -> None:
        """Raise `InputError` for an unknown name, and for an empty list of parts to use."""
        known = f"the parts are {', '.join(self.parts)}"
        if not names and key in ("train", "evaluate"):
            raise InputError(f"data.{key} names no part; {known}")
        for name in names:
            if name not in self.parts:
                near = difflib.get_close_matches(str(name), self.parts, 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else known
                raise InputError(f"data.{key} names {name!r}; {hint}")

    def prepare_data(self) -> None:
        """Let every part download its files."""
        for part in self.parts.values():
            part.prepare_data()

    def source(self, split: str) -> ObjectSource:
        names = self.trained if split == "train" else self.evaluated
        sources = {name: self._source_of(name, split) for name in names}
        if len(sources) == 1:
            return sources[names[0]]
        return JoinedSource(sources)

    def _source_of(self, name: str, split: str) -> ObjectSource:
        """Open a part's split.

        Raises:
            InputError: Training and evaluation would have the same objects.
        """
        source = self.parts[name].objects(split)
        same = [line for line in source.notes if is_same_objects_note(line)]
        if same and name in self.trained and name in self.evaluated:
            raise InputError(
                f"data.parts.{name}: {same[0]}; or name it in one of data.train "
                f"({', '.join(self.trained)}) "
                f"and data.evaluate ({', '.join(self.evaluated)}) only"
            )
        source.notes = [line for line in source.notes if line not in same]
        if split == "train" and name in self.without:
            return self._leave_out(name, source)
        return source

    def _leave_out(self, name: str, source: ObjectSource) -> ObjectSource:
        """Leave out the images of `without`; raises `InputError` for one that does not exist."""
        images = [source.image(index) for index in range(len(source))]
        unknown = self.without[name] - set(images)
        if unknown:
            raise InputError(
                f"data.without.{name} names {min(unknown)!r}; "
                f"{name} has {len(set(images))} images, the first is {images[0]}"
            )
        kept = [index for index, image in enumerate(images) if image not in self.without[name]]
        thinned = Subset(source, kept)
        left = sorted(self.without[name])
        thinned.left_out = [*source.left_out, *name_some("images that data.without names", left)]
        return thinned

    def _sampler(self, dataset: ClickDataset, world_size: int, rank: int) -> EpochSampler:
        """Draw every part's share of an epoch, and join them; one part draws as it does alone."""
        first, single = self.parts[self.trained[0]], len(self.trained) == 1
        if single and isinstance(first, JoinedDataModule):
            return first._sampler(dataset, world_size, rank)
        seed = self.loading.seed
        parts = np.zeros(len(dataset), np.int64) if single else part_numbers(dataset.source)
        weights = np.array([self.weights.get(name, 1.0) for name in self.trained])
        weights = weights / weights[np.unique(parts)].max()
        walks = []
        for number in np.unique(parts).tolist():
            objects = np.flatnonzero(parts == number)
            order = np.random.default_rng((seed, number)).permutation(objects)
            taken = round(float(weights[number]) * len(objects))
            walks.append(Walk(order, max(1, taken)))
        return WalkSampler(walks, world_size, rank, seed)


def part_numbers(source: ObjectSource) -> NDArray[np.int64]:
    """Return the number of the part (n,) that each object of a source, or of a subset, is of."""
    ids = source.indices if isinstance(source, Subset) else range(len(source))
    joined = source.parent if isinstance(source, Subset) else source
    if not isinstance(joined, JoinedSource):
        return np.zeros(len(ids), np.int64)
    return np.array([joined.part(id) for id in ids])
