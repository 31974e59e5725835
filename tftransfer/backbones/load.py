"""From what the user names to a `Backbone`: application, registered, TF-Hub or run."""

from __future__ import annotations

import importlib
import inspect
import math
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from tftransfer.backbones import tfhub
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.image import applications
from tftransfer.backbones.registry import BACKBONES
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.backbones.weight_files import load_weights
from tftransfer.checkpoints import weights
from tftransfer.core.experiment import plain_weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.run_files import is_run
from tftransfer.core.serialization import read_json
from tftransfer.data.download import local_path
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256
from tftransfer.utils.registry import parse_options

_NETWORK_SECONDS = 15.0
_LAYER_OPTION = re.compile(r"(.*?)(?:[:,]layer=([^:,=]+))?", re.DOTALL)
# Names that are of one kind of input only begin with these.
_OF_KIND = {
    "audio": ("yamnet", "whisper"),
    "text": ("word_vectors", "bert_", "distil_bert", "roberta", "albert", "electra", "gpt2"),
}
# What the package itself gives to a builder, or has no use for.
_NOT_OPTIONS = (
    "image_size",
    "include_top",
    "weights",
    "input_tensor",
    "input_shape",
    "classes",
    "classifier_activation",
)


def load_backbone(
    name: str,
    *,
    weights: str = "pretrained",
    image_size: int = 0,
    seed: int = 0,
    trust_code: bool = False,
    cache: Path | None = None,
    modality: str = "image",
    length: float = 0.0,
    assets: Path | None = None,
) -> Backbone:
    """The backbone that `name` means, with its weights.

    Args:
      name: `mobilenet_v2`, `mobilenet_v2:alpha=0.35`, a TF-Hub handle, URL or folder, or the folder
        of a run; each may end in `:layer=STAGE` (or `,layer=STAGE`): the network up to there.
      weights: `pretrained`, or `imagenet` as Keras says, `none`, a path, or an https URL.
      image_size: side of the input in pixels; 0 for the backbone's own.
      seed: of random weights.
      trust_code: allow TF-Hub modules, which are programs.
      cache: where downloaded weights are kept; the user's when None.
      modality: of the data, one of `MODALITIES`.
      length: seconds of audio or tokens of text that are read; 0 for the backbone's own.
      assets: folder of a run's `Backbone.assets`, for one that is built again.

    Raises:
      UserError: no such backbone, option or weights.
    """
    weights = plain_weights(weights)
    plain, layer = _LAYER_OPTION.fullmatch(name).groups()  # type: ignore[union-attr]
    if layer:
        whole = load_backbone(
            plain,
            weights=weights,
            image_size=image_size,
            seed=seed,
            trust_code=trust_code,
            cache=cache,
            modality=modality,
            length=length,
            assets=assets,
        )
        return replace(whole.until(layer), name=name)
    keras.utils.set_random_seed(seed)
    if is_run(name):
        return _from_run(Path(name).expanduser(), image_size, seed, trust_code, modality, length)
    if modality != "image":
        return _of_kind(modality).load_backbone(
            name,
            weights=weights,
            image_size=image_size,
            seed=seed,
            trust_code=trust_code,
            cache=cache,
            length=length,
            assets=assets,
        )
    if is_module(name):
        return _from_tfhub(name, image_size, trust_code)
    base, options = parse_options(name)
    build, default_size, known = _builder(base, options)
    size = image_size or default_size
    download = weights == "pretrained" and base not in BACKBONES
    model = _call_builder(base, build, size, "imagenet" if download else None, options)
    digest = ""
    if weights not in ("pretrained", "none"):
        digest = known.get(weights.rpartition("/")[2], "")
        path = local_path(weights, cache or user_cache_dir(), sha256=digest)
        digest = load_weights(model, path, sha256=known.get(path.name, ""))
    elif weights == "pretrained" and not download:
        raise UserError(
            f"The backbone {base} has no ImageNet weights to download.",
            "Give --weights=none or the path of a file.",
        )
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=ImagePreprocessor(size),
        weights="ImageNet" if download else weights,
        weights_sha256=digest,
        fresh=lambda: _call_builder(base, build, size, None, options),
    )


def check_backbone(name: str, modality: str) -> None:
    """Looks up the name without building anything; those of texts are known to KerasHub only.

    Args:
      name: as of `load_backbone`.
      modality: of the data.

    Raises:
      UserError: no such backbone or option.
    """
    plain = _LAYER_OPTION.fullmatch(name)[1]  # type: ignore[index]
    if is_run(plain) or modality == "text":
        return
    if modality == "audio":
        plain = _of_kind(modality).picture_name(plain)
    if plain and not is_module(plain):
        _builder(*parse_options(plain))


def longest(name: str, modality: str) -> float:
    """How much of an example a backbone reads when nobody says how much; infinite but of audio.

    Args:
      name: as of `load_backbone`.
      modality: of the data.
    """
    plain = _LAYER_OPTION.fullmatch(name)[1]  # type: ignore[index]
    if modality != "audio":
        return math.inf
    if is_run(plain):
        result = Path(plain).expanduser() / "result.json"
        return longest(read_json(result)["architecture"], modality) if result.is_file() else 0.0
    return _of_kind(modality).longest(plain)


def _of_kind(modality: str) -> ModuleType:
    """What knows the backbones of audio or of text: imported with the first of them."""
    return importlib.import_module(f"tftransfer.backbones.{modality}")


