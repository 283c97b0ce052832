import io
import os

import numpy as np
import torch
import torch.multiprocessing as mp

from interseg.clicks.layout import BOUNDARY, Click, clicks_of
from interseg.clicks.memory import ClickMemory, Delta, StoredMask
from interseg.distributed import from_all_ranks


def view(height=40, width=50, step=1, offset=(0, 0)):
    y, x = np.mgrid[:height, :width]
    return np.stack([y * step + offset[0], x * step + offset[1]], -1).astype(np.int16)


def test_clicks_are_appended_and_an_object_that_starts_anew_forgets_clicks_and_mask():
    memory = ClickMemory()
    stored = StoredMask.from_view(np.ones((40, 50), bool), view())
    memory.apply(
        [
            Delta(
                restarts={7: clicks_of([(1, 2, 1)])}, added={7: [Click(3, 4, 0)]}, masks={7: stored}
            )
        ]
    )
    memory.apply([Delta(added={7: [Click(5, 6, 1, BOUNDARY)]})])
    assert memory.clicks(7).tolist() == [[1, 2, 1, 0], [3, 4, 0, 0], [5, 6, 1, BOUNDARY]]
    assert memory.mask(7) is stored
    assert 8 not in memory
    assert memory.clicks(8).shape == (0, 4)
    memory.apply([Delta(restarts={7: clicks_of([(9, 9, 1)])})])
    assert memory.clicks(7).tolist() == [[9, 9, 1, 0]]
    assert memory.mask(7) is None


def test_a_mask_moves_between_views_through_the_source():
    rng = np.random.default_rng(0)
    prediction = rng.random((40, 50)) > 0.5
    stored = StoredMask.from_view(prediction, view(offset=(10, 20)))
    assert (stored.in_view(view(offset=(10, 20))) == prediction).all()
    flipped = view(offset=(10, 20))[:, ::-1]
    assert (stored.in_view(flipped) == prediction[:, ::-1]).all()
    shifted = stored.in_view(view(offset=(0, 0)))
    assert (shifted[10:, 20:] == prediction[:30, :30]).all()
    assert not shifted[:10].any()


def test_a_reduced_views_mask_fills_the_pixels_between_its_samples_with_the_nearest():
    prediction = np.zeros((40, 50), bool)
    prediction[10:20, 10:20] = True
    full = StoredMask.from_view(prediction, view(step=3)).in_view(view(118, 148))
    assert full[32:56, 32:56].all()
    assert not full[:28].any()
    assert not full[62:].any()


def test_padding_of_a_view_is_neither_stored_nor_shown():
    coordinates = view()
    coordinates[:, 25:] = -1
    stored = StoredMask.from_view(np.ones((40, 50), bool), coordinates)
    assert (stored.height, stored.width) == (40, 25)
    assert stored.in_view(coordinates).sum() == 40 * 25


def filled():
    memory = ClickMemory()
    for id in (4, 2):
        mask = StoredMask.from_view(np.random.default_rng(id).random((7, 9)) > 0.5, view(7, 9))
        memory.apply(
            [
                Delta(
                    restarts={id: clicks_of([(id, 1, 1, BOUNDARY), (2, id, 0)])},
                    masks={id: mask} if id == 4 else {},
                )
            ]
        )
    return memory


def same(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_the_memory_survives_a_checkpoint_that_loads_weights_only():
    for memory in (filled(), ClickMemory()):
        file = io.BytesIO()
        torch.save(memory.state_dict(), file)
        file.seek(0)
        again = ClickMemory()
        again.load_state_dict(torch.load(file, weights_only=True))
        assert same(memory, again)
    assert filled().clicks(2).tolist() == [[2, 1, 1, BOUNDARY], [2, 2, 0, 0]]


def test_a_memory_of_before_clicks_had_kinds_is_loaded_with_clicks_on_regions():
    state = filled().state_dict()
    memory = ClickMemory()
    memory.load_state_dict(state | {"clicks": state["clicks"][:, :3]})
    assert {id: memory.clicks(id).tolist() for id in (2, 4)} == {
        2: [[2, 1, 1, 0], [2, 2, 0, 0]],
        4: [[4, 1, 1, 0], [2, 4, 0, 0]],
    }
    assert np.array_equal(memory.mask(4).bits, filled().mask(4).bits)
    memory.apply([Delta(added={2: [Click(5, 6, 1, BOUNDARY)]})])
    assert memory.clicks(2).tolist()[2:] == [[5, 6, 1, BOUNDARY]]
    empty = ClickMemory().state_dict()
    memory.load_state_dict(empty | {"clicks": empty["clicks"][:, :3]})
    assert same(memory, ClickMemory())


def rank_main(rank, port, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    memory = ClickMemory()
    for step in range(3):
        delta = Delta(added={10 * rank + step: [Click(step, rank, 1)]})
        if step == 2:  # the object of the other rank's first step comes here
            delta.added[10 * (1 - rank)] = [Click(9, 9, 0)]
        if rank == 1 and step == 0:
            delta.masks[10] = StoredMask.from_view(np.eye(6, dtype=bool), view(6, 6))
        memory.apply(from_all_ranks(delta))
    results[rank] = memory.state_dict()
    torch.distributed.destroy_process_group()


def test_two_ranks_hold_the_same_memory_though_objects_move_between_them(free_port):
    results = mp.Manager().dict()
    mp.start_processes(rank_main, (free_port, results), nprocs=2, start_method="fork")
    first, second = results[0], results[1]
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["ids"].tolist() == [0, 1, 2, 10, 11, 12]
    memory = ClickMemory()
    memory.load_state_dict(first)
    assert memory.clicks(0).tolist() == [[0, 0, 1, 0], [9, 9, 0, 0]]
    assert memory.mask(10) is not None
