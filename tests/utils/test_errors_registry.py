import numpy as np
import pytest

from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import Registry, parse_options


def test_user_error_has_two_lines():
    error = UserError("The file is cut.", "Copy it again.")
    assert isinstance(error, ValueError)
    assert (error.what, error.remedy) == ("The file is cut.", "Copy it again.")
    assert str(error) == "The file is cut.\nCopy it again."


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("fine_tun", "Did you mean fine_tune?"),
        ("scratchh", "Did you mean scratch?"),
        ("zzz", "Available: fine_tune, l2_sp, scratch."),
        (3, "Available: fine_tune, l2_sp, scratch."),
        (None, "Available: fine_tune, l2_sp, scratch."),
    ],
)
def test_unknown_name_lists_the_nearest_or_all_names(name, remedy):
    error = unknown_name("recipe", name, {"scratch", "fine_tune", "l2_sp"})
    assert error.what == f"There is no recipe named {name!r}."
    assert error.remedy == remedy


def test_unknown_name_lists_at_most_three_near_names():
    error = unknown_name("block", "stage", [f"stage{k}" for k in range(1, 8)])
    assert error.remedy.count("stage") == 3


def _registry():
    registry = Registry("color")

    @registry.register("red")
    def red():
        return "red"

    return registry


def test_registry_is_a_mapping_of_registered_names():
    registry = _registry()
    assert dict(registry).keys() == {"red"}
    assert len(registry) == 1 and "red" in registry and "blue" not in registry
    assert registry["red"]() == "red"


def test_registry_decorator_returns_its_object():
    registry = Registry("color")

    def green():
        return "green"

    assert registry.register("green")(green) is green


def test_registry_taken_name_raises_and_keeps_the_first():
    registry = _registry()

    def crimson():
        return "crimson"

    with pytest.raises(ValueError, match="color named 'red' is already registered"):
        registry.register("red")(crimson)
    assert registry["red"]() == "red"


def test_registry_repeated_definition_replaces_the_first():
    registry = Registry("color")
    for shade in ("light", "dark"):

        @registry.register("red")
        def red(shade=shade):
            return shade

    assert registry["red"]() == "dark"


def test_registry_unknown_name_lists_the_nearest():
    with pytest.raises(UserError, match="no color named 'rad'") as caught:
        _registry()["rad"]
    assert caught.value.remedy == "Did you mean red?"


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("mobilenet_v2", "mobilenet_v2", {}),
        ("mobilenet_v2:", "mobilenet_v2", {}),
        ("mobilenet_v2:alpha=0.35,depth=2", "mobilenet_v2", {"alpha": 0.35, "depth": 2}),
        ("r:a=1e-3, b = -4 ,", "r", {"a": 1e-3, "b": -4}),
        ("r:a=true,b=False,c=balanced", "r", {"a": True, "b": False, "c": "balanced"}),
        ("r:a=x=y,b=", "r", {"a": "x=y", "b": ""}),
        ("https://tfhub.dev/google/yamnet/1", "https://tfhub.dev/google/yamnet/1", {}),
        ("https://a.b/c:output=d", "https://a.b/c", {"output": "d"}),
        ("distill:teacher=https://a.b/c", "distill", {"teacher": "https://a.b/c"}),
    ],
)
def test_parse_options_returns_name_and_converted_options(text, name, options):
    found = parse_options(text)
    assert found == (name, options)
    assert [type(value) for value in found[1].values()] == [type(v) for v in options.values()]


def test_parse_options_without_a_value_raises():
    with pytest.raises(UserError, match="has the option 'depth' without a value"):
        parse_options("mobilenet_v2:alpha=0.35,depth")


def test_parse_options_numbers_are_python_floats():
    _, options = parse_options("r:a=inf,b=2.5")
    assert np.isinf(options["a"]) and type(options["b"]) is float
