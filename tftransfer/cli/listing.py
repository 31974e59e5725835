"""What `tftransfer list` prints: names with one line each, or all about one name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tftransfer.cli.docstrings import parse_docstring
from tftransfer.cli.help import columns, row
from tftransfer.utils.errors import unknown_name

if TYPE_CHECKING:
    from tftransfer.recipes import RecipeInfo

_NAME_COLUMNS = 26


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that has a name.

    Attributes:
      name: The name.
      summary: What it is, in one line.
      options: Default values of its options by name; None for what depends on others.
      descriptions: Descriptions of its options by name.
    """

    name: str
    summary: str
    options: Mapping[str, object] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Topic:
    """Something that `tftransfer list` lists.

    Attributes:
      summary: What the names are for.
      entries: Returns what the topic consists of.
    """

    summary: str
    entries: Callable[[], Sequence[Entry]]


def describe_topics() -> str:
    """Returns a line about each topic."""
    lines = ["Topics:"]
    for name, topic in TOPICS.items():
        lines += row(name, topic.summary, _NAME_COLUMNS, columns())
    lines += ["", "tftransfer list TOPIC prints its names, tftransfer list TOPIC NAME the options."]
    return "\n".join(lines)


def describe_topic(topic: str, name: str = "") -> str:
    """Returns the names of a topic with a line each, or all about one of the names.

    Args:
      topic: Name of the topic.
      name: Name in the topic; "" for all.

    Raises:
      UserError: If there is no such topic, or no such name in it.
    """
    if topic not in TOPICS:
        raise unknown_name("topic", topic, TOPICS)
    entries = {entry.name: entry for entry in TOPICS[topic].entries()}
    if name and name not in entries:
        raise unknown_name(topic.removesuffix("s"), name, entries)
    if name:
        return "\n".join(_details(entries[name]))
    return "\n".join(line for entry in entries.values() for line in _overview(entry))


def _overview(entry: Entry) -> list[str]:
    options = ", ".join(f"{name}={_shown(value)}" for name, value in entry.options.items())
    lines = row(entry.name, entry.summary, _NAME_COLUMNS, columns())
    return lines + (row("", options, _NAME_COLUMNS, columns())[1:] if options else [])


def _details(entry: Entry) -> list[str]:
    lines = [entry.name, f"  {entry.summary}", ""]
    for name, value in entry.options.items():
        left = f"{name}={_shown(value)}"
        lines += row(left, entry.descriptions.get(name, ""), _NAME_COLUMNS, columns())
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "auto"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _recipes() -> list[Entry]:
    from tftransfer.recipes import list_recipes

    return [_entry(info) for info in list_recipes()]


def _methods() -> list[Entry]:
    from tftransfer.recipes import list_methods

    return [_entry(info) for info in list_methods()]


def _entry(info: RecipeInfo) -> Entry:
    return Entry(
        name=info.name,
        summary=info.summary,
        options={option.name: option.default for option in info.options},
        descriptions={option.name: option.summary for option in info.options},
    )


def _losses() -> list[Entry]:
    from tftransfer import losses
    from tftransfer.core.recipe import Loss

    found = []
    for name in losses.__all__:
        loss = getattr(losses, name)
        if inspect.isclass(loss) and issubclass(loss, Loss):
            documentation = parse_docstring(loss.__doc__ or "")
            options = {each.name: each.default for each in dataclasses.fields(loss)}
            found.append(
                Entry(
                    name=name,
                    summary=documentation.summary,
                    options=options,
                    descriptions=documentation.arguments,
                )
            )
    return sorted(found, key=lambda entry: entry.name.lower())


def _configs() -> list[Entry]:
    from tftransfer.cli.shipped_configs import config_summary, shipped_configs

    return [
        Entry(name=name, summary=config_summary(file)) for name, file in shipped_configs().items()
    ]


TOPICS = {
    "recipes": Topic("Ways to transfer, for --recipe.", _recipes),
    "methods": Topic("Additions to a recipe, as in --recipe=fine_tune+METHOD.", _methods),
    "losses": Topic("Losses for recipes that are written in Python.", _losses),
    "configs": Topic("Shipped settings, for --config.", _configs),
}
