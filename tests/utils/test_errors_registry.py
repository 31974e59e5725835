import numpy as np
import pytest

from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import Registry, parse_options


def test_user_error_keeps_its_two_lines():
    error = UserError("The file is cut.", "Copy it anew.")
    assert isinstance(error, ValueError)
    assert (error.what, error.remedy) == ("The file is cut.", "Copy it anew.")
    assert str(error) == "The file is cut.\nCopy it anew."


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
def test_unknown_name_gives_the_nearest_or_all(name, remedy):
    error = unknown_name("recipe", name, {"scratch", "fine_tune", "l2_sp"})
    assert error.what == f"There is no recipe named {name!r}."
    assert error.remedy == remedy


def test_unknown_name_gives_three_at_most():
    error = unknown_name("block", "stage", [f"stage{k}" for k in range(1, 8)])
    assert error.remedy.count("stage") == 3


def _registry():
    registry = Registry("colour")

    @registry.register("red")
    def red():
        return "red"

    return registry


def test_registry_is_a_mapping_of_what_was_registered():
    registry = _registry()
    assert dict(registry).keys() == {"red"}
    assert len(registry) == 1 and "red" in registry and "blue" not in registry
    assert registry["red"]() == "red"


def test_registry_hands_the_decorated_object_back():
    registry = Registry("colour")

    def green():
        return "green"

    assert registry.register("green")(green) is green


def test_registry_refuses_a_taken_name_and_keeps_the_first():
    registry = _registry()

    def crimson():
        return "crimson"

    with pytest.raises(ValueError, match="colour named 'red' is already registered"):
        registry.register("red")(crimson)
    assert registry["red"]() == "red"


def test_registry_takes_the_same_definition_again():
    registry = Registry("colour")
    for shade in ("light", "dark"):

        @registry.register("red")
        def red(shade=shade):
            return shade

    assert registry["red"]() == "dark"


def test_registry_names_the_nearest():
    with pytest.raises(UserError, match="no colour named 'rad'") as caught:
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
def test_parse_options(text, name, options):
    found = parse_options(text)
    assert found == (name, options)
    assert [type(value) for value in found[1].values()] == [type(v) for v in options.values()]


def test_parse_options_wants_a_value():
    with pytest.raises(UserError, match="has the option 'depth' without a value"):
        parse_options("mobilenet_v2:alpha=0.35,depth")


def test_numbers_of_options_are_plain():
    _, options = parse_options("r:a=inf,b=2.5")
    assert np.isinf(options["a"]) and type(options["b"]) is float
