"""Is all drawn? `python -m tests.drawn SETTINGS RUNS` names the files that figures/ lacks."""

import sys
from pathlib import Path

from resnet_paper.results.artefacts import Recorded, artefacts_of
from resnet_paper.runs import gradients
from resnet_paper.runs.run import finished_runs


def expected(recorded: Recorded) -> list[str]:
    """The names of the files that the artefacts of some runs consist of."""
    files = []
    for artefact in artefacts_of(recorded.settings).values():
        for table in artefact.tables:
            files += [f"{of.name}.{end}" for of in table.of(recorded) for end in ("md", "csv")]
        for figure in artefact.figures:
            if figure.make(recorded) is not None:
                files += [f"{figure.name}.{end}" for end in ("pdf", "png")]
    return files


def main(settings: str, root: str) -> None:
    folder = Path("figures") / settings
    results = finished_runs(Path(root), settings)
    files = expected(Recorded(results, settings, gradients=gradients.read(folder)))
    absent = [name for name in files if not (folder / name).is_file()]
    if absent or not files:
        sys.exit(f"{folder} lacks {', '.join(absent) or 'everything'}")
    print(f"{folder} has {', '.join(files)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
