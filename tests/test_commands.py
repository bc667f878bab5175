"""What users type: one clear line and a non-zero exit for a mistake, files for the rest."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result
from msgspec.structs import replace

from experiments import (
    bench,
    claims,
    compare,
    fig6,
    fig7,
    gradients,
    publish,
    report,
    reproduce,
    shortcuts,
    status,
    table1,
    table6,
    train,
)
from experiments import eval as evaluate
from experiments import figures as all_figures
from resnet_paper import gradients as of_network
from resnet_paper import responses
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Result as RunResult
from tests.conftest import REAL_DATA, needs_cifar10

SCRIPTS = sorted((Path(__file__).parents[1] / "experiments").glob("[a-z]*.py"))
DEMO = ["--settings", "demo"]
IMAGENETTE = ["--settings", "imagenette"]


@pytest.mark.parametrize(
    "command",
    ["experiments figures", pytest.param("-m resnet_paper.responses", marks=pytest.mark.slow)],
)
def test_commands_draw_whatever_backend_and_matplotlibrc_the_environment_names(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"# caf\xe9\n")  # not UTF-8
    own = {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": str(tmp_path)}
    environment = {**os.environ, **own}
    argv = [sys.executable, *command.split(), "--help"]
    root = Path(__file__).parents[1]
    answer = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: click.Command, *arguments: str) -> Result:
    """The command's result, which is no traceback."""
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("command", "arguments", "status", "says"),
    [
        (train.main, ["--network", "resnet-21", *DEMO], 1, "resnet-20 or resnet-26"),
        (fig6.main, ["--depths", "20 21", *DEMO], 2, "21 is not 6n+2: the nearest are 20 or 26"),
        (fig6.main, ["--depths", "18", "--draw-only"], 2, "the nearest are 14 or 20"),
        (shortcuts.main, ["--depth", "18", "--draw-only"], 2, "the nearest are 14 or 20"),
        (fig6.main, ["--depths", "twenty"], 2, "not a list of depths"),
        (table6.main, ["--settings", "papre"], 2, "SETTINGS (--settings): 'papre' is none of"),
        (table6.main, ["--seeds", "0"], 2, "SEEDS (--seeds)"),
        (
            train.main,
            DEMO,
            2,
            "Missing option NETWORK (--network). Say which, as in NETWORK=resnet-20",
        ),
        (evaluate.main, ["--weights", "none"], 2, "WEIGHTS (--weights): File 'none' does not ex"),
        (train.main, ["--network", "resnet-8", "--seed", "-1"], 2, "use a whole number from 0"),
        (
            train.main,
            ["--network", "imagenet-resnet-50", *DEMO],
            1,
            "64 pixels a side or more, not 32",
        ),
        (train.main, ["--network", "resnet-20", *IMAGENETTE], 1, "8 to 63 pixels a side, not 160"),
        (compare.main, DEMO, 1, "'demo' compares nothing: use 100-epochs"),
        (evaluate.main, ["--network", "resnet-8"], 1, "no weights of resnet-8 are recorded in exp"),
        (status.main, ["--runs", "myne"], 1, "myne does not exist: is RUNS (--runs) mistyped?"),
        (publish.main, [], 1, "is where published runs are"),
        (publish.main, ["--runs", "myne"], 1, "no finished run in myne/paper"),
        (table6.main, ["--draw-only", "--runs", "myne"], 1, "no finished run in myne/paper"),
        (claims.main, ["--runs", "myne"], 1, "no finished run in myne/paper"),
        (fig6.main, ["--network", "resnet26", *DEMO], 1, "resnet-26 is neither recorded in exper"),
        (all_figures.main, ["--network", "resnet-26"], 1, "resnet-26 is neither recorded in exp"),
        (bench.main, ["--networks", "resnet-21"], 1, "resnet-20 or resnet-26"),
        (bench.main, ["--networks"], 2, "Option NETWORKS (--networks) requires an argument"),
        (responses.main, ["--network", "resnet-20"], 1, "go together"),
        (gradients.main, ["--depths", "21", *DEMO], 2, "the nearest are 20 or 26"),
        (gradients.main, ["--seeds", "0", *DEMO], 2, "SEEDS (--seeds)"),
        (gradients.main, ["--runs", "myne"], 1, "no finished run in myne/paper"),
        (gradients.main, IMAGENETTE, 1, "63 pixels a side, not 160"),
        (of_network.main, DEMO, 2, "as in NETWORK=resnet-20"),
        (of_network.main, ["--network", "imagenet-resnet-18", *DEMO], 1, "64 pixels a side or"),
        (of_network.main, ["--network", "resnet-8", "--weights", "none"], 2, "does not exist"),
        (responses.main, ["--network", "resnet-20", "--weights", "none"], 2, "does not exist"),
    ],
)
def test_mistakes_get_one_line(
    command: click.Command, arguments: list[str], status: int, says: str
) -> None:
    result = run(command, *arguments)
    assert result.exit_code == status, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert says in line
    assert not list(Path().iterdir()), "nothing is written"


