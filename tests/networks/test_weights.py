"""Weights load into the network that they are of, from the layouts that people have."""

import argparse
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.networks.weights import load_weights
from resnet_paper.pretrained import Classifier

State = dict[str, Tensor]
BN = ("weight", "bias", "running_mean", "running_var")


def file_of(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def trained(network: str, classes: int | None = None) -> nn.Module:
    """A network no two tensors of which are alike, BN's included."""
    built = build(network, seed=3, classes=classes)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, *module.buffers()):
                if values.is_floating_point():
                    values.uniform_(0.5, 1.5)
    return built


@pytest.fixture
def network() -> nn.Module:
    return trained("resnet-8")


@pytest.fixture
def state(network: nn.Module) -> State:
    return network.state_dict()


def assert_loads(network: str, content: bytes, expected: State) -> None:
    loaded = load_weights(network, content, "a.pt").state_dict()
    for key, value in expected.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(loaded[key], value), key


def refusal(network: str, content: bytes) -> str:
    with pytest.raises(UserError, match=r"^a\.pt") as caught:
        load_weights(network, content, "a.pt")
    return caught.value.message


def averaged(network: nn.Module) -> State:
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "layout",
    [
        lambda network: network.state_dict(),
        lambda network: {"epoch": 3, "state_dict": network.state_dict()},
        lambda network: {"net": network.state_dict(), "acc": 91.2, "epoch": 199},
        lambda network: {"model": network.state_dict(), "ema": network.state_dict()},
        lambda network: {"model_state_dict": network.state_dict(), "optimizer_state_dict": {}},
        lambda network: {"resnet": network.state_dict(), "name": "resnet"},
        lambda network: {"checkpoint": 1, "model": {"state_dict": network.state_dict()}},
        lambda network: {"checkpoint": {"model": network.state_dict(), "epoch": 3}},
        lambda network: prefixed(network.state_dict(), "module."),
        lambda network: {"state_dict": prefixed(network.state_dict(), "module.model.")},
        lambda network: prefixed(network.state_dict(), "_orig_mod."),
        averaged,
        lambda network: Classifier(network).state_dict(),
        lambda network: averaged(Classifier(network)),
    ],
    ids=[
        *("own", "wrapped", "pytorch-cifar", "beside an average", "with an optimizer"),
        *("under another name", "wrapped twice", "wrapped in another"),
        *("parallel", "wrapped and parallel", "compiled"),
        *("SWA", "pretrained", "SWA of a pretrained"),
    ],
)
def test_layouts_that_are_taken(
    layout: Callable[[nn.Module], object], network: nn.Module, state: State
) -> None:
    assert_loads("resnet-8", file_of(layout(network)), state)


def test_a_count_of_another_shape_is_left_out(state: State) -> None:
    content = file_of({**state, "stem.bn.num_batches_tracked": torch.zeros(1)})
    assert_loads("resnet-8", content, state)


def test_safetensors_are_taken(state: State) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    assert_loads("resnet-8", safetensors.save(state), state)
    assert "damaged or incomplete" in refusal("resnet-8", safetensors.save(state)[:5_000])


# Keys of another scheme


def in_another_scheme(
    state: State, bn: Iterable[str] = BN, words: dict[str, str] | None = None
) -> State:
    """As most reproductions name their layers, with BN's tensors in this order and by these words.

    Keys stand in the order of the data, counts of batches are left out.
    """
    layers: dict[str, State] = {}
    for key, value in state.items():
        layer, role = key.rsplit(".", 1)
        layers.setdefault(layer, {})[role] = value
    scheme = {}
    for layer, tensors in layers.items():
        name = layer.replace("stem.", "").replace("shortcut", "downsample")
        name = {"conv": "conv1", "bn": "bn1", "classifier": "fc"}.get(name, name)
        name = re.sub(r"stages\.(\d)", lambda match: f"layer{int(match[1]) + 1}", name)
        for role in bn if "running_mean" in tensors else tensors:
            scheme[f"{name}.{(words or {}).get(role, role)}"] = tensors[role]
    return scheme


@pytest.mark.parametrize(
    ("bn", "words"),
    [
        (BN, {}),
        (("bias", "weight", "running_mean", "running_var"), {}),
        (("running_var", "running_mean", "bias", "weight"), {}),
        (
            ("bias", "weight", "running_var", "running_mean"),
            {"running_mean": "moving_mean", "running_var": "moving_variance"},
        ),
        (("running_var", "bias", "running_mean", "weight"), {"running_var": "variance"}),
    ],
    ids=["own order", "bias first", "reversed", "moving averages", "mixed"],
)
def test_bn_tensors_are_told_apart_by_their_words_in_any_order(
    bn: tuple[str, ...], words: dict[str, str], state: State
) -> None:
    """A BN's four tensors have one shape."""
    assert_loads("resnet-8", file_of(in_another_scheme(state, bn, words)), state)


