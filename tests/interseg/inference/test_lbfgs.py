import numpy as np
import pytest
import scipy.optimize
import torch

from interseg.inference.lbfgs import Evaluated, descent, minimise


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(seed, size):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    matrix, aim = (
        root @ root.T + torch.eye(size, dtype=torch.float64),
        torch.randn(size, generator=generator, dtype=torch.float64),
    )
    return lambda x: 0.5 * (x - aim) @ matrix @ (x - aim)


def logistic(seed, size):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(40, size, generator=generator, dtype=torch.float64)
    signs = torch.sign(torch.randn(40, generator=generator, dtype=torch.float64))
    return lambda x: torch.nn.functional.softplus(-signs * (rows @ x)).sum() + 0.1 * x @ x


def answers(functions, sizes=None, done=None):
    """Evaluates as a batch would; counts how many ask together."""

    def evaluate(indices, points):
        if sizes is not None:
            sizes.append(len(indices))
        given = []
        for i, point in zip(indices, points, strict=True):
            x = point.clone().requires_grad_()
            energy = functions[i](x)
            (gradient,) = torch.autograd.grad(energy, x)
            given.append(
                Evaluated(energy.item(), gradient, bool(done and done(energy)), x.detach())
            )
        return given

    return evaluate


def by_scipy(function, start, **options):
    def both(x):
        point = torch.from_numpy(x).requires_grad_()
        energy = function(point)
        energy.backward()
        return energy.item(), point.grad.numpy()

    return scipy.optimize.minimize(
        both,
        start.numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 20, "ftol": 0, **options},
    )


PROBLEMS = [
    (rosenbrock, 2),
    (rosenbrock, 6),
    *((quadratic(i, 5 + i), 5 + i) for i in range(4)),
    *((logistic(i, 8), 8) for i in range(4)),
]


def test_every_problem_of_a_batch_ends_where_scipys_ends():
    functions = [f for f, _ in PROBLEMS]
    starts = [torch.full((n,), -0.5, dtype=torch.float64) for _, n in PROBLEMS]
    sizes = []
    found = minimise(starts, answers(functions, sizes), iterations=200, tolerance=1e-6)
    for function, start, ours in zip(functions, starts, found, strict=True):
        theirs = by_scipy(function, start, gtol=1e-6)
        assert ours.answer.energy <= theirs.fun + 1e-8
        assert np.allclose(ours.point, theirs.x, atol=1e-4)
        assert ours.evaluations <= 2.5 * theirs.nfev + 5
        assert ours.moved
        assert torch.equal(ours.answer.output, ours.point)
    assert sizes[0] == len(PROBLEMS)
    assert sizes[-1] < len(PROBLEMS)  # who is ready is not asked again


def test_a_problem_does_not_depend_on_its_neighbours():
    functions = [f for f, _ in PROBLEMS]
    starts = [torch.full((n,), 0.3, dtype=torch.float64) for _, n in PROBLEMS]
    together = minimise(starts, answers(functions))
    for function, start, one in zip(functions, starts, together, strict=True):
        (alone,) = minimise([start], answers([function]))
        assert torch.equal(alone.point, one.point)
        assert alone.evaluations == one.evaluations


def test_the_recursion_is_the_inverse_hessian_of_the_bfgs_formula():
    generator = torch.Generator().manual_seed(0)
    matrix = quadratic(3, 6)
    hessian = torch.autograd.functional.hessian(matrix, torch.zeros(6, dtype=torch.float64))
    steps = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    pairs = [(s, hessian @ s) for s in steps]
    step, change = pairs[-1]
    inverse = torch.eye(6, dtype=torch.float64) * (step @ change) / (change @ change)
    for s, y in pairs:
        left = torch.eye(6, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
    gradient = torch.randn(6, generator=generator, dtype=torch.float64)
    assert torch.allclose(descent(gradient, pairs), -inverse @ gradient)


def test_a_search_stops_at_the_first_point_that_is_good_enough():
    found = minimise(
        [torch.full((2,), -1.0, dtype=torch.float64)],
        answers([rosenbrock], done=lambda energy: energy < 1),
    )[0]
    assert 0.01 < found.answer.energy < 1
    assert found.answer.done
    (at_once,) = minimise(
        [torch.ones(2, dtype=torch.float64)], answers([rosenbrock], done=lambda energy: energy < 1)
    )
    assert at_once.evaluations == 1
    assert at_once.moved


def test_the_budget_is_kept_and_the_best_point_is_given():
    for budget in (1, 2, 5, 9):
        energies = []

        def evaluate(indices, points, energies=energies):
            given = answers([rosenbrock])(indices, points)
            energies.append(given[0].energy)
            return given

        (found,) = minimise(
            [torch.full((2,), -1.5, dtype=torch.float64)], evaluate, evaluations=budget
        )
        assert len(energies) == found.evaluations == budget
        assert found.answer.energy == min(energies)


def test_infinite_energies_shorten_the_step_and_one_at_the_start_is_an_error():
    def walled(x):  # NaN beyond 1; least at 0.5
        return (-2 * x - torch.log(1 - x)).sum()

    asked = []

    def evaluate(indices, points):
        asked.extend(p.item() for p in points)
        return answers([walled])(indices, points)

    (found,) = minimise([torch.full((1,), -3.0, dtype=torch.float64)], evaluate)
    assert max(asked) > 1
    assert abs(found.point.item() - 0.5) < 1e-4
    with pytest.raises(FloatingPointError, match="the energy at the start is nan"):
        minimise([torch.full((1,), 2.0, dtype=torch.float64)], answers([walled]))


def test_a_gradient_that_is_no_number_leaves_the_start():
    def evaluate(indices, points):
        return [Evaluated(1.0, torch.full_like(p, torch.nan)) for p in points]

    (found,) = minimise([torch.zeros(3)], evaluate)
    assert not found.moved
    assert found.evaluations == 1
