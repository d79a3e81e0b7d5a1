"""`shoptalk audition`: a page where people listen to how terms are spoken."""

import argparse
from pathlib import Path

from shoptalk.cli.parsing import Commands, add_set


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    purpose = "listen to the terms on a page of this machine, and say what is right"
    parser = commands.add_parser("audition", help=purpose, description=purpose)
    parser.add_argument("--recipe", required=True, help="YAML file; its lexicon is listened to")
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, which keeps the clips")
    parser.add_argument("--by", metavar="NAME", default="", help="who listens; the page asks without")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of the page; any free one without")
    add_set(parser, "lexicon.pronunciations=mine.yaml")
    parser.set_defaults(call=audition)


def audition(parsed: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C, and say what was heard."""
    from shoptalk.stages.audition.listening import FILE, open_listening
    from shoptalk.stages.audition.server import open_server

    listening = open_listening(Path(parsed.recipe), Path(parsed.run), parsed.set, listener=parsed.by)
    with open_server(listening, port=parsed.port) as server:
        print(f"listen at {server.origin}/ (Ctrl-C ends it); what you say is written to {listening.path}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    heard, terms = listening.heard()
    print(f"{heard} of {terms} terms were heard and found right: {listening.path}")
    if not listening.is_in_recipe:
        print(f"Write `pronunciations: {FILE}` below `lexicon:` in the recipe, so that stage 10 reads it.")
