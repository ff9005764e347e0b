"""Sensors tell a collector what they measure; the collector draws it.

    python examples/sensors.py collect
    python examples/sensors.py measure roof --count 20
    python examples/sensors.py plot week.png

A reading is checked before its handler runs: what is none is refused, with the name of the field.
"""

from __future__ import annotations

import importlib
import io
import math
import random
import sys
import time
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

import telex
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS: Final = "tcp://127.0.0.1:7766"

MOST_KEPT: Final = 10_000
"""Readings that are kept of each site."""

MOST_SITES: Final = 100

FARTHEST: Final = timedelta(days=366)
"""How far from now a reading may be, so that the axis of a drawing does not reach for centuries."""

Site = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[^\W_][\w .-]*\Z")]
"""Letters and digits: to matplotlib ``$`` begins a formula, and ``_`` hides a line."""


class Reading(msgspec.Struct, frozen=True):
    """A temperature, and where and when it was measured."""

    site: Site
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    celsius: Annotated[float, msgspec.Meta(ge=-90, le=70)]


class Question(msgspec.Struct):
    """Which sites are to be drawn; all of them, if none is named."""

    sites: list[str] = []


app = telex.Application()
readings: defaultdict[str, deque[Reading]] = defaultdict(lambda: deque(maxlen=MOST_KEPT))


@app.on_startup
def load_matplotlib() -> None:
    """Load what takes a while, or find out that it is missing, before anybody asks for it."""
    try:
        importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as missing:
        raise SystemExit(f"sensors: {missing}; pip install '.[examples]'") from missing


@app.on("reading")
def collect_reading(message: telex.Message[Reading]) -> None:
    """Keep a reading."""
    reading = message.content
    if abs(reading.at - datetime.now(UTC)) > FARTHEST:
        raise telex.Refusal("bad-time", "a reading is of the last year, by this server's clock")
    if reading.site not in readings and len(readings) >= MOST_SITES:
        raise telex.Refusal("too-many-sites", f"there are {MOST_SITES:,} sites already")
    readings[reading.site].append(reading)


@app.on("plot", blocking=True)
def draw(message: telex.Message[Question]) -> telex.Message:
    """Answer with a drawing, as PNG."""
    sites = message.content.sites or sorted(readings)
    if unknown := set(sites).difference(readings):
        raise telex.Refusal("no-such-site", ", ".join(sorted(unknown)))
    if not sites:
        raise telex.Refusal("no-readings", "no sensor has told anything yet")
    series = {site: sorted(readings[site].copy(), key=lambda reading: reading.at) for site in sites}
    return telex.Message(picture_of(series), content_type="image/png")


def picture_of(series: dict[str, list[Reading]]) -> bytes:
    """Draw the readings of some sites, each as a line."""
    from matplotlib.figure import Figure  # which sensors do without

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot(ylabel="°C")
    for site, measured in series.items():
        times = [reading.at for reading in measured]
        axes.plot(times, [reading.celsius for reading in measured], label=site)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.autofmt_xdate()
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def measured(site: str, count: int, interval: float) -> Iterator[telex.Message]:
    """Give what a thermometer might say, a reading every ``interval`` seconds."""
    chance = random.Random(site)
    for number in range(count):
        celsius = 15 + 8 * math.sin(number / 10) + chance.gauss(0, 0.5)
        yield telex.Message(Reading(site, datetime.now(UTC), round(celsius, 2)), subject="reading")
        time.sleep(interval)


cli = typer.Typer(help="Collect temperatures, and draw them.", no_args_is_help=True)


@cli.command()
def collect(listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS) -> None:
    """Keep what sensors tell, and draw it for those who ask."""
    with telex.sync.serve(app, listen) as server:
        print(f"listening on {server.address}", flush=True)
        server.serve_forever()


@cli.command()
def measure(
    site: str,
    count: Annotated[int, typer.Option(metavar="N", min=1)] = 100,
    interval: Annotated[float, typer.Option(metavar="SECONDS", min=0)] = 0.1,
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Be a sensor."""
    with telex.sync.connect(to) as connection:
        for reading in measured(site, count, interval):
            connection.send(reading)
    print(f"{site}: {count} readings sent")


@cli.command()
def plot(
    file: Path,
    site: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Have the readings drawn, into a PNG file."""
    with telex.sync.connect(to) as connection:
        picture = connection.request(Question(site or []), subject="plot", timeout=60).body
    file.write_bytes(picture)
    print(f"{file}: {len(picture):,} bytes")


if __name__ == "__main__":
    try:
        cli()
    except telex.TelexError as error:
        sys.exit(printable(f"sensors: {error}"))
