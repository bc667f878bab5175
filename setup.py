"""The packages of a build; everything else is in setup.cfg.

An installed package has the published runs inside, as resnet_paper/published. They are mapped, not
linked: a ZIP of the repository keeps no symbolic links.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["resnet_paper", "resnet_paper.*"]),
        "resnet_paper.published",
    ],
    package_dir={"resnet_paper.published": "experiments/runs"},
)
