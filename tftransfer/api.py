"""The package's functions, for notebooks, for programs and for the commands."""

from tftransfer.commands.compare import compare
from tftransfer.commands.episodes import episodes
from tftransfer.commands.evaluate import evaluate
from tftransfer.commands.export import export
from tftransfer.commands.inspect import inspect
from tftransfer.commands.predict import predict
from tftransfer.commands.report import report
from tftransfer.commands.train import train
from tftransfer.planning.make_plan import make_plan as plan
from tftransfer.runs.run import load

__all__ = [
    "compare",
    "episodes",
    "evaluate",
    "export",
    "inspect",
    "load",
    "plan",
    "predict",
    "report",
    "train",
]
