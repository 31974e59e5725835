"""Names of several losses in one step."""

from tftransfer.losses import L2SP, CrossEntropy, Distill
from tftransfer.training.train_step import terms


def test_terms_of_several_losses_are_distinct():
    assert terms([CrossEntropy()]) == ()
    losses = [CrossEntropy(), Distill(), L2SP(), Distill()]
    assert terms(losses) == ("CrossEntropy_loss", "Distill_loss", "L2SP_loss", "Distill_2_loss")
