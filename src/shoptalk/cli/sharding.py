"""`shoptalk shards`: a dataset as shards."""

import argparse
from pathlib import Path

from shoptalk.cli.parsing import Commands

FORMS = ("tar", "shar")
PER_SHARD = 1000


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("shards", help="write a dataset as shards for NeMo, webdataset or Lhotse")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="run folder, folder of manifests, or manifest")
    parser.add_argument("--to", required=True, metavar="PLACE", help="a new folder, or s3://BUCKET/PREFIX")
    parser.add_argument("--form", choices=FORMS, default=FORMS[0], help="tar: NeMo's tarred form; shar: Lhotse Shar")
    parser.add_argument(
        "--per-shard",
        type=int,
        default=PER_SHARD,
        metavar="N",
        help="recordings in a shard at most; %(default)s without",
    )
    parser.set_defaults(call=write)


def write(parsed: argparse.Namespace) -> None:
    """Write the shards, and say what is there."""
    from shoptalk.core.errors import RecipeError
    from shoptalk.stages import sharding

    if parsed.per_shard < 1:
        raise RecipeError("--per-shard: a shard has 1 recording at least")
    written = sharding.write(parsed.source, parsed.to, form=parsed.form, per_shard=parsed.per_shard)
    if written.was_there:
        print(f"{written.to}: current")
        return
    lists = ", ".join(f"{name} {count}" for name, count in written.lists.items())
    print(f"{written.to}: {written.files} files with {sum(written.lists.values())} recordings ({lists})")
