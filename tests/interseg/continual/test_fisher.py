import torch
from torch.distributions import Categorical

from interseg.continual.fisher import squared_gradients


def test_squared_gradients_come_to_the_fisher_information_of_the_pixels_that_count():
    torch.manual_seed(0)
    weights = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)  # the logits themselves
    valid = torch.rand(1, 4, 5) > 0.3
    found = squared_gradients(weights[None], [weights], draws=4000, valid=valid)[0]
    p = Categorical(logits=weights.detach().movedim(0, -1)).probs.movedim(-1, 0)
    assert torch.allclose(found, p * (1 - p) * valid, atol=0.03)
    assert (found[:, ~valid[0]] == 0).all()
    assert (squared_gradients(weights[None], [weights])[0][:, ~valid[0]] > 0).all()