def test_gamma_and_beta_are_bns_weight_and_bias(state: State) -> None:
    words = {"weight": "gamma", "bias": "beta"}
    scheme = in_another_scheme(state, BN[::-1])
    layers = {f"{key.rsplit('.', 1)[0]}." for key in scheme if "running" in key}
    renamed = {
        key.replace(role, words[role])
        if key.startswith(tuple(layers)) and (role := key.rsplit(".", 1)[1]) in words
        else key: value
        for key, value in scheme.items()
    }
    assert "bn1.gamma" in renamed
    assert_loads("resnet-8", file_of(renamed), state)


@pytest.mark.parametrize(
    "order",
    [
        lambda keys: sorted(keys),
        lambda keys: keys[::-1],
        lambda keys: [k for k in keys if "bn" not in k] + [k for k in keys if "bn" in k],
        lambda keys: sorted(keys, key=lambda key: ("downsample" not in key, key)),
        lambda keys: np.random.default_rng(0).permutation(keys).tolist(),
    ],
    ids=["alphabetical", "reversed", "BN after convolutions", "shortcuts first", "any"],
)
@pytest.mark.parametrize("name", ["resnet-8-b", "resnet-20-c", "plain-74"])
def test_layers_are_told_apart_by_the_numbers_in_their_names_in_any_order(
    name: str, order: Callable[[list[str]], list[str]]
) -> None:
    """74 layers: 12 blocks a stage, so that 10 stands before 2 in the alphabet."""
    state = trained(name).state_dict()
    scheme = in_another_scheme(state)
    keys = order(list(scheme))
    assert_loads(name, file_of({key: scheme[key] for key in keys}), state)


def keras_names(state: State) -> State:
    """conv2d, batch_normalization, conv2d_1, batch_normalization_1, ..., dense."""
    scheme, counts = {}, {"conv": -1, "bn": -1}
    for key, value in in_another_scheme(state).items():
        layer, role = key.rsplit(".", 1)
        kind = "bn" if "bn" in layer else "conv"
        counts[kind] += role == "weight"
        name = {"bn": "batch_normalization", "conv": "conv2d"}[kind]
        number = f"_{counts[kind]}" if counts[kind] else ""
        scheme["dense/" + role if layer == "fc" else f"{name}{number}/{role}:0"] = value
    return scheme


def sequential_names(state: State) -> State:
    """0.weight, 1.weight, ...: one list of convolutions, BNs and, at the end, the classifier."""
    layers = list(dict.fromkeys(key.rsplit(".", 1)[0] for key in in_another_scheme(state)))
    return {
        f"features.{layers.index(key.rsplit('.', 1)[0])}.{key.rsplit('.', 1)[1]}": value
        for key, value in in_another_scheme(state).items()
    }


def letters(state: State) -> State:
    """stem, stem_bn, s1.b1.f.a, s1.b1.f.a_bn, s1.b1.f.b, ..."""
    scheme = {}
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            key = re.sub(r"stages\.(\d)\.(\d)", r"s\1.b\2.f", key)
            key = re.sub(
                r"(conv|bn)([12])", lambda m: "ab"[int(m[2]) - 1] + "_bn" * (m[1] == "bn"), key
            )
            scheme[key.replace("stem.conv", "stem").replace("stem.bn", "stem_bn")] = value
    return scheme


@pytest.mark.parametrize("scheme", [keras_names, sequential_names, letters])
def test_schemes_of_other_libraries(scheme: Callable[[State], State]) -> None:
    state = trained("plain-20").state_dict()
    assert_loads("plain-20", file_of(dict(reversed(scheme(state).items()))), state)


def test_torchvisions_bottlenecks_and_their_shortcuts() -> None:
    """The last convolution of the first block and its shortcut's have one shape."""
    from torchvision.models import resnet50

    with torch.device("meta"):
        theirs = resnet50().state_dict()
    state = build("imagenet-resnet-50").state_dict()
    own = [key for key in state if "num_batches" not in key]
    keys = [key for key in theirs if "num_batches" not in key]
    assert "layer1.0.conv3.weight" in keys
    assert "layer1.0.downsample.0.weight" in keys
    assert_loads(
        "imagenet-resnet-50", file_of({k: state[o] for k, o in zip(keys, own, strict=True)}), state
    )


