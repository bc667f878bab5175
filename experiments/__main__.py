"""`python experiments TARGET`: make runs the commands of this directory by this.

`python experiments check TARGETS` refuses slips on make's command line before a target is made, and
`python experiments help` is `make help`. A target is a file here, or a line of the Makefile that
ends in `## text [VARIABLES THAT IT USES]`.
"""

import ast
import os
import re
import signal
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).absolute().parent
COMMANDS = sorted(file.stem for file in HERE.glob("*.py") if not file.stem.startswith("__"))
MAKEFILE = (HERE.parent / "Makefile").read_text()
TARGETS = dict(re.findall(r"^(\w+):.*?## (.+)$", MAKEFILE, re.M))
VARIABLES = dict(re.findall(r"^## ([A-Z]+): (.+)$", MAKEFILE, re.M))


def main(target: str, *words: str) -> None:
    """Print make's help, check its targets, or run a command with its variables."""
    if target == "help":
        print_help()
        return
    targets = words if target == "check" else [target]
    if unknown := [name for name in targets if name not in {*COMMANDS, *TARGETS}]:
        sys.exit(f"Error: there is no target {' '.join(unknown)}: make help lists them")
    from resnet_paper.errors import UserError
    from resnet_paper.study import make_variables

    typed = make_variables.typed(os.environ.get("MAKEFLAGS", ""))
    try:
        if target == "check":
            make_variables.check({name: used(name) for name in targets} if typed else {}, typed)
            return
        arguments = make_variables.arguments(command(target), typed)
    except UserError as error:
        sys.exit(f"Error: {error.message}")
    command(target).main([*arguments, *words], prog_name=f"make {target}")


def command(name: str) -> Any:
    """The click command of a file of this directory."""
    return import_module(f"experiments.{name}").main


def used(target: str) -> dict[str, Any]:
    """The variables that a target uses, and of a command the options that these are."""
    from resnet_paper.study.make_variables import options_of

    if target in COMMANDS:
        return options_of(command(target))
    return dict.fromkeys(" ".join(re.findall(r"\[(.+)\]", TARGETS[target])).split())


def summary(name: str) -> str:
    """The first sentence of what a command says that it does, without its imports."""
    tree = ast.parse((HERE / f"{name}.py").read_text())
    mains = [node for node in tree.body if getattr(node, "name", "") == "main"]
    said = ast.get_docstring((mains or [tree])[0]) or ""
    return said.splitlines()[0].rstrip(".") if said else ""


def print_help() -> None:
    """Targets and variables, a line each: those of commands from their click options."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # make help | head
    print("Targets:")
    for name, text in sorted({**TARGETS, **{name: summary(name) for name in COMMANDS}}.items()):
        print(f"  {name:<13} {text}")
    print("Variables (make TARGET NAME=VALUE):")
    for name, text in VARIABLES.items():
        print(f"  {name:<13} {text}")
    try:
        from resnet_paper.study.make_variables import described, options_of
    except ImportError:
        print("  and those of the commands, which make help lists after make install")
        return
    options = defaultdict(list)
    for name in COMMANDS:
        for variable, option in options_of(command(name)).items():
            options[variable].append(option)
    for line in described(options):
        print(line)


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # the package beside this directory
    os.environ["MPLBACKEND"] = "agg"  # matplotlib refuses the name of a backend that it lacks
    os.environ["MATPLOTLIBRC"] = os.devnull  # the user's decides nothing here, readable or not
    main(*sys.argv[1:])
