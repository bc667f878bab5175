"""What commands print: lines above the bars of progress, seconds in words."""

import sys

import click
from tqdm import tqdm


def duration(seconds: float) -> str:
    """Seconds in words: "50 s", "12 min", "1 h 52 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def answers() -> bool:
    """True if someone at a terminal can answer a question; cron, for one, has no input at all."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def say(line: str) -> None:
    """Print a line above the bars."""
    with tqdm.external_write_mode():
        click.echo(line)
