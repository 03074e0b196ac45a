"""Training: one loop, the epochs made of it, and those who listen to them."""

from saiki.training.epochs import Epoch
from saiki.training.loop import Batch, Step, train

__all__ = ["Batch", "Epoch", "Step", "train"]
