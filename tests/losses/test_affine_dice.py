"""Affine regularizers and the Dice loss, by hand."""

import pytest
import torch

from regbench.losses import AFFINE_REGULARIZERS, dice_loss


@pytest.mark.parametrize("dims", [2, 3])
def test_affine_identity_by_hand(dims: int) -> None:
    identity = torch.eye(dims, dims + 1)[None]
    for loss in AFFINE_REGULARIZERS.values():
        assert loss(identity).item() == 0
    moved = identity.clone()
    moved[0, 0, -1], moved[0, 1, 0] = 3.0, -1.0
    assert AFFINE_REGULARIZERS["affine_identity_l1"](moved).item() == pytest.approx(4 / (dims * (dims + 1)))
    assert AFFINE_REGULARIZERS["affine_identity_l2"](moved).item() == pytest.approx(10 / (dims * (dims + 1)))
    pair = torch.cat([identity, moved])
    for loss in AFFINE_REGULARIZERS.values():
        assert loss(pair).item() == pytest.approx(loss(moved).item() / 2)


@pytest.mark.parametrize("name", AFFINE_REGULARIZERS)
def test_affine_gradient_and_mistakes(name: str) -> None:
    matrix = torch.rand(2, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(AFFINE_REGULARIZERS[name], (matrix,))
    for shape in ((3, 4), (1, 3, 3), (1, 4, 5)):
        with pytest.raises(ValueError, match="matrix must be"):
            AFFINE_REGULARIZERS[name](torch.zeros(shape))


def test_dice_by_hand() -> None:
    fixed, moved = torch.zeros(2, 1, 3, 1, 6).unbind()
    fixed[0, 0, 0, :4] = 1
    moved[0, 0, 0, 2:4] = 1  # Dice 2 * 2 / (4 + 2)
    fixed[0, 1, 0, 4:] = 1  # vanished: Dice 0; the third label is absent in both: left out
    assert dice_loss(fixed, moved).item() == pytest.approx(1 - (2 / 3 + 0) / 2, abs=1e-5)
    assert dice_loss(fixed, fixed).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(torch.zeros_like(fixed), torch.zeros_like(fixed)).item() == 0


@pytest.mark.parametrize("eps", [-1e-5, float("inf"), float("nan")])
def test_dice_refuses_an_eps_that_is_none(eps: float) -> None:
    with pytest.raises(ValueError, match="eps must be 0 or more, but got"):
        dice_loss(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), eps=eps)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 3, 4, 3)])
def test_dice_gradient(shape: tuple[int, ...]) -> None:
    fixed, moved = torch.rand(2, *shape, dtype=torch.double, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(dice_loss, (fixed, moved))
