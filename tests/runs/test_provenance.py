"""A revision is dirty where the code that makes results is, and nowhere else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from resnet_paper.runs import provenance
from resnet_paper.runs.provenance import revision

PACKAGE = provenance.PACKAGE


def git(repository: Path, *arguments: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *author, *arguments]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository that holds the package, a README and a figure, all committed."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "resnet_paper", ignore=ignore)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "table6.md").write_text("| ResNet-20 | 8.75 |\n")
    (tmp_path / "README.md").write_text("# A study\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "All of it")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "resnet_paper")
    monkeypatch.delenv("RESNET_PAPER_REVISION", raising=False)
    return tmp_path


def test_a_committed_package_has_the_revision_of_its_commit(repository: Path) -> None:
    assert revision() == git(repository, "rev-parse", "--short=12", "HEAD")


@pytest.mark.parametrize("path", ["figures/table6.md", "README.md", "figures/new.svg", "notes.py"])
def test_what_decides_no_result_makes_no_revision_dirty(repository: Path, path: str) -> None:
    (repository / path).write_text("changed\n")
    assert revision() == git(repository, "rev-parse", "--short=12", "HEAD")


@pytest.mark.parametrize("path", ["runs/recipe.py", "training/new.py", "paper/figure6.csv"])
def test_an_edited_or_new_file_of_the_package_does(repository: Path, path: str) -> None:
    (repository / "resnet_paper" / path).write_text("changed = True\n")
    assert revision() == git(repository, "rev-parse", "--short=12", "HEAD") + "-dirty"


def test_a_new_file_does_where_git_shows_none(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "resnet_paper" / "training" / "new.py").write_text("")
    assert revision().endswith("-dirty")


def test_a_removed_file_of_the_package_does(repository: Path) -> None:
    (repository / "resnet_paper" / "errors.py").unlink()
    assert revision().endswith("-dirty")


def test_python_writes_no_dirt(repository: Path) -> None:
    cache = repository / "resnet_paper" / "__pycache__"
    cache.mkdir()
    (cache / "errors.pyc").write_bytes(b"")
    assert not revision().endswith("-dirty")


def test_the_environment_may_name_the_revision(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "resnet_paper" / "errors.py").write_text("changed = True\n")
    monkeypatch.setenv("RESNET_PAPER_REVISION", "v1.0")
    assert revision() == "v1.0"


def test_outside_a_repository_the_revision_is_unknown(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(repository / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    assert revision() == "unknown"


@pytest.fixture
def thesis(repository: Path) -> Path:
    """A repository of something else, all committed."""
    other = repository / "thesis"
    other.mkdir()
    git(other, "init", "-q")
    (other / "thesis.tex").write_text("On depth\n")
    (other / ".gitignore").write_text(".venv/\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "A thesis")
    return other


@pytest.mark.parametrize("folder", [".venv/site-packages", "code", "."])
def test_a_repository_of_something_else_does_not_answer(
    folder: str, thesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed in its virtual environment, or copied into it and not tracked."""
    copy = shutil.copytree(PACKAGE, thesis / folder / "resnet_paper", copy_function=os.symlink)
    monkeypatch.setattr(provenance, "PACKAGE", Path(copy))
    assert revision() == "unknown"


def test_nor_one_that_tracks_a_copy_elsewhere_than_at_its_root(
    thesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(PACKAGE, thesis / "code" / "resnet_paper"))
    git(thesis, "add", ".")
    git(thesis, "commit", "-q", "-m", "A copy")
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    assert revision() == "unknown"


def test_nor_the_one_whose_hook_runs_it(repository: Path, thesis: Path) -> None:
    """Git sets GIT_DIR and GIT_INDEX_FILE for its hooks."""
    expected = git(repository, "rev-parse", "--short=12", "HEAD")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_DIR", str(thesis / ".git"))
        patch.setenv("GIT_INDEX_FILE", str(thesis / ".git" / "index"))
        assert revision() == expected


def test_a_worktree_of_the_repository_answers(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path_factory.mktemp("trees") / "tree"
    git(repository, "worktree", "add", "-q", str(tree))
    monkeypatch.setattr(provenance, "PACKAGE", tree / "resnet_paper")
    assert revision() == git(repository, "rev-parse", "--short=12", "HEAD")


def test_an_installed_package_has_its_version(
    thesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the distribution which it is of, not of one that is installed elsewhere."""
    site = thesis / ".venv" / "site-packages"
    shutil.copytree(PACKAGE, site / "resnet_paper", copy_function=os.symlink)
    (site / "resnet_paper-1.2.3.dist-info").mkdir()
    (site / "resnet_paper-1.2.3.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: resnet_paper\nVersion: 1.2.3\n"
    )
    monkeypatch.setattr(provenance, "PACKAGE", site / "resnet_paper")
    assert revision() == "unknown"
    monkeypatch.syspath_prepend(site)
    assert revision() == "1.2.3"
    monkeypatch.setattr(provenance, "PACKAGE", thesis / "resnet_paper")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(thesis.parent))
    assert revision() == "unknown"