def test_keys_of_another_scheme_are_noted(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    load_weights("resnet-8", file_of(state), "a.pt")
    assert capsys.readouterr().err == ""
    load_weights("resnet-8", file_of(in_another_scheme(state)), "a.pt")
    assert capsys.readouterr().err.startswith("a.pt: the keys are of another scheme")


def renamed(state: State, names: dict[str, str]) -> State:
    """Another scheme, in which layers have other names."""
    return {
        f"{names.get(layer, layer)}.{role}": value
        for key, value in in_another_scheme(state).items()
        for layer, role in [key.rsplit(".", 1)]
    }


def lists(names: str) -> Callable[[State], State]:
    """Lists of first and of second convolutions, as conv1s.0, conv1s.1, conv2s.0, ..."""

    def scheme(state: State) -> State:
        return {
            re.sub(r"(\d)\.(\d)\.(conv|bn)(\d)", names, key): value
            for key, value in in_another_scheme(state).items()
        }

    return scheme


@pytest.mark.parametrize(
    "names",
    [
        *(r"\1.\3s\4.\2", r"\1.\3\4.\2", r"\1.\3\4s.\2", r"\1.\3_\4.b\2"),
        *(r"\1.c\4.\2.\3", r"\1.cnn\4.\2_\3", r"\1.half\4.1.\2.\3", r"\1.\3.0.\4.\2"),
    ],
)
def test_lists_of_first_and_of_second_layers_are_not_taken_one_after_the_other(names: str) -> None:
    message = refusal("plain-20", file_of(lists(names)(build("plain-20").state_dict())))
    assert "its keys do not say which comes first, layer1." in message


def test_lists_by_letters_are_not_taken_one_after_the_other_either() -> None:
    by_numbers = lists(r"\1.c\4.\2.\3")(build("plain-20").state_dict())
    scheme = {key.replace("c1", "a").replace("c2", "b"): v for key, v in by_numbers.items()}
    assert "layer1.a.0.bn.weight" in scheme
    message = refusal("plain-20", file_of(scheme))
    assert "its keys do not say which comes first, layer1." in message


def test_a_number_of_each_block_and_layer_says_the_order() -> None:
    """Blocks of a Sequential, whose BNs are numbered too: 0.body.0, 0.body.1, 0.1, 0.2."""
    state = trained("plain-20").state_dict()
    for place in ("body.", ""):
        scheme = {
            re.sub(
                r"\.(conv|bn)(\d)",
                lambda m, place=place: f".{place}{3 * int(m[2]) + (m[1] == 'bn')}",
                key.replace("stages", "layers"),
            ): value
            for key, value in state.items()
            if "num_batches" not in key
        }
        assert f"layers.0.0.{place}6.weight" in scheme
        assert_loads("plain-20", file_of(dict(reversed(scheme.items()))), state)


def test_stages_of_different_lengths_are_no_lists() -> None:
    """conv4_2 to conv4_4 and conv5_1 to conv5_4 have one shape."""
    state = trained("vgg-19").state_dict()
    lengths = [2, 2, 4, 4, 4]
    names: dict[str, str] = {}
    features = dict.fromkeys(key.rsplit(".", 1)[0] for key in state if "features" in key)
    convolutions = [name for name in features if state[f"{name}.weight"].ndim == 4]
    places = [f"{stage}_{i + 1}" for stage, n in enumerate(lengths, start=1) for i in range(n)]
    for name, place in zip(convolutions, places, strict=True):
        number = int(name.rsplit(".", 1)[1])
        names |= {name: f"conv{place}", f"features.{number + 1}": f"bn{place}"}
    scheme = {
        f"{names.get(layer, layer)}.{role}": value
        for key, value in state.items()
        for layer, role in [key.rsplit(".", 1)]
        if role != "num_batches_tracked"
    }
    assert "conv5_1.weight" in scheme
    assert_loads("vgg-19", file_of(scheme), state)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        (
            lambda state: renamed(
                state,
                {"layer1.0.conv1": "layer1.0.s.conv", "layer1.0.conv2": "layer1.0.m.conv"}
                | {"layer1.0.bn1": "layer1.0.s.bn", "layer1.0.bn2": "layer1.0.m.bn"},
            ),
            "which comes first, layer1.0.m.conv or layer1.0.s.conv",
        ),
        (lambda state: {f"layer{i}": v for i, v in enumerate(state.values())}, "layer0 ends in no"),
        (lambda state: {str(i): v for i, v in enumerate(state.values())}, "0 ends in no such word"),
        (
            lambda state: renamed(
                state, {"layer1.0.conv1": "layer1.0.first", "layer1.0.conv2": "layer1.0.other"}
            ),
            "do not say which layer layer1.0.bn1 follows",
        ),
        (
            lambda state: renamed(
                state,
                {
                    "layer1.0.conv1": "layer1.0.in.conv",
                    "layer1.0.bn1": "layer1.0.in.bn",
                    "layer1.0.conv2": "layer1.0.out.conv",
                    "layer1.0.bn2": "layer1.0.out.bn",
                },
            ),
            "which comes first, layer1.0.in.conv or layer1.0.out.conv",
        ),
        (lambda state: renamed(state, {"layer1.0.bn2": "layer1.0.bn"}), "which layer layer1.0.bn"),
        (lambda state: renamed(state, {"bn1": "bn0"}), "do not say which layer bn0 follows"),
        (lambda state: renamed(state, {"conv1": "conv1.beta"}), "which layer bn1 follows"),
        (
            lambda state: {
                key.replace("running_var", "running_std"): value
                for key, value in in_another_scheme(state).items()
            },
            "bn1.running_std ends in no such word",
        ),
        (
            lambda state: {
                re.sub(r"layer(\d)", lambda stage: f"layer.-{4 - int(stage[1])}", key): value
                for key, value in in_another_scheme(state).items()
            },
            "its keys number layers below 0, as layer.-3.0.conv1",
        ),
        (
            lambda state: {
                re.sub(r"layer(\d)", lambda stage: f"layer.last{4 - int(stage[1])}", key): value
                for key, value in in_another_scheme(state).items()
            },
            "its keys may number layers from the end, as layer.last3.0.conv1",
        ),
        (
            lambda state: {
                re.sub(
                    r"layer(\d)", lambda stage: f"layer.\N{MINUS SIGN}{4 - int(stage[1])}", key
                ): v
                for key, v in in_another_scheme(state).items()
            },
            "its keys are not in ASCII, as layer.\N{MINUS SIGN}3.0.conv1",
        ),
        (
            lambda state: in_another_scheme(state) | {"conv1/weight": state["stem.conv.weight"]},
            "conv1.weight and conv1/weight are both the weight of conv1",
        ),
        (
            lambda state: in_another_scheme(state) | {"bn1.gamma": state["stem.bn.weight"]},
            "bn1.weight and bn1.gamma are both the weight of bn1",
        ),
    ],
    ids=[
        *(
            "small and medium",
            "no roles",
            "numbers alone",
            "unnumbered names",
            "unnumbered blocks",
            "BN without a",
        ),
        *("BN of another number", "deeper", "another statistic", "negative", "last", "minus"),
        *("twice", "two words"),
    ],
)
def test_what_keys_do_not_say_is_not_guessed(
    scheme: Callable[[State], State], says: str, state: State
) -> None:
    counted = {key: value for key, value in state.items() if "num_batches" not in key}
    message = refusal("resnet-8", file_of(scheme(counted)))
    assert says in message
    assert "NETWORK" not in message


