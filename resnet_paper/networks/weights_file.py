"""The state dict in a file of weights, as people save them; or what the file is instead."""

from __future__ import annotations

import codecs
import io
import pickle
import re
import zipfile
from collections.abc import Mapping

import torch
from torch import Tensor

from resnet_paper.errors import UserError

# What a file is that begins so.
BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights themselves: run git lfs pull",
    b"<!doctype html": "a web page (HTML), not weights: download the file itself",
    b"<html": "a web page (HTML), not weights: download the file itself",
    b"\x89hdf": "an HDF5 file, as Keras writes them, and no state dict of PyTorch",
    b"\x93numpy": "a NumPy array and no state dict of PyTorch",
    b"\x1f\x8b": "compressed (gzip): unpack it",
    b"bzh": "compressed (bzip2): unpack it",
    b"\xfd7zxz": "compressed (xz): unpack it",
}
# Where checkpoints have the state dict, most of them beside others (an optimizer's, an average's).
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
SAVE = "save model.state_dict() alone"


def read_state(content: bytes, name: str) -> dict[str, Tensor]:
    """The state dict in a file's bytes, by torch.save or safetensors, as a dict of tensors.

    Raises UserError, which says what the file is, if it holds none.
    """
    if kind := other_kind(content):
        raise UserError(f"{name} is {kind}")
    loaded = by_safetensors(content, name) if is_safetensors(content) else by_torch(content, name)
    try:
        return unwrap(loaded, name)
    except RecursionError:
        raise UserError(f"{name} holds a dict that contains itself: {SAVE}") from None


def other_kind(content: bytes) -> str | None:
    """What a file is that surely holds no weights, None of others."""
    if not content.strip():
        return "empty"
    start = content[:1_000].removeprefix(codecs.BOM_UTF8).lstrip()
    for beginning, kind in BEGINNINGS.items():
        if start.lower().startswith(beginning):
            return kind
    if is_text(content[:1_000]):
        return "a text file, not weights"
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return None
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    if any(name.endswith(".npy") for name in names):
        return "a NumPy archive and no state dict of PyTorch"
    if any(name.endswith("constants.pkl") for name in names):
        return f"a TorchScript archive: {SAVE}"
    if not any(name.endswith("data.pkl") for name in names):
        return "a ZIP archive that torch.save has not written: unpack it"
    return None


def is_text(start: bytes) -> bool:
    """True if a file that begins so is text, in UTF-8 or UTF-16."""
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
    try:
        return all(char.isprintable() or char.isspace() for char in decoder.decode(start))
    except UnicodeDecodeError:
        return False


def is_safetensors(content: bytes) -> bool:
    """True if a file begins with the length of a JSON header, then "{"."""
    return content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= 100_000_000


def by_safetensors(content: bytes, name: str) -> object:
    """The tensors of a safetensors file; UserError if it is damaged, or without the library."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise UserError(f"{name} is a safetensors file: pip install safetensors") from error
    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(f"{name} is a safetensors file that is damaged or incomplete") from error


def by_torch(content: bytes, name: str) -> object:
    """What torch.save has written, of tensors and plain Python objects; UserError otherwise."""
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        refused = re.search(r"GLOBAL (\S+) was not", str(error).replace("`", ""))
        if isinstance(error, pickle.UnpicklingError) and refused:
            raise UserError(
                f"{name} holds {in_words(refused[1])}, which is not read from files (torch.load's "
                f"weights_only): {SAVE}"
            ) from error
        raise UserError(
            f"{name} holds no weights that can be read: it is damaged, incomplete or not written "
            "by torch.save"
        ) from error


def in_words(refused: str) -> str:
    """A class that weights_only=True refuses, in words."""
    if refused.startswith("numpy"):
        scalar = refused.endswith(".scalar")
        return f"a NumPy {'scalar' if scalar else 'object'} ({refused}) beside tensors"
    if refused == "argparse.Namespace":
        return "a Namespace (argparse.Namespace) beside tensors"
    return f"a pickled object of the class {refused}, not only tensors"


def unwrap(loaded: object, name: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint; UserError if there is none, or if there are several."""
    if not isinstance(loaded, Mapping) or not loaded:
        raise UserError(f"{name} holds {article(loaded)} and no state dict: {SAVE}")
    others = [key for key, value in loaded.items() if not isinstance(value, Tensor)]
    if not others:
        return {str(key): value for key, value in loaded.items()}
    inside = [key for key in others if isinstance(loaded[key], Mapping) and loaded[key]]
    named = [key for key in inside if key in WRAPPERS]
    of_tensors = [key for key in inside if all(isinstance(v, Tensor) for v in loaded[key].values())]
    chosen = named or of_tensors or (inside if len(inside) == 1 else [])
    if len(chosen) > 1:
        raise UserError(f"{name} holds several state dicts ({', '.join(map(str, chosen))}): {SAVE}")
    if not chosen:
        found = ", ".join(f"{key} is {article(loaded[key])}" for key in others[:3])
        raise UserError(f"{name} holds no state dict ({found}): {SAVE}")
    return unwrap(loaded[chosen[0]], name)


def article(value: object) -> str:
    """The type of a value with its article: "a dict", "an int"."""
    if isinstance(value, Mapping) and not value:
        return "an empty dict"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
