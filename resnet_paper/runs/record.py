"""The schema of a run's files: Record is run.json, Measurement a row of curve.csv.

The types are a view. A digest is taken of the JSON as it stands, and a rewrite keeps all of it, so
that fields of older and newer versions are neither lost nor refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from resnet_paper.runs.recipe import Recipe

JSON = dict[str, Any]  # a JSON object as it was read


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of curve.csv. Errors in %, losses in nats.

    train_loss and train_error are means over the mini-batches since the row before. test_* use BN's
    moving averages; test_error_precise and train_error_clean (training images, not augmented) use
    statistics recomputed over augmented batches.
    """

    iteration: int
    learning_rate: float  # of the iteration before
    train_loss: float
    train_error: float
    train_error_clean: float
    val_error: float | None
    test_loss: float
    test_error: float
    test_error_precise: float
    seconds: float  # of training and measuring so far


COLUMNS = Measurement.__struct_fields__


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the software: with code, recipe and seed they decide a result's bits."""

    device: str
    precision: str
    compiled: bool
    threads: int
    device_name: str
    kernels: str = "pytorch"  # in training: those of PyTorch, or "fused"
    torch: str
    triton: str | None = None  # of fused kernels on a GPU
    numpy: str | None = None  # None, as the fields below, in records older than the field
    pillow: str | None = None  # decodes Imagenette's images
    concurrent: int | None = None  # how many runs shared the device


class Resumption(msgspec.Struct, frozen=True, kw_only=True, rename={"environment": "computed"}):
    """Where a run was resumed, and how."""

    iteration: int
    environment: Environment
    revision: str
    started: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The precision of a published run's weights and their test error (%) in float32."""

    weights: str
    test_error: float


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"environment": "computed"},
):
    """run.json. What stands below `finished` is None until the run has finished."""

    network: str
    parameters: int
    seed: int
    settings: str
    recipe: Recipe
    environment: Environment
    revision: str
    started: str
    resumed: tuple[Resumption, ...] = ()
    sha256: dict[str, str] = {}
    finished: bool

    seconds: float | None = None
    images_per_second: float | None = None
    warmup_end: int | None = None  # None too where a run never left its warm-up
    diverged: int | None = None  # the iteration at which the loss had become infinite or NaN
    test_error: float | None = None
    test_error_precise: float | None = None
    test_loss: float | None = None  # None too where it is not finite
    val_error: float | None = None
    train_error_clean: float | None = None
    published: Published | None = None

    def __post_init__(self) -> None:
        if self.finished and (self.test_error is None or "curve.csv" not in self.sha256):
            raise ValueError("a finished run has a test_error and the SHA-256 of its curve.csv")


class Stored(NamedTuple):
    """The content of a run.json as JSON and as a Record."""

    content: JSON
    record: Record


def decode(text: bytes | str) -> Stored:
    """The content of a run.json.

    Raises ValueError, which names the path of the wrong field, if it is not a record, and if the
    record's own SHA-256 is not that of what it says.
    """
    content = json.loads(text)
    record = msgspec.convert(content, Record)
    if record.sha256.get("run.json") != digest(content):
        raise ValueError("its SHA-256 is not that of what it says")
    return Stored(content, record)


def encode(content: Mapping[str, Any]) -> bytes:
    """A record's JSON as a run.json, with the SHA-256 of all else that it says."""
    digests = {**content.get("sha256", {}), "run.json": digest(content)}
    return (json.dumps({**content, "sha256": digests}, indent=2, allow_nan=False) + "\n").encode()


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of a record, but for that digest itself."""
    digests = {key: value for key, value in content.get("sha256", {}).items() if key != "run.json"}
    text = json.dumps({**content, "sha256": digests}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The first field in which two JSON objects differ, as in "seed 0, not 1"; "" for none."""
    for key in {**expected, **recorded}:
        if recorded.get(key) != expected.get(key):
            return f"{key} {recorded.get(key)}, not {expected.get(key)}"
    return ""


def recipe_of(content: Mapping[str, Any]) -> JSON:
    """The recipe in a run.json; a field that is newer than the record has its default."""
    return {**as_json(Recipe()), **content["recipe"]}


def as_json(struct: msgspec.Struct) -> JSON:
    """A struct as JSON has it, by the names of its fields in the files."""
    return json.loads(msgspec.json.encode(struct))