# What does not fit


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda state: {**state, "extra": torch.zeros(1)}, "(unexpected: extra)"),
        (lambda state: dict(list(state.items())[1:]), "(missing: stem.conv.weight)"),
        (
            lambda _: build("resnet-14").state_dict(),
            "and 27 more): try NETWORK=plain-14 or resnet-14",
        ),
        (lambda _: build("resnet-8-b").state_dict(), ": try NETWORK=resnet-8-b"),
        (lambda _: in_another_scheme(build("resnet-8-b").state_dict()), ": try NETWORK=resnet-8-b"),
        (lambda _: build("vgg-19").state_dict(), ": try NETWORK=vgg-19"),
        (
            lambda _: build("resnet-8", classes=100).state_dict(),
            "(classifier.weight is (100, 64), not (10, 64))",
        ),
        (
            lambda _: in_another_scheme(build("resnet-8", classes=100).state_dict()),
            "(fc.weight is (100, 64), not (10, 64))",
        ),
        (
            lambda state: {
                key: value.permute(2, 3, 1, 0) if value.ndim == 4 else value
                for key, value in in_another_scheme(state).items()
            },
            "(conv1.weight is (3, 3, 3, 16), not (16, 3, 3, 3))",
        ),
        (
            lambda state: {**in_another_scheme(state), "conv1.bias": torch.zeros(16)},
            "(unexpected: conv1.bias)",
        ),
    ],
)
def test_weights_of_another_network_are_refused_and_it_is_named(
    content: Callable[[State], object], says: str, state: State
) -> None:
    message = refusal("resnet-8", file_of(content(state)))
    assert message.startswith("a.pt does not hold the weights of a resnet-8 (")
    assert message.endswith(says)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, state: State) -> None:
    state["classifier.weight"][3, 5] = value
    said = "a.pt: classifier.weight has NaN or infinite weights"
    assert refusal("resnet-8", file_of(state)).startswith(said)


