"""What `tftransfer list` prints: names with one line each, or all about one name."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tftransfer.cli.docstrings import parse_docstring
from tftransfer.cli.help import columns, row
from tftransfer.utils.errors import unknown_name

if TYPE_CHECKING:
    from tftransfer.backbones.listing import BackboneInfo
    from tftransfer.recipes import RecipeInfo

_NAME_COLUMNS = 28
_MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that has a name.

    Attributes:
      name: The name.
      summary: What it is, in one line.
      facts: Its size and the like, in one line.
      options: Default values of its options by name.
      descriptions: Descriptions of its options by name.
      details: Returns all about it, where that is more than the options.
    """

    name: str
    summary: str
    facts: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    details: Callable[[], str] | None = None


@dataclass(frozen=True)
class Topic:
    """Something that `tftransfer list` lists.

    Attributes:
      singular: What one name is, for messages.
      summary: What the names are for.
      entries: Returns what the topic consists of.
    """

    singular: str
    summary: str
    entries: Callable[[], Sequence[Entry]]


def describe_topics() -> str:
    """Returns a line about each topic."""
    lines = ["Topics:"]
    for name, topic in TOPICS.items():
        lines += row(name, topic.summary, _NAME_COLUMNS, columns())
    lines += [
        "",
        "tftransfer list TOPIC prints the names of a topic and their options.",
        "tftransfer list TOPIC NAME prints all about one; NAME may be a pattern such as 'mobile*'.",
    ]
    return "\n".join(lines)


def describe_topic(topic: str, name: str = "") -> str:
    """Returns the names of a topic with a line each, or all about one of the names.

    Args:
      topic: Name of the topic.
      name: Name in the topic, or a shell pattern of names; "" for all.

    Raises:
      UserError: If there is no such topic, or no such name in it.
    """
    if topic not in TOPICS:
        raise unknown_name("topic", topic, TOPICS)
    entries = TOPICS[topic].entries()
    # Modalities may have backbones of the same name.
    exact = [entry for entry in entries if entry.name == name]
    if exact:
        return "\n\n".join(map(_details, exact))
    found = [entry for entry in entries if fnmatch.fnmatchcase(entry.name, name or "*")]
    if not found:
        raise unknown_name(TOPICS[topic].singular, name, {entry.name for entry in entries})
    return "\n".join(line for entry in found for line in _overview(entry))


def _overview(entry: Entry) -> list[str]:
    options = ", ".join(f"{name}={_shown(value)}" for name, value in entry.options.items())
    lines = row(entry.name, entry.summary, _NAME_COLUMNS, columns())
    for text in filter(None, (entry.facts, options)):
        lines += [line for line in row("", text, _NAME_COLUMNS, columns()) if line.strip()]
    return lines


def _details(entry: Entry) -> str:
    if entry.details is not None:
        return entry.details().replace("`", "")
    lines = [entry.name, *(f"  {text}" for text in filter(None, (entry.summary, entry.facts)))]
    lines += ["", "Options:"] if entry.options else []
    for name, value in entry.options.items():
        text = entry.descriptions.get(name, "").replace("`", "")
        lines += [line.rstrip() for line in row(f"{name}={_shown(value)}", text, 28, columns())]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if value is None:
        return "auto"
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _backbones() -> list[Entry]:
    from tftransfer.cli.tensorflow_start import quiet_tensorflow

    with quiet_tensorflow():
        from tftransfer.backbones.listing import list_backbones

        infos = list_backbones()
    return [
        Entry(
            name=info.name,
            summary=info.summary,
            facts=", ".join(filter(None, _facts(info))),
            options=info.options,
        )
        for info in infos
    ]


def _facts(info: BackboneInfo) -> tuple[str, ...]:
    size = "" if info.parameters is None else f"{info.parameters / _MILLION:.1f} M parameters"
    weights = f"weights: {info.weights}" if info.weights else ""
    return info.modality, size, info.input_size, weights


def _recipes() -> list[Entry]:
    from tftransfer.recipes import list_recipes

    return [_recipe(info) for info in list_recipes()]


def _methods() -> list[Entry]:
    from tftransfer.recipes import list_methods

    return [_recipe(info) for info in list_methods()]


def _recipe(info: RecipeInfo) -> Entry:
    from tftransfer.recipes import recipe_help

    own = [option for option in info.options if not option.of_phase]
    return Entry(
        name=info.name,
        summary=info.summary,
        options={option.name: option.default for option in own},
        details=lambda: recipe_help(info.name),
    )


def _losses() -> list[Entry]:
    from tftransfer import losses

    found = []
    for info in losses.list_losses():
        documentation = parse_docstring(type(losses.get(info.name)).__doc__ or "")
        found.append(
            Entry(
                name=info.name,
                summary=info.summary.replace("`", ""),
                options=info.fields,
                descriptions={**_common_fields(), **documentation.arguments},
            )
        )
    return found


def _common_fields() -> Mapping[str, str]:
    from tftransfer.core.loss import Loss

    return parse_docstring(Loss.__doc__ or "").arguments


def _augmentations() -> list[Entry]:
    from tftransfer.cli.tensorflow_start import quiet_tensorflow

    with quiet_tensorflow():
        from tftransfer.preprocessing.augmentations import list_augmentations

        infos = list_augmentations()
    return [
        Entry(name=info.name, summary=info.description, facts=f"for {', '.join(info.modalities)}")
        for info in infos
    ]


def _configs() -> list[Entry]:
    from tftransfer.cli.shipped_configs import config_summary, shipped_configs

    return [
        Entry(name=name, summary=config_summary(file)) for name, file in shipped_configs().items()
    ]


TOPICS = {
    "backbones": Topic("backbone", "Networks to transfer from, for --backbone.", _backbones),
    "recipes": Topic("recipe", "Ways to transfer, for --recipe.", _recipes),
    "methods": Topic("method", "Additions to a recipe, as in --recipe=fine_tune+METHOD.", _methods),
    "losses": Topic("loss", "Losses of recipes, for recipes that are written in Python.", _losses),
    "augmentations": Topic(
        "augmentation",
        "Augmentations, for the option of recipes as in --recipe=fine_tune:augment=NAME.",
        _augmentations,
    ),
    "configs": Topic("config", "Shipped settings, for --config.", _configs),
}
