"""Links in the pages lead to files, to headings in them, and to names that the code defines."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "experiments" / "runs").glob("*.md"),
]
LINK = re.compile(r"""(?:\[(?P<text>[^\]]*)\]\(|src=")(?!https?:)(?P<target>[^)"\s]+)""")
NAME = re.compile(r"`([A-Za-z_][\w.]*)`")


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Of each relative link: its text, the file and the heading that it leads to."""
    found = []
    for match in LINK.finditer(page.read_text()):
        name, _, place = match["target"].partition("#")
        found.append((match["text"] or "", page.parent / name if name else page, place))
    return found


def anchor(heading: str) -> str:
    """What GitHub calls the place of a heading in a link."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def defined(module: Path) -> set[str]:
    """Functions, classes, their members ("Recipe.padding") and constants of a module."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], within: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(within + node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{within}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets += [node.target] if isinstance(node, ast.AnnAssign) else []
            found.update(within + each.id for each in targets if isinstance(each, ast.Name))

    visit(ast.parse(module.read_text()).body, "")
    return found


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for text, file, place in links(page):
        name = NAME.fullmatch(text)
        if not file.exists():
            found.append(f"{file} does not exist")
        elif place and place not in map(anchor, re.findall(r"^#+ (.*)$", file.read_text(), re.M)):
            found.append(f"{file} has no heading {place}")
        elif file.suffix == ".py" and name and name[1] not in defined(file):
            found.append(f"{file} does not define {name[1]}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "class A:\n    b: int = 1\n\n    def c(self): ...\n\n\nD = 1\n"
    )
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[here](#a-title) [`A.b`](code.py) [`A.c`](code.py) [`D`](code.py)\n"
        '[x](none.md) [there](#titles) [`b`](code.py) <img src="none.png">'
    )
    assert [line.removeprefix(f"{tmp_path}/") for line in dead(page)] == [
        "none.md does not exist",
        "page.md has no heading titles",
        "code.py does not define b",
        "none.png does not exist",
    ]


def test_each_statement_of_the_paper_beside_the_code_has_code_and_a_test() -> None:
    statements = re.findall(r"^- .*$", (ROOT / "docs" / "paper.md").read_text(), re.M)
    assert len(statements) > 20
    for each in statements:
        _, code, test = re.split(r": (?=\[)|; tested by ", each)
        assert "](../resnet_paper/" in code, each
        assert "](../tests/" in test, each
