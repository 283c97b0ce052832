"""Several data sets side by side, each with a weight: what a network for everything is trained on (RITM: COCO + LVIS)."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, ClickDataset, Loading, Subset
from datamodules.resuming import EpochSampler
from datamodules.sources import ObjectSource, Sample
from datamodules.splits import is_same_objects_note
from interseg.errors import InputError
from interseg.listing import counted


class Walk(NamedTuple):
    """The way round a part's objects: always the same order, and every epoch goes on where the one before has stopped.

    So no object comes twice in an epoch, and in as many epochs as there are objects each comes
    `taken` times.
    """

    order: NDArray[np.int64]
    """(n,) objects of the part."""
    taken: int
    """Objects of an epoch, n at most."""

    def of(self, epoch: int) -> NDArray[np.int64]:
        """List an epoch's objects, sorted."""
        places = (epoch * self.taken + np.arange(self.taken)) % len(self.order)
        return np.sort(self.order[places])


class WalkSampler(EpochSampler):
    """This rank's share of the shuffled objects that an epoch takes from several walks, as `(epoch, index)`."""

    def __init__(self, walks: Sequence[Walk], world_size: int, rank: int, seed: int) -> None:
        total = sum(walk.taken for walk in walks)
        super().__init__(range(total), world_size, rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.walks = walks

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        chosen = np.concatenate([walk.of(self.epoch) for walk in self.walks])
        return ((epoch, int(chosen[place])) for epoch, place in super().__iter__())


class JoinedSource(ObjectSource):
    """The objects of several sources, one source after the other; an object's id is its own number after all objects before.

    Args:
        parts: sources by name.
    """

    def __init__(self, parts: Mapping[str, ObjectSource]) -> None:
        super().__init__()
        self.parts = list(parts.items())
        self.ends = np.cumsum([len(source) for source in parts.values()])
        """Number of objects up to the end of each part."""
        self.problems = [
            f"{name}: {line}" for name, source in self.parts for line in source.problems
        ]
        self.left_out = [
            f"{name}: {line}" for name, source in self.parts for line in source.left_out
        ]
        self.notes = [f"{name}: {line}" for name, source in self.parts for line in source.notes]
        self.goes_on = all(source.goes_on for source in parts.values() if source.problems)

    def part(self, index: int) -> int:
        """Give the number of the part that an object is of."""
        return int(np.searchsorted(self.ends, index, side="right"))

    def place(self, index: int) -> tuple[str, ObjectSource, int]:
        """Find an object: the part's name, its source and the object's number there."""
        number = self.part(index)
        name, source = self.parts[number]
        return name, source, index - int(self.ends[number]) + len(source)

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
            images = len({source.image(index) for index in range(len(source))})
            facts[name] = f"{len(source)} objects of {images} images"
            facts |= {f"{name}: {key}": value for key, value in source.facts().items()}
        return facts

    def read(self, index: int) -> Sample:
        _, source, own = self.place(index)
        return source.read(own)


class JoinedDataModule(ClickDataModule):
    """Any data modules of clicks side by side.

    A weight says how often an object is seen, beside the objects of other parts. Those of the
    largest weight are seen once an epoch; of a part with half of it each epoch takes another half.
    An object is never seen twice in an epoch, whose order is a function of seed and epoch alone.

    A split that has one part only is that part's, its ids and names too, so that its figures are
    those of the part by itself.

    Args:
        parts: data modules by name; null takes one out. They are read with this module's `loading`.
        weights: of parts by name, above 0; 1 where nothing is said.
        train: names of the parts that are trained on; null for all.
        evaluate: names of the parts whose validation and test splits are evaluated on; null for
            all. A part without splits is trained on or evaluated on, not both.
        without: names of images of a part that are not trained on, such as photos that are
            evaluated on too (check.py finds them).
        root: folder that the roots of a config's parts may refer to, as `${data.root}/NAME`.
        loading: see `Loading`.

    Raises:
        InputError: no part, an unknown name, a weight that is not above 0.
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
        left = {
            name: weight
            for name, weight in (weights or {}).items()
            if name not in parts or name in self.parts
        }
        self.root, self.weights = root, left
        self.trained, self.evaluated = (
            list(self.parts) if names is None else list(names) for names in (train, evaluate)
        )
        self.without = {
            name: set(images)
            for name, images in (without or {}).items()
            if name not in parts or name in self.parts
        }
        lists = {
            "weights": [*self.weights],
            "train": self.trained,
            "evaluate": self.evaluated,
            "without": [*self.without],
        }
        for key, names in lists.items():
            self._check_names(key, names)
        for name, weight in self.weights.items():
            if not 0 < weight < math.inf:
                raise InputError(
                    f"data.weights.{name} is {weight}; it is above 0. A part is left out by "
                    f"data.parts.{name}=null"
                )
        for part in self.parts.values():
            part.loading = self.loading

    def _check_names(self, key: str, names: Sequence[str]) -> None:
        """Raise `InputError` for a name that is no part's, and for an empty list of parts to use."""
        known = f"the parts are {', '.join(self.parts)}"
        if not names and key in ("train", "evaluate"):
            raise InputError(f"data.{key} names no part; {known}")
        for name in names:
            if name not in self.parts:
                near = difflib.get_close_matches(str(name), self.parts, 1, 0.5)
                raise InputError(
                    f"data.{key} names {name!r}; {f'did you mean {near[0]}?' if near else known}"
                )

    def prepare_data(self) -> None:
        """Let every part fetch what it can."""
        for part in self.parts.values():
            part.prepare_data()

    def source(self, split: str) -> ObjectSource:
        names = self.trained if split == "train" else self.evaluated
        sources = {name: self._source_of(name, split) for name in names}
        return next(iter(sources.values())) if len(sources) == 1 else JoinedSource(sources)

    def _source_of(self, name: str, split: str) -> ObjectSource:
        """Open a part's split; raises `InputError` where training and evaluation would see the same objects."""
        source = self.parts[name].objects(split)
        same = [line for line in source.notes if is_same_objects_note(line)]
        if same and name in self.trained and name in self.evaluated:
            raise InputError(
                f"data.parts.{name}: {same[0]}; or name it in one of data.train "
                f"({', '.join(self.trained)}) "
                f"and data.evaluate ({', '.join(self.evaluated)}) only"
            )
        source.notes = [line for line in source.notes if line not in same]
        return (
            self._leave_out(name, source) if split == "train" and name in self.without else source
        )

    def _leave_out(self, name: str, source: ObjectSource) -> ObjectSource:
        """Leave images out; raises `InputError` for one that is not there."""
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
        thinned.left_out = [*source.left_out, *counted("images that data.without names", left)]
        return thinned

    def _sampler(self, dataset: ClickDataset, world_size: int, rank: int) -> EpochSampler:
        """Draw every part's share of an epoch, and join them."""
        source = dataset.source
        chosen = np.array(
            source.indices if isinstance(source, Subset) else range(len(source))
        )  # ids in the joined source
        joined = source.parent if isinstance(source, Subset) else source
        parts = np.array(
            [joined.part(int(id)) if isinstance(joined, JoinedSource) else 0 for id in chosen]
        )
        weights = np.array([self.weights.get(name, 1.0) for name in self.trained])
        weights = weights / weights[np.unique(parts)].max()
        walks = []
        for number in np.unique(parts).tolist():
            objects = np.flatnonzero(parts == number)
            order = np.random.default_rng((self.loading.seed, number)).permutation(objects)
            walks.append(Walk(order, max(1, round(float(weights[number]) * len(objects)))))
        return WalkSampler(walks, world_size, rank, self.loading.seed)
