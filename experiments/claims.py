"""The paper's claims as checks on the recorded runs: `make claims`."""

import click

from resnet_paper.results import tables, verdicts
from resnet_paper.study import study


@click.command()
@study.options
def main(study: study.Study) -> None:
    """Say of each claim of section 4.2 whether it holds; trains nothing."""
    table = verdicts.check(study.to_draw())
    click.echo(tables.save(study.output / "claims", table, table, study.caveat))


if __name__ == "__main__":
    main()
