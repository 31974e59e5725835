"""Optimizers and schedules of Keras as data that can be compared and stored as JSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from tftransfer.core.typing import JSON, JSONObject
from tftransfer.utils.errors import UserError

_OPTIMIZER = "optimizer"
_WANTED = {
    _OPTIMIZER: "Give a name such as 'adamw', or an object such as keras.optimizers.SGD(0.1) of "
    "Keras 3 (import keras, not tf_keras).",
    "schedule": "Give a name such as 'cosine', or an object such as "
    "keras.optimizers.schedules.CosineDecay(0.1, 1000) of Keras 3 (import keras, not tf_keras).",
}
# Names of classes by which Keras stores functions.
_FUNCTIONS = ("function", "__lambda__")
# Multipliers of variables do not reach the optimizers that they wrap.
_WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer")


@dataclass(frozen=True)
class KerasConfig:
    """The configuration of an optimizer or of a learning-rate schedule of Keras.

    Attributes:
      text: Keras's own configuration as JSON text, with sorted keys.

    Example:
      >>> import keras
      >>> import tftransfer
      >>> phase = tftransfer.Phase(
      ...     name="head", train={"head": 1.0}, losses=(), optimizer=keras.optimizers.SGD(0.5)
      ... )
      >>> print(phase.optimizer, phase.learning_rate, phase.schedule)
      SGD(learning_rate=0.5) 0.5 constant
      >>> phase.optimizer.build().momentum
      0.0
    """

    text: str

    def __str__(self) -> str:
        rates = {key: value for key, value in self.fields.items() if key.endswith("learning_rate")}
        shown = (f"{key}={_shown(value)}" for key, value in rates.items())
        return f"{self.class_name}({', '.join(shown)})"

    @property
    def config(self) -> JSONObject:
        """The configuration as `keras.saving.serialize_keras_object` returns it."""
        found: JSONObject = json.loads(self.text)
        return found

    @property
    def class_name(self) -> str:
        """Name of the class, such as `SGD`."""
        return str(self.config["class_name"])

    @property
    def fields(self) -> JSONObject:
        """Arguments of the constructor."""
        fields = self.config["config"]
        assert isinstance(fields, dict)
        return fields

    def to_json(self) -> JSONObject:
        """Returns the fields of the JSON object."""
        return {"config": self.config}

    @classmethod
    def from_json(cls, fields: Mapping[str, JSON]) -> KerasConfig:
        """Reverses `to_json`."""
        return cls(_text(fields["config"]))

    def build(self) -> Any:
        """Returns a new optimizer or schedule.

        Raises:
          UserError: A class is neither of Keras nor registered with it in this process.
        """
        import keras

        for module, name, registered in _classes(self.config):
            known = keras.saving.get_registered_object(registered) if registered else None
            if known is None and not module.startswith("keras."):
                raise UserError(
                    f"The class {name} of {module} is not registered with Keras.",
                    "Import the module that defines it with "
                    "@keras.saving.register_keras_serializable().",
                )
        try:
            return keras.saving.deserialize_keras_object(self.config)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.class_name} cannot be built from its configuration: {reason}",
                "Give its class a get_config() that returns the arguments of its constructor.",
            ) from None


@runtime_checkable
class KerasObject(Protocol):
    """An optimizer or a schedule of Keras."""

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""


OptimizerSpec: TypeAlias = str | KerasConfig | KerasObject
ScheduleSpec: TypeAlias = str | KerasConfig | KerasObject


def fields_of_optimizer(
    optimizer: OptimizerSpec, schedule: ScheduleSpec, owner: str
) -> dict[str, object]:
    """Returns the fields of a phase that its optimizer and schedule determine.

    Args:
      optimizer: Name of an optimizer, or a Keras optimizer.
      schedule: Name of a schedule, or a Keras schedule.
      owner: The phase, for messages, such as `Phase 'head'`.

    Returns:
      `optimizer` and `schedule` as names or configurations; for a Keras schedule `warmup`, and for
      a Keras optimizer also its learning rate, weight decay and clipping.

    Raises:
      UserError: One of them is not of Keras 3, or cannot be used.
    """
    optimizer, schedule = as_optimizer(optimizer, owner), as_schedule(schedule, owner)
    fields: dict[str, object] = {}
    if isinstance(optimizer, KerasConfig):
        given = optimizer.fields
        fields["weight_decay"] = given.get("weight_decay") or 0.0
        fields["clip_norm"] = given.get("global_clipnorm") or 0.0
        fields["warmup"] = 0.0
        if isinstance(schedule, str) and isinstance(given["learning_rate"], dict):
            schedule = KerasConfig.from_json({"config": given["learning_rate"]})
        elif isinstance(schedule, str):
            fields["learning_rate"] = given["learning_rate"]
            schedule = "plateau" if schedule == "plateau" else "constant"
    if isinstance(schedule, KerasConfig):
        fields["warmup"] = 0.0
    return {**fields, "optimizer": optimizer, "schedule": schedule}


def as_optimizer(value: OptimizerSpec, owner: str) -> str | KerasConfig:
    """Returns a name as it is, and a Keras optimizer as its configuration.

    Args:
      value: The name or the optimizer; its state, if there is any, is not used.
      owner: The phase, for messages, such as `Phase 'head'`.

    Raises:
      UserError: Something else is given, or an optimizer that a phase cannot use.
    """
    if isinstance(value, (str, KerasConfig)):
        return value
    import keras

    if not isinstance(value, keras.optimizers.Optimizer):
        raise _not_of_keras(value, _OPTIMIZER, owner)
    config = _config_of(value, _OPTIMIZER, owner)
    if config.class_name in _WRAPPERS:
        raise UserError(
            f"{owner}: optimizer is a {config.class_name}, which wraps other optimizers.",
            "Give the wrapped optimizer; train= sets rates by block, and "
            "Experiment(precision='mixed_float16') scales the loss.",
        )
    if config.fields.get("use_ema") and not config.fields.get("ema_overwrite_frequency"):
        raise UserError(
            f"{owner}: optimizer averages the weights (use_ema) but never uses the averages.",
            "Set ema_overwrite_frequency, as the best epoch is selected by the network's weights.",
        )
    return config


def as_schedule(value: ScheduleSpec, owner: str) -> str | KerasConfig:
    """Returns a name as it is, and a Keras schedule as its configuration.

    Args:
      value: The name or the schedule.
      owner: The phase, for messages, such as `Phase 'head'`.

    Raises:
      UserError: Something else is given.
    """
    if isinstance(value, (str, KerasConfig)):
        return value
    import keras

    if not isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        raise _not_of_keras(value, "schedule", owner)
    return _config_of(value, "schedule", owner)


def _config_of(value: object, field: str, owner: str) -> KerasConfig:
    import keras

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of functions, which are refused below
            config = keras.saving.serialize_keras_object(value)
        config["config"].pop("name", None)  # Keras numbers the instances of a class
        found = KerasConfig(_text(config))
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{owner}: {field} is a {type(value).__name__} without a configuration: {reason}",
            "Give its class get_config() and @keras.saving.register_keras_serializable().",
        ) from None
    rate = found.fields.get("learning_rate", 0.0)
    if isinstance(rate, dict) and rate["class_name"] in _FUNCTIONS:
        raise UserError(
            f"{owner}: the learning rate of {type(value).__name__} is a function, which cannot be "
            "stored.",
            "Give a number or a schedule of keras.optimizers.schedules.",
        )
    return found


def _not_of_keras(value: object, field: str, owner: str) -> UserError:
    given = type(value).__name__ if value is not None else "None"
    if isinstance(value, type):
        given = f"the class {value.__name__}"
    library = (value if isinstance(value, type) else type(value)).__module__.partition(".")[0]
    origin = f" of {library}" if library not in ("builtins", "__main__") else ""
    return UserError(f"{owner}: {field} is {given}{origin}, not one of Keras 3.", _WANTED[field])


def _classes(value: JSON) -> Iterator[tuple[str, str, str]]:
    """Yields module, name and registered name of all classes in a configuration."""
    if isinstance(value, Mapping):
        if "class_name" in value and "config" in value:
            module, registered = value.get("module"), value.get("registered_name")
            yield str(module or ""), str(value["class_name"]), str(registered or "")
        for each in value.values():
            yield from _classes(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _classes(each)


def _shown(value: JSON) -> str:
    return str(value["class_name"]) if isinstance(value, dict) else f"{value:g}"


def _text(config: JSON) -> str:
    return json.dumps(config, sort_keys=True)
