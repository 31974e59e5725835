"""The package's functions, as notebooks and programs use them; the binary calls the same ones."""

from tftransfer.using.comparison import compare
from tftransfer.using.episodes import episodes
from tftransfer.using.inspection import inspect
from tftransfer.using.plan import make_plan as plan
from tftransfer.using.saved import evaluate, export, load, predict
from tftransfer.using.training import train

__all__ = [
    "compare",
    "episodes",
    "evaluate",
    "export",
    "inspect",
    "load",
    "plan",
    "predict",
    "train",
]