def test_weights_beyond_float32_are_refused(state: State) -> None:
    state["classifier.weight"] = state["classifier.weight"].double() * 1e300
    assert "has NaN or infinite weights" in refusal("resnet-8", file_of(state))


def test_a_negative_variance_is_refused(state: State) -> None:
    """As of a mean under the variance's name."""
    state["stem.bn.running_var"][3] = -0.5
    said = "a.pt: stem.bn.running_var has negative variances"
    assert refusal("resnet-8", file_of(state)).startswith(said)


@pytest.mark.parametrize(
    ("change", "says"),
    [(Tensor.to_sparse, "sparse"), (lambda t: t.to("meta"), "on the meta device")],
)
def test_weights_without_dense_numbers_are_refused(
    change: Callable[[Tensor], Tensor], says: str, state: State
) -> None:
    state["stem.conv.weight"] = change(state["stem.conv.weight"])
    assert f"a.pt: stem.conv.weight is {says}: " in refusal("resnet-8", file_of(state))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_floats_are_refused(dtype: torch.dtype, state: State) -> None:
    content = file_of({key: value.to(dtype) for key, value in state.items()})
    assert "not of floats" in refusal("resnet-8", content)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_taken(dtype: torch.dtype, state: State) -> None:
    others = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    expected = {k: v.to(state[k].dtype) for k, v in others.items()}
    assert_loads("resnet-8", file_of(others), expected)


# What a file is instead


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def scripted(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.zeros(3))
    return buffer.getvalue()


def containing_itself() -> dict[str, object]:
    checkpoint: dict[str, object] = {"epoch": 3}
    checkpoint["state_dict"] = {"model": checkpoint}
    return checkpoint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a.pt is empty"),
        (b"\n", "a.pt is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>\n<title>Sign in</title>", "a web page (HTML)"),
        (b"\n\n<html lang='en'>caf\xc3\xa9", "a web page (HTML)"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "a web page (HTML)"),
        (b'{"message": "Not Found"}', "a text file"),
        ("<!-- caf\u00e9 --><html>".encode(), "a text file"),
        (("\u00e9" * 1_000).encode()[1:], "damaged, incomplete or not written by torch.save"),
        (("x" + "\u00e9" * 1_000).encode(), "a text file"),
        ("<!DOCTYPE html>".encode("utf-16"), "a text file"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a text file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (gzip.compress(file_of({})), "compressed (gzip)"),
        (zipped("resnet20.pt", b"weights"), "a ZIP archive"),
        (arrays(), "a NumPy archive"),
        (scripted(nn.Linear(2, 2)), "a TorchScript archive: save model.state_dict() alone"),
        (file_of(nn.Linear(2, 2)), "a pickled object of the class torch.nn.modules.linear.Linear"),
        (file_of({"w": torch.zeros(2), "best": np.float64(8.75)}), "a NumPy scalar (numpy"),
        (file_of({"w": torch.zeros(2), "m": np.zeros(2)}), "a NumPy object (numpy"),
        (file_of({"args": argparse.Namespace(lr=0.1)}), "a Namespace (argparse.Namespace)"),
        (file_of([1, 2]), "holds a list and no state dict"),
        (file_of({}), "holds an empty dict and no state dict"),
        (file_of(containing_itself()), "holds a dict that contains itself"),
        (file_of({"epoch": 3, "lr": 0.1}), "no state dict (epoch is an int, lr is a float)"),
        (file_of({"w": torch.zeros(2), "epoch": 3}), "no state dict (epoch is an int)"),
        (
            file_of({"generator": {"w": torch.zeros(2)}, "critic": {"w": torch.zeros(2)}}),
            "several state dicts (generator, critic)",
        ),
        (
            file_of({0: {"w": torch.zeros(2)}, 1: {"w": torch.zeros(2)}}),
            "several state dicts (0, 1)",
        ),
        (file_of({"w": torch.zeros(9_000)})[:5_000], "damaged, incomplete or not written by"),
        (b"\x80\x00 neither", "damaged, incomplete or not written by torch.save"),
    ],
)
def test_a_file_is_named_as_what_it_is(content: bytes, says: str) -> None:
    assert says in refusal("resnet-8", content)
