"""Names are parsed in one place, strictly; commands take them as people type them."""

import pytest

from resnet_paper import names
from resnet_paper.errors import UnknownNetworkError, UserError
from resnet_paper.names import Name


@pytest.mark.parametrize(
    ("network", "name", "title"),
    [
        ("plain-20", Name("plain", 20), "plain-20"),
        ("resnet-110", Name("resnet", 110, "A"), "ResNet-110"),
        ("resnet-20-b", Name("resnet", 20, "B"), "ResNet-20 B"),
        ("resnet-20x2", Name("resnet", 20, "A", 2), "ResNet-20x2"),
        ("plain-20x10", Name("plain", 20, width=10), "plain-20x10"),
        ("resnet-18", Name("four-stage", 18), "ResNet-18"),
        ("imagenet-resnet-50", names.imagenet_resnet(50), "ImageNet ResNet-50"),
        ("vgg-19", names.OTHERS["vgg-19"], "VGG-19"),
        ("simple-cnn", names.OTHERS["simple-cnn"], "SimpleCNN"),
    ],
)
def test_what_a_name_says(network: str, name: Name, title: str) -> None:
    assert names.parse(network) == name
    assert names.title(network) == title


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("resnet-21", "resnet-20 or resnet-26"),
        ("resnet-19-c", "resnet-14-c or resnet-20-c"),
        ("resnet-21x2", "resnet-20x2 or resnet-26x2"),
        ("resnet-20x1", "no network is called 'resnet-20x1'"),
        ("plain-20-b", "no network is called 'plain-20-b'"),
        ("resent-20", "did you mean resnet-20?"),
        ("vgg-18", "did you mean vgg-19?"),
        ("densenet", "no network is called 'densenet': names are"),
        ("resnet20", "did you mean resnet-20?"),
    ],
)
def test_other_names_are_refused_with_the_nearest(network: str, says: str) -> None:
    with pytest.raises(UnknownNetworkError) as caught:
        names.parse(network)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("typed", "network"),
    [
        ("resnet20", "resnet-20"),
        ("ResNet-20", "resnet-20"),
        ("resnet-20x2", "resnet-20x2"),
        ("ResNet20x2", "resnet-20x2"),
        ("plain_20x2", "plain-20x2"),
        ("RESNET_110", "resnet-110"),
        ("resnet20b", "resnet-20-b"),
        ("VGG19", "vgg-19"),
        ("SimpleCNN", "simple-cnn"),
        ("AlexNet", "alexnet"),
        ("VGG16", "vgg-16"),
        ("MNIST_CNN", "mnist-cnn"),
        ("imagenet_resnet50", "imagenet-resnet-50"),
    ],
)
def test_names_as_people_type_them(typed: str, network: str) -> None:
    assert names.canonical(typed) == network


@pytest.mark.parametrize(
    ("network", "sizes"),
    [
        ("imagenet-resnet-34", (64, 160, 224)),
        ("resnet-20", (28, 32, 63)),
        ("vgg-19", (32, 63)),
        ("simple-cnn", (32,)),
    ],
)
def test_a_network_is_for_images_of_its_sizes(network: str, sizes: tuple[int, ...]) -> None:
    for size in (28, 32, 63, 64, 160, 224):
        if size in sizes:
            names.require_image_size(network, size)
        else:
            with pytest.raises(UserError, match=f"{network} is for images of .*, not {size}"):
                names.require_image_size(network, size)


def test_depths_of_the_study_are_those_of_plain_and_option_a_nets() -> None:
    found = {name: names.study_depth(name) for name in ("plain-56", "resnet-56", "resnet-56-b")}
    assert found == {"plain-56": 56, "resnet-56": 56, "resnet-56-b": None}
    assert names.study_depth("resnet-18") is None
    assert names.study_depth("resnet-20x2") is None
    assert names.study_depth("no-such-net") is None
