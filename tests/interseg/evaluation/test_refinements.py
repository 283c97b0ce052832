from collections import Counter
from types import SimpleNamespace

import torch

from interseg.evaluation.metrics import summarise
from interseg.evaluation.refinements import Refinements
from interseg.inference.refine import COUNTS
from tests.helpers.outcomes import PLAYED


def game(**state):
    return SimpleNamespace(session=SimpleNamespace(state=state))


def test_a_game_leaves_what_its_last_state_has_counted():
    counts = Counter({"refinements": 3, "refinement_evaluations": 25})
    found = Refinements().outcome(game(counts=counts, variables=torch.zeros(3)))
    assert set(found) == set(Refinements.keys)
    assert found["refinements"].tolist() == [3, 25, 0]
    assert found["refinements"].dtype == torch.int64
    assert counts == {"refinements": 3, "refinement_evaluations": 25}
    assert Refinements().outcome(game())["refinements"].tolist() == [0, 0, 0]


def test_figures_are_the_sums_over_objects():
    rows = torch.tensor([[3, 25, 0], [0, 0, 0], [2, 40, 1], [1, 20, 1]])
    figures = summarise(
        PLAYED | {"refinements": rows}, (0.85,), full_curves=False, contributions=[Refinements()]
    )
    expected = dict.fromkeys(COUNTS, 0)
    for row in rows.tolist():
        for name, value in zip(COUNTS, row, strict=True):
            expected[name] += value
    assert (
        {name: figures[name] for name in COUNTS}
        == expected
        == {"refinements": 6, "refinement_evaluations": 85, "refinements_failed": 2}
    )
    assert figures["contributed"] == list(COUNTS)
    plain = summarise(PLAYED, (0.85,), full_curves=False)
    assert {
        key: value for key, value in figures.items() if key not in (*COUNTS, "contributed")
    } == {key: value for key, value in plain.items() if key != "contributed"}


def test_the_report_says_what_was_refined_and_nothing_where_nothing_was():
    sentence = Refinements().sentence(dict(zip(COUNTS, (6, 85, 2), strict=True)))
    assert sentence.startswith(
        "Refined 6 answers with 85 evaluations of the energy; 2 could not be improved"
    )
    assert Refinements().sentence(dict.fromkeys(COUNTS, 0)) == ""
    assert Refinements().plot({}) is None
