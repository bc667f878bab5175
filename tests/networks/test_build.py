"""Weights load into the network that they are of, from the layouts that people have."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks.build import build, load_weights

State = dict[str, Tensor]


def file_of(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture
def state() -> State:
    return build("resnet-8", seed=3).state_dict()


def in_another_scheme(state: State) -> State:
    return {
        f"layer{index}": value
        for index, (key, value) in enumerate(state.items())
        if "num_batches" not in key
    }


@pytest.mark.parametrize(
    "layout",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        in_another_scheme,
    ],
    ids=["own", "wrapped", "parallel", "wrapped and parallel", "by order"],
)
def test_layouts_that_are_taken(layout: Callable[[State], object], state: State) -> None:
    loaded = load_weights("resnet-8", file_of(layout(state)), "a.pt").state_dict()
    for key, value in state.items():
        assert torch.equal(loaded[key], value), key


def test_taking_keys_by_their_order_is_said(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    load_weights("resnet-8", file_of(state), "a.pt")
    assert capsys.readouterr().err == ""
    load_weights("resnet-8", file_of(in_another_scheme(state)), "a.pt")
    assert "a.pt: the keys are of another scheme" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda _: nn.Linear(2, 2), "a pickled model"),
        (lambda _: [1, 2], "holds no state dict"),
        (lambda state: {**state, "extra": torch.zeros(1)}, "unexpected: extra"),
        (lambda state: dict(list(state.items())[1:]), "missing: stem.conv.weight"),
        (lambda _: build("resnet-14").state_dict(), "and "),
        (lambda state: {key: value[..., None] for key, value in state.items()}, "shapes differ"),
    ],
)
def test_what_does_not_fit_is_said(
    content: Callable[[State], object], says: str, state: State
) -> None:
    with pytest.raises(UserError, match=r"a\.pt") as caught:
        load_weights("resnet-8", file_of(content(state)), "a.pt")
    assert says in caught.value.message