def is_module(name: str) -> bool:
    """Whether a name is a TF-Hub module's folder, address or handle."""
    folder = name.partition(":")[0]
    local = "/" in name and "://" not in name and folder.count("/") not in (3, 4)
    if local and not Path(folder).expanduser().exists():
        raise UserError(
            f"--backbone={name} does not exist, nor is it a Kaggle handle.",
            "Give a folder, a URL, OWNER/MODEL/FRAMEWORK/VARIATION, or a backbone's name.",
        )
    return "/" in name or (Path(folder) / "saved_model.pb").is_file()


def modality_of_backbone(name: str) -> str:
    """The kind of input that a backbone's name or folder tells of; `image` where none does."""
    settings = Path(name.partition(":")[0]).expanduser() / "config.json"
    if name.startswith("word_vectors") or (settings.is_file() and not is_run(settings.parent)):
        return "text"  # a folder of a transformer's
    found = (modality for modality, begins in _OF_KIND.items() if name.startswith(begins))
    return next(found, "image")


def backbone_names() -> list[str]:
    """Every name that needs no path: the applications and the registered ones."""
    return sorted([*applications.application_names(), *BACKBONES])


def _builder(
    base: str, options: dict[str, Any]
) -> tuple[Callable[..., keras.Model], int, dict[str, str]]:
    if base in BACKBONES:
        entry = BACKBONES[base]
        check_options(base, entry.build, options)
        return (lambda size, weights, **kw: entry.build(size, **kw)), entry.image_size, entry.sha256
    spelled = {_plain(name): entry for name, entry in applications.application_names().items()}
    constructor = spelled.get(_plain(base))
    if constructor is None:
        raise unknown_name("backbone", base, backbone_names())
    check_options(base, constructor, options)

    def build(size: int, weights: str | None, **options: Any) -> keras.Model:
        return applications.build_application(constructor, size, weights, **options)

    return build, applications.default_image_size(constructor), {}


def check_options(base: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuses options that a builder does not take."""
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    known = [each.name for each in parameters if each.name not in _NOT_OPTIONS]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of backbone {base}", option, known)


def check_counts(base: str, options: dict[str, Any], names: Iterable[str]) -> None:
    """Refuses those of the named options that are no whole number above 0.

    Raises:
      UserError: which, and what it is.
    """
    for name in names:
        value = options.get(name, 1)
        if type(value) is not int or value < 1:
            raise UserError(
                f"--backbone={base}:{name}={value}: {value} is no whole number above 0.",
                f"Give one, or leave {name} out.",
            )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _call_builder(
    base: str, build: Callable[..., keras.Model], size: int, weights: str | None, options: dict
) -> keras.Model:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_SECONDS)  # Keras would wait for ever
    try:
        return build(size, weights, **options)
    except TypeError as error:
        raise UserError(f"The backbone {base}: {error}", "Check its options.") from None
    except ValueError as error:
        text = " ".join(str(error).split())[:300]
        raise UserError(
            f"The backbone {base} at {size} px cannot be built: {text}",
            "Check --image_size and the backbone's options.",
        ) from None
    except Exception as error:
        if weights is None:
            raise
        raise UserError(
            f"The ImageNet weights of {base} could not be downloaded: "
            f"{' '.join(str(error).split())[:400]}",
            "Connect, or give --weights=PATH of a file, or --weights=none.",
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _from_tfhub(handle: str, image_size: int, trust_code: bool) -> Backbone:
    place, _, output = handle.partition(":output=")
    path, said = tfhub.trusted(place, trust_code)
    layer = tfhub.TFHubLayer(str(path), output, name="module", dtype="float32")
    declared = tfhub.declared_image_size(layer)
    if declared and image_size and declared != image_size:
        raise UserError(
            f"The module {handle} takes pictures of {declared} px, not {image_size}.",
            f"Leave --image_size out, or set it to {declared}.",
        )
    size = declared or image_size or 224
    model = tfhub.build_tfhub_model(layer, size)
    return Backbone(
        name=handle,
        architecture=handle,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=ImagePreprocessor(size),
        weights=handle,
        weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=("pixels are scaled to [0, 1], as TF-Hub's image modules take them", *said),
    )


def _from_run(
    run: Path, image_size: int, seed: int, trust_code: bool, modality: str, length: float
) -> Backbone:
    experiment = read_json(run / "config.json")["experiment"]
    stored = run / "weights.npz"
    if not stored.is_file():
        raise UserError(f"The run {run} has no weights yet.", "Finish it by --resume.")
    result = read_json(run / "result.json")
    if result["modality"] != modality:
        takes, given = (get_modality(each).plural for each in (result["modality"], modality))
        raise UserError(
            f"The run {run} takes {takes}, and the data are {given}.", "Give another --backbone."
        )
    source = load_backbone(
        result["architecture"],
        weights="none",
        image_size=image_size or experiment["image_size"],
        seed=seed,
        trust_code=trust_code or experiment["trust_code"],
        modality=modality,
        length=length or experiment["length"],
        assets=run / "assets",
    )
    values = weights.read(stored)
    weights.assign_blocks({s.name: s.layers for s in source.stages}, values, stored)
    head = tuple(values[key] for key in sorted(values) if key.startswith("head/"))
    linear = [value.ndim for value in head] == [2, 1]
    heads = experiment["recipe"]["heads"]
    plain = not any(each["normalize"] for each in heads if each["name"] == "head")
    return replace(
        source,
        name=str(run),
        weights=f"the run {run}",
        weights_sha256=file_sha256(stored),
        head=head
        if linear and plain and result["problem_type"] == ProblemType.SINGLE_LABEL
        else (),
    )
