"""The package's functions, as notebooks and programs use them; the binary calls the same ones."""

from tftransfer.commands.compare import compare
from tftransfer.commands.episodes import episodes
from tftransfer.commands.inspect import inspect
from tftransfer.commands.saved import evaluate, export, load, predict
from tftransfer.commands.train import train
from tftransfer.planning.plan import make_plan as plan

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
