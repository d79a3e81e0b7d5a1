"""`shoptalk corrections`: what users corrected, as training data."""

import argparse
from pathlib import Path

from shoptalk.cli.parsing import Commands, add_set

SHOWN = 10
"""So many corrections that were left out are named."""


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    parser = commands.add_parser("corrections", help="what users corrected, as training data and terms")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    exporting = actions.add_parser("export", help="write consented corrections for training, readable")
    exporting.add_argument(
        "folder", metavar="FOLDER", help="a new one, or one of an earlier export to bring up to date"
    )
    settings = "YAML file of the service's settings, with store_dir, store_key and what is kept of recordings"
    exporting.add_argument("--settings", metavar="FILE", help=settings)
    add_set(exporting, "serve.store_dir=/srv/shoptalk/store")
    exporting.set_defaults(call=export)


def export(parsed: argparse.Namespace) -> None:
    """Write the folder, and tell what is in it and what is not."""
    from shoptalk.core import config
    from shoptalk.core.progress import tell
    from shoptalk.service import settings
    from shoptalk.service.corrections import exporting

    own = settings.read(Path(parsed.settings)) if parsed.settings else {}
    of_service = settings.of_recipe(config.changed(tuple(parsed.set), settings=own))
    folder = Path(parsed.folder)
    done = exporting.export_of(of_service, folder)
    for id_, reason in done.skipped[:SHOWN]:
        tell(f"{id_}: no example: {reason}")
    if len(done.skipped) > SHOWN:
        tell(f"and {len(done.skipped) - SHOWN} more")
    if done.removed:
        tell(f"{len(done.removed)} recordings of an earlier export were deleted")
    seconds = sum(example.duration_s for example in done.examples)
    without = f"; {done.without_consent} corrections without consent were left out" if done.without_consent else ""
    print(f"{folder}: {len(done.examples)} examples, {seconds:.1f} s, {len(done.terms)} terms{without}")
