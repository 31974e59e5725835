"""Values that hold several data sets, such as those for training and for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tftransfer.data.examples import SPLIT_NAMES
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

_OF_SCIKIT_LEARN = frozenset(("DESCR", "target_names", "feature_names", "filenames", "images"))


def check_one_data_set(data: object) -> None:
    """Checks that data are not several data sets, as `keras.datasets` and others return them.

    Args:
      data: Value that was given as data.

    Raises:
      UserError: The data are pairs of inputs and labels, or a dictionary of splits.
    """
    if isinstance(data, Mapping) and data and all(str(key).lower() in SPLIT_NAMES for key in data):
        names = [repr(key) for key in data]
        tests = [repr(key) for key in data if SPLIT_NAMES[str(key).lower()] != "train"]
        test = f", test_data=data[{tests[-1]}]" if tests else ""
        raise UserError(
            printable(f"The data are a dictionary of data sets: {', '.join(names)}."),
            printable(f"Give data=data[{names[0]}]{test}."),
        )
    if isinstance(data, Mapping):
        _check_keys([str(key) for key in data])
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and all(map(_is_pair, data)):
        test = ", test_data=data[1]" if len(data) == 2 else ", test_data=data[2]"
        raise UserError(
            f"The data are {len(data)} pairs of inputs and labels, as load_data() of Keras returns "
            "them.",
            f"Give data=data[0]{test}.",
        )


def _check_keys(keys: Sequence[str]) -> None:
    """Checks that a dictionary has not the arrays of several splits, or those of scikit-learn.

    Raises:
      UserError: It has.
    """
    if {"data", "target"} <= set(keys) and _OF_SCIKIT_LEARN & set(keys):
        inputs = "images" if "images" in keys else "data"
        raise UserError(
            "The data are a dictionary with data and target, as scikit-learn returns it.",
            f"Give (data[{inputs!r}], data['target']).",
        )
    pairs = {key: f"y_{key[2:]}" for key in keys if key.lower().startswith("x_")}
    pairs = {first: second for first, second in pairs.items() if second in keys}
    if pairs:
        given = [f"(data[{first!r}], data[{second!r}])" for first, second in pairs.items()]
        test = f", test_data={given[-1]}" if len(given) > 1 else ""
        raise UserError(
            f"The data are a dictionary with the arrays {', '.join(keys)}.",
            f"Give data={given[0]}{test}.",
        )


def _is_pair(value: object) -> bool:
    """Returns whether a value has several inputs, and as many labels."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    inputs, labels = map(_length, value)
    return inputs == labels > 0


def _length(value: object) -> int:
    if isinstance(value, list):
        return len(value)
    shape: tuple[int, ...] = tuple(getattr(value, "shape", ()))
    return shape[0] if shape else 0