def test_scripts_run_from_any_directory_with_the_paths_of_the_clone() -> None:
    clone = Path(__file__).parents[1]
    script = [sys.executable, clone / "experiments" / "figures.py", "--network", "resnet-26"]
    answer = subprocess.run(script, capture_output=True, text=True)
    runs = os.path.relpath(clone / "experiments" / "runs")
    assert answer.stderr.startswith(f"Error: resnet-26 is neither recorded in {runs} nor")
    assert not list(Path().iterdir())


def test_a_run_is_trained_by_the_module_too() -> None:
    command = [sys.executable, "-m", "resnet_paper.train", "--network", "resnet-21", *DEMO]
    beside = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    answer = subprocess.run(command, env=beside, capture_output=True, text=True)
    assert "resnet-20 or resnet-26" in answer.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_one_line() -> None:
    result = run(train.main, "--network", "resnet-8", *DEMO, "--device", "cuda")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no CUDA device is available here")


def test_a_directory_that_cannot_be_written_is_one_line() -> None:
    Path("runs/demo").mkdir(parents=True)
    Path("runs/demo/resnet-8").symlink_to("/proc/no-such-place")
    result = run(train.main, "--network", "resnet-8", *DEMO, "--runs", "runs")
    assert result.exit_code == 1
    assert "Error: cannot write runs/demo/resnet-8/seed-0" in result.stderr


@contextmanager
def another_user() -> Iterator[None]:
    """Context manager: as a user whom permissions bind, even where root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["", "demo", "demo/resnet-20", "demo/resnet-20/seed-0/run.json"])
def test_runs_of_another_user_are_permission_denied(
    name: str, record_run: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run("resnet-20", settings="demo")
    drawing = (claims.main, all_figures.main, evaluate.main, publish.main)
    commands = [
        *((command, []) for command in drawing),
        (table6.main, ["--draw-only"]),
        (train.main, ["--network", "resnet-20"]),
        (status.main, []),
    ]
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        runs = Path(place) / "runs"
        shutil.copytree("demo", runs / "demo")
        monkeypatch.chdir(place)  # where DATA_DIR, which is data, can be looked for
        (runs / name).chmod(0)
        with another_user():
            results = [
                run(command, *DEMO, "--runs", str(runs), "--data-dir", place, *more)
                for command, more in commands
            ]
        (runs / name).chmod(0o755)
    if name.endswith("run.json"):
        assert "resnet-20 seed 0: permission denied" in results.pop().output
    for result in results:
        assert result.exit_code == 1
        assert re.fullmatch(f"Error: {runs}.*: permission denied: .*\n", result.stderr)


def test_weights_in_a_directory_of_another_user_are_not_said_to_be_missing() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0)
        weights = Path(place) / "weights.pt"
        with another_user():
            result = run(evaluate.main, "--network", "resnet-20", "--weights", str(weights))
    assert result.exit_code == 2
    assert f"WEIGHTS (--weights): {weights}: permission denied" in result.stderr


def test_a_data_directory_that_cannot_be_read_is_named() -> None:
    """By its own variable, not that of the runs."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "file").touch()
        for name, why in (("", "Permission denied"), ("file", "Not a directory")):
            Path(place).chmod(0o755 if name else 0)
            with another_user():
                result = run(train.main, "--network", "resnet-8", "--data-dir", f"{place}/{name}")
            assert result.exit_code == 2
            assert f"DATA_DIR (--data-dir): {place}" in result.stderr
            assert why in result.stderr


