"""Which of a repo's files are weights, and which of those are pickles, as their names tell before anything is here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

#: Suffixes that hold nothing but weights, by who writes them.
_SUFFIXES = frozenset(
    {
        *(".safetensors", ".gguf", ".ggml", ".onnx", ".onnx_data", ".ort"),
        *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".ptl", ".pte", ".ot"),  # torch and kin
        *(".h5", ".hdf5", ".keras", ".pb", ".tflite", ".msgpack", ".npz", ".npy", ".task", ".litertlm"),  # TF, JAX
        *(".pdiparams", ".pdmodel", ".pdparams"),  # Paddle
        *(".engine", ".plan", ".trt", ".mlmodel", ".nemo", ".mnn", ".rknn", ".params", ".caffemodel", ".tmfile"),
        *(".ftz", ".vec", ".cbm", ".ubj", ".weights", ".llamafile", ".dlc", ".axmodel", ".hef", ".om"),
    }
)
#: Names of weights that their suffix does not tell: TensorFlow's variables, external data of ONNX.
_NAMED = re.compile(r"(?:.*\.data-\d{5}-of-\d{5}|.*\.onnx[._]data.*|.*\.safetensors-\d+)", re.IGNORECASE)
#: What a trainer leaves beside weights: a repo that holds this alone is no model.
_BESIDE = re.compile(
    r"(?:training_args|optimizer|scheduler|scaler|rng_state(?:_\d+)?|trainer_state|vocab|tokenizer|fairseq_dict)"
    r"\.(?:bin|pt|pth|pkl|npy|npz)",
    re.IGNORECASE,
)
_PICKLED_SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"})
#: ``.bin`` says nothing by itself: OpenVINO, CTranslate2 and fastText write other things under it.
_PICKLED_BIN = re.compile(
    r"(?:.*pytorch_model.*|adapter_model|pytorch_lora_weights|pytorch_adapter)\.bin", re.IGNORECASE
)
_SHARD = re.compile(r"(?P<stem>.*?)(?P<number>\d{5})-of-(?P<count>\d{5})(?P<rest>.*)")


def suffix(path: str) -> str:
    """The last suffix, in small letters."""
    return PurePosixPath(path).suffix.lower()


def is_weights(path: str) -> bool:
    """Whether a file of this name holds weights."""
    name = PurePosixPath(path).name
    if _BESIDE.fullmatch(name):
        return False
    return suffix(path) in _SUFFIXES or _NAMED.fullmatch(name) is not None


def is_pickled_by_name(path: str) -> bool:
    """Whether weights of this name are a pickle for certain; a ``.bin`` of another name has to be looked into."""
    name = PurePosixPath(path).name
    return is_weights(path) and (suffix(path) in _PICKLED_SUFFIXES or _PICKLED_BIN.fullmatch(name) is not None)


def missing_shards(paths: Collection[str]) -> Iterator[str]:
    """What is missing of weights that are numbered ``00001-of-00003``, where some of them are there."""
    series: dict[tuple[str, int, str], set[int]] = {}
    for path in paths:
        if is_weights(path) and (match := _SHARD.fullmatch(path)):
            series.setdefault((match["stem"], int(match["count"]), match["rest"]), set()).add(int(match["number"]))
    for (stem, count, rest), numbers in sorted(series.items()):
        first = 0 if 0 in numbers else 1  # TensorFlow counts from 0
        for number in range(first, first + count):
            if number not in numbers:
                yield f"{stem}{number:05d}-of-{count:05d}{rest}"


def patterns_for(paths: Iterable[str]) -> list[str]:
    """Patterns of a recipe that fit these files: shards of one series are one pattern."""
    return sorted({_SHARD.sub(r"\g<stem>*-of-\g<count>\g<rest>", path) for path in paths})


def folder(path: str) -> str:
    """The folder of a file, ``""`` for the model's own."""
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent


def below(path: str, place: str) -> bool:
    """Whether a file stands in the folder ``place`` or below it."""
    return not place or path.startswith(f"{place}/")
