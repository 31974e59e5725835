"""The functions of the commands that do without TensorFlow."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from tftransfer import __version__
from tftransfer.cli.parse import Arguments
from tftransfer.cli.shipped_configs import copy_configs
from tftransfer.utils.errors import UserError

_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "keras-hub", "tensorflow-text")
_DEFAULT_CONFIG_FOLDER = "configs"


def run_version(arguments: Arguments) -> None:
    """Prints the version of tftransfer and of the packages that it uses."""
    print(f"tftransfer {__version__}")
    print(f"python {platform.python_version()}")
    for package in _PACKAGES:
        try:
            print(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            print(f"{package} is not installed")


def run_init(arguments: Arguments) -> None:
    """Copies the shipped configs to a folder, by default configs."""
    if len(arguments.free) > 1:
        raise UserError("More than one folder was given.", "Write tftransfer init FOLDER.")
    folder = Path(arguments.free[0] if arguments.free else _DEFAULT_CONFIG_FOLDER)
    copies = copy_configs(folder, overwrite=arguments.flags.overwrite)
    example = folder / "flowers.py"
    print(f"wrote {len(copies)} configs to {folder}")
    print(f"Next: tftransfer train --config={example} --data=DATA --workdir=runs/flowers")


def run_list(arguments: Arguments) -> None:
    """Prints the available backbones, recipes, methods, losses, augmentations and configs."""
    from tftransfer.cli.listing import describe_topic, describe_topics

    topic, *names = arguments.free or [""]
    if len(names) > 1:
        raise UserError("More than one name was given.", "Write tftransfer list TOPIC NAME.")
    print(describe_topic(topic, *names) if topic else describe_topics())


def asks_for_recipe_help(arguments: Arguments) -> bool:
    """Returns whether the recipe is `help` or `help:NAME`."""
    return str(arguments.experiment.get("recipe", "")).partition(":")[0] == "help"


def run_recipe_help(arguments: Arguments) -> int:
    """Prints the options of the recipe after `help:`, or the names of all recipes."""
    from tftransfer.cli.listing import describe_topic
    from tftransfer.recipes import recipe_help

    name = str(arguments.experiment["recipe"]).partition(":")[2]
    print(recipe_help(name).replace("`", "") if name else describe_topic("recipes"))
    return 0
