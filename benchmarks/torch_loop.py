"""Measures the seconds of the usual transfer loop in PyTorch and timm; see also `speed.py`.

    pip install torch torchvision timm absl-py
    python benchmarks/torch_loop.py --flowers=flower_photos

MobileNetV2 0.35 at 160 px, random weights: the frozen network is called in every epoch, and only
the classifier trains. Run it in a separate environment; tftransfer is not needed. The variants run
in turn, each in a new process, because the allocator reads its settings at the start; imports are
not counted. Prints a table and writes `benchmarks/results/torch_loop.json`.
"""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import torch
from absl import app, flags

try:
    import torchvision
except RuntimeError:  # a build for CUDA lacks these operators; they are declared, and not used
    _OPERATORS = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou) -> Tensor")
    import torchvision

import timm
from torch.utils.data import DataLoader, random_split
from torchvision import transforms
from torchvision.datasets import ImageFolder

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_integer("repeats", 5, "runs of each variant")
flags.DEFINE_integer("epochs", 10, "epochs, with a validation after each")

SIZE, BATCH, WORKERS = 160, 32, 2
# glibc returns large freed blocks to the system, and every layer of every step allocates them
# again. More threads than cores wait for each other.
_TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 33),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - WORKERS)),
}
# Name of a variant to memory format and environment variables.
VARIANTS = {
    "usual": ("contiguous_format", {}),
    "channels_last": ("channels_last", {}),
    "channels_last, tuned": ("channels_last", _TUNED),
}
_RESULTS = Path(__file__).parent / "results" / "torch_loop.json"


def loaders(folder):
    """80 % for training and 20 % for validation, decoded and resized by PIL in two processes."""
    steps = [transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    images = ImageFolder(folder, transforms.Compose(steps))
    train, val = random_split(images, [0.8, 0.2], torch.Generator().manual_seed(0))
    options = {"batch_size": BATCH, "num_workers": WORKERS, "persistent_workers": True}
    return DataLoader(train, shuffle=True, **options), DataLoader(val, **options)


def transfer(folder, epochs, memory_format):
    """Trains, and returns the validation accuracy, which is near chance with random weights."""
    torch.manual_seed(0)
    train, val = loaders(folder)
    model = timm.create_model("mobilenetv2_035", pretrained=False, num_classes=5)
    model = model.to(memory_format=memory_format).eval()  # freezes BatchNorm
    model.requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.Adam(model.get_classifier().parameters())
    loss = torch.nn.CrossEntropyLoss()
    correct = total = 0
    for _ in range(epochs):
        for x, y in train:
            optimizer.zero_grad()
            loss(model(x.to(memory_format=memory_format)), y).backward()
            optimizer.step()
        correct = total = 0
        with torch.inference_mode():
            for x, y in val:
                scores = model(x.to(memory_format=memory_format))
                correct += int((scores.argmax(1) == y).sum())
                total += len(y)
    return correct / total


def timed(folder, epochs, memory_format):
    """Seconds of the loop, after one warm-up step on one batch in the same process."""
    warm = timm.create_model("mobilenetv2_035", pretrained=False, num_classes=5)
    warm(next(iter(loaders(folder)[0]))[0]).sum().backward()
    started = time.perf_counter()
    accuracy = transfer(folder, epochs, getattr(torch, memory_format))
    return time.perf_counter() - started, accuracy


def environment():
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def short(word):
    flag, equals, value = word.partition("=")
    return f"{flag}={Path(value).name}" if equals else word


def main(argv):
    del argv
    results = {variant: [] for variant in VARIANTS}
    context = multiprocessing.get_context("spawn")
    for _ in range(FLAGS.repeats):
        for variant, (memory_format, settings) in VARIANTS.items():
            with mock.patch.dict(os.environ, settings), ProcessPoolExecutor(1, context) as pool:
                run = pool.submit(timed, FLAGS.flowers, FLAGS.epochs, memory_format)
                results[variant].append(run.result())
    rows = {}
    for variant, pairs in results.items():
        seconds, accuracy = map(list, zip(*pairs))
        median = statistics.median(seconds)
        rows[variant] = {"seconds": seconds, "median": median, "accuracy": accuracy}
        print(f"{variant:<28}{median:>8.2f} s for {FLAGS.epochs} epochs", flush=True)
    command = " ".join(["python", "benchmarks/torch_loop.py", *map(short, sys.argv[1:])])
    measured = {"epochs": FLAGS.epochs, "tuned": _TUNED, "rows": rows}
    stored = {"command": command, "environment": environment(), "measured": measured}
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps({"torch": stored}, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
