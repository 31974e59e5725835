"""Small generated data under the names that the pages use."""

import json
import wave

import numpy as np
from PIL import Image

_PER_CLASS = 24
_FLOWERS = ("daisy", "rose", "tulip")


def _image(path, label, number, size=48):
    """Writes an image of noise around a color that stands for the label."""
    rng = np.random.default_rng([label, number, sum(path.name.encode())])
    color = np.random.default_rng(label).integers(40, 215, 3)
    pixels = np.clip(color + rng.integers(-40, 40, (size, size, 3)), 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def class_folders(classes, count=_PER_CLASS):
    def make(folder):
        for label, name in enumerate(classes):
            for number in range(count):
                _image(folder / name / f"{folder.name}-{number:02}.png", label, number)

    return make


def flat_folder(count=3 * _PER_CLASS):
    def make(folder):
        for number in range(count):
            _image(folder / f"{folder.name}-{number:02}.png", number % 3, 100 + number)

    return make


def one_image(path):
    _image(path, 1, 999)


def table_of_groups(path):
    rows = ["file,species,garden"]
    for label, name in enumerate(_FLOWERS):
        for number in range(_PER_CLASS):
            file = f"{name}-{number:02}.png"
            _image(path.parent / file, label, number)
            rows.append(f"{file},{name},{('north', 'south', 'east', 'west')[number % 4]}")
    path.write_text("\n".join(rows) + "\n")


def table_of_tasks(path):
    rows = ["path,flower,season"]
    for label, name in enumerate(_FLOWERS):
        for number in range(_PER_CLASS):
            file = f"{name}-{number:02}.png"
            _image(path.parent / file, label, number)
            season = ("spring", "summer", "")[number % 3]
            rows.append(f"{file},{name},{season}")
    path.write_text("\n".join(rows) + "\n")


_WORDS = {"bad": ("dull", "boring", "slow"), "good": ("witty", "moving", "funny")}


def _sentences(count):
    rng = np.random.default_rng(0)
    for number in range(count):
        label = ("bad", "good")[number % 2]
        word = rng.choice(_WORDS[label])
        yield f"the film number {number} is {word}", label


def reviews(path):
    rows = [f"{text}\t{label}" for text, label in _sentences(60)]
    path.write_text("\n".join(["text\tlabel", *rows]) + "\n")


def new_reviews(path):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in _sentences(4)))


def word_vectors(path):
    rng = np.random.default_rng(0)
    words = ["the", "film", "is", "number", *_WORDS["bad"], *_WORDS["good"]]
    rows = [" ".join([word, *(f"{x:.4f}" for x in rng.normal(size=100))]) for word in words]
    path.write_text("\n".join(rows) + "\n")


def _clip(path, hertz, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(16_000) / 16_000
    samples = 0.3 * np.sin(2 * np.pi * hertz * rng.uniform(0.95, 1.05) * time)
    samples += 0.01 * rng.normal(size=len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())


def clips(speakers=("anna", "ben", "cleo", "dan"), flat=False):
    def make(folder):
        for label, hertz in enumerate((300, 1000, 3000)):
            for place, speaker in enumerate(speakers):
                for take in range(4):
                    name = f"{label}_{speaker}_{take}.wav"
                    path = folder / name if flat else folder / str(label) / name
                    _clip(path, hertz, [label, place, take])

    return make


# Name of a file or folder on the pages to the function that writes it.
MAKERS = {
    "flower_photos": class_folders(_FLOWERS),
    "more_photos": class_folders(_FLOWERS, 4),
    "garden": class_folders(("fern", "moss")),
    "new_photo.jpg": one_image,
    "new_photos": flat_folder(6),
    "amazon": class_folders(_FLOWERS),
    "webcam": flat_folder(),
    "webcam_labeled": class_folders(_FLOWERS, 4),
    "many_photos": flat_folder(),
    "photos/table.csv": table_of_tasks,
    "photos/labels.csv": table_of_groups,
    "reviews.tsv": reviews,
    "new_reviews.jsonl": new_reviews,
    "glove.6B.100d.txt": word_vectors,
    "sounds": clips(),
    "spoken_digits": clips(),
    "new_speaker": clips(("eve",), flat=True),
}