@pytest.mark.usefixtures("small_demo")
def test_training_writes_no_figures() -> None:
    Path("figures").symlink_to("/proc/no-such-place")
    one = [*DEMO, "--precision", "float32", "--network", "resnet-8"]
    assert run(train.main, *one).exit_code == 0
    result = run(table6.main, *DEMO, "--depths", "14")
    assert "Error: cannot write figures/demo" in result.stderr
    assert "To train" not in result.output


@pytest.mark.usefixtures("small_demo")
def test_a_dry_run_prints_the_plan_and_leaves_nothing() -> None:
    planned = run(fig6.main, *DEMO, "--depths", "8 20 14", "--dry-run")
    assert planned.exit_code == 0
    runs = re.findall(r"^  (\S+) seed 0 .*: about", planned.output, re.M)
    assert runs == ["plain-20", "resnet-8", "resnet-20", "resnet-14"]
    assert not list(Path().iterdir())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_uses_the_package_beside_it(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks there first, before it imports any module of ours."""
    monkeypatch.setattr(sys, "path", ["another clone's"])
    body = ast.parse(script.read_text()).body
    ours = re.compile(r"(from|import) (resnet_paper|experiments)\b")
    before = list(takewhile(lambda node: not ours.match(ast.unparse(node)), body))
    exec(compile(ast.Module(before, []), script, "exec"), {"__file__": str(script)})
    assert sys.path[0] == str(script.parents[1])


def test_a_report_without_its_packages_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("resnet_paper.results")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "plotly", None)
    result = run(report.main)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the report needs the package plotly: pip install ")


@pytest.fixture
def small_demo(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demo settings of a few iterations."""
    monkeypatch.setitem(SETTINGS, "demo", recipe)


@pytest.mark.usefixtures("small_demo")
def test_the_study_end_to_end_on_synthetic_images() -> None:
    nets = [*DEMO, "--precision", "float32", "--depths", "8", "--plain-depths", "8"]
    result = run(fig6.main, *nets)
    assert result.exit_code == 0, result.output
    assert "together: about" in result.output
    assert Path("figures/demo/figure6.pdf").read_bytes().startswith(b"%PDF")
    assert Path("figures/demo/figure6.png").read_bytes().startswith(b"\x89PNG")
    assert "To train" not in run(fig6.main, *nets).output, "what is recorded is not trained again"

    weights = "experiments/runs/demo/resnet-8/seed-0/weights.pt"
    arguments = [*DEMO, "--weights", weights, "--network"]
    assert "mean over 7 layers" in run(responses.main, *arguments, "resnet-8").output
    result = run(responses.main, *arguments, "resnet-20")
    assert (
        result.stderr == f"Error: {weights} holds the weights of a resnet-8, not of a resnet-20\n"
    )

    copied = run(publish.main, *DEMO, "--to", "published").output
    assert (
        "plain-8 seed 0: published, published/demo/plain-8/seed-0, with weights in float" in copied
    )
    assert (
        "resnet-8 seed 0: published, published/demo/resnet-8/seed-0, with weights in float"
        in copied
    )
    copied = run(publish.main, *DEMO, "--to", "published").output
    assert "plain-8 seed 0: published already, published/demo/plain-8/seed-0" in copied

    assert run(all_figures.main, *DEMO).exit_code == 0
    for name in ("table6", "plain", "training", "reproductions", "claims"):
        assert "Synthetic images" in Path(f"figures/demo/{name}.md").read_text()
    assert Path("figures/demo/figure6_precise.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("small_demo")
def test_targets_together_are_planned_once_and_each_table_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resnet_paper.paper.facts.FIGURE7_NETWORKS", ("resnet-8",))
    nets = ["--precision", "float32", "--depths", "8", "--plain-depths", "8"]
    result = run(reproduce.main, "table6", "fig6", "fig7", "claims", *DEMO, *nets)
    assert result.exit_code == 0, result.output
    assert result.output.count("To train") == 1
    assert result.output.count("plain-8 seed 0 (6n+2") == 1
    for name in ("table6.md", "plain.md", "figure6.png", "figure7.png", "claims.md"):
        assert Path("figures/demo", name).exists(), name


def test_own_weights_are_drawn_in_figure_7() -> None:
    torch.save(build("resnet-8").state_dict(), "mi$n$e.pt")
    result = run(responses.main, *DEMO, "--weights", "mi$n$e.pt", "--network", "resnet-8")
    assert result.exit_code == 0, result.output
    assert Path("figures/demo/figure7_own.png").exists()


@pytest.mark.parametrize(
    ("network", "says"),
    [("simple-cnn", "has no responses"), ("imagenet-resnet-18", "64 pixels a side or more")],
)
def test_weights_without_responses_are_one_line(network: str, says: str) -> None:
    torch.save(build(network).state_dict(), "mine.pt")
    result = run(responses.main, *DEMO, "--weights", "mine.pt", "--network", network)
    assert result.exit_code == 1
    assert says in result.stderr


@pytest.mark.usefixtures("small_demo")
def test_a_net_of_other_shortcuts_alone_gets_its_table() -> None:
    result = run(train.main, *DEMO, "--precision", "float32", "--network", "resnet-8-b")
    assert "resnet-8-b seed 0: test error" in result.output
    assert "| ResNet-8 B | 78,042 |" in run(all_figures.main, *DEMO).output


def test_a_diverged_run_has_no_error(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "demo", replace(recipe, learning_rate=1e30))
    result = run(train.main, *DEMO, "--precision", "float32", "--network", "plain-8")
    assert "plain-8 seed 0: diverged, in" in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("small_demo")
def test_the_shortcut_options_end_to_end() -> None:
    result = run(shortcuts.main, *DEMO, "--precision", "float32", "--depth", "8")
    assert result.exit_code == 0, result.output
    Path("figures/demo/shortcuts-8.md").unlink()
    assert "resnet-8 seed 0" not in run(all_figures.main, *DEMO).output
    lines = Path("figures/demo/shortcuts-8.md").read_text().splitlines()
    parameters = [line.split(" | ")[1] for line in lines[2:5]]
    assert parameters == ["75,290", "78,042", "78,330"]


@pytest.mark.slow
def test_table1_and_claims_need_no_runs() -> None:
    table = run(table1.main).output
    for row in (
        "| ResNet-152 | 60,192,808 | 11,282,415,616 | 11.28 | 11.28 | 11.3 |",
        "| VGG-16 | 138,357,544 | 15,470,264,320 | 15.47 | 15.35 | 15.3 |",
        "| VGG-19 | 143,667,240 | 19,632,062,464 | 19.63 | 19.51 | 19.6 |",
        "| AlexNet | 62,378,344 | 1,135,256,096 | 1.14 | 1.08 | – |",
    ):
        assert row in table
    assert "claims without all measurements" in run(claims.main).output
    assert Path("figures/claims.csv").exists()


def test_a_comparison_that_is_not_recorded_is_said() -> None:
    result = run(all_figures.main, "--settings", "100-epochs")
    assert result.exit_code == 0, result.output
    assert "comparison: nothing to draw from what is recorded" in result.output


def test_nothing_recorded_is_said() -> None:
    assert "nothing to draw from what is recorded" in run(fig7.main, "--draw-only").output
    said = run(responses.main, "--settings", "tiny").output
    assert "plain-56 is not recorded: make train SETTINGS=tiny RUNS=" in said


@needs_cifar10
def test_one_tiny_run_on_cifar10(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "tiny", replace(recipe, dataset="cifar10"))
    arguments = ["--network", "resnet-8", "--settings", "tiny", "--data-dir", str(REAL_DATA)]
    result = run(train.main, *arguments)
    assert result.exit_code == 0, result.output
    assert "resnet-8 seed 0: test error" in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("small_demo")
def test_gradients_are_measured_once_and_drawn_by_all_that_draw() -> None:
    nets = [*DEMO, "--depths", "8", "--seeds", "2"]
    result = run(gradients.main, *nets)
    assert result.exit_code == 0, result.output
    files = [Path(f"figures/demo/gradients.{suffix}") for suffix in ("md", "csv", "pdf", "png")]
    before = [file.read_bytes() for file in files]
    assert "Synthetic images" in files[0].read_text()
    assert run(all_figures.main, *DEMO).exit_code == 0
    assert [file.read_bytes() for file in files] == before, "what was measured stays"


@pytest.mark.usefixtures("small_demo")
def test_gradients_of_any_network_are_printed() -> None:
    result = run(of_network.main, *DEMO, "--network", "ResNet8")
    assert result.exit_code == 0, result.output
    assert "stages.2.0.conv2" in result.output
    assert "resnet-8: gradient norm" in result.output.splitlines()[-1]
    assert not list(Path().iterdir())
