"""`shoptalk kept`: recordings that the service kept, decrypted."""

import argparse
import json
from pathlib import Path

from shoptalk.cli.parsing import Commands


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("kept", help="decrypt recordings and transcripts that the service kept")
    parser.add_argument("folder", metavar="FOLDER", help="the service's setting keep_audio_dir")
    parser.add_argument("--key", required=True, metavar="FILE", help="the service's setting keep_audio_key")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="gets kept.jsonl and a FLAC for each recording")
    parser.set_defaults(call=decrypt)


def decrypt(parsed: argparse.Namespace) -> None:
    """Write the recordings as FLAC, and a line for each with its transcript."""
    from shoptalk.core import files
    from shoptalk.service import sealing
    from shoptalk.service.access import kept

    target = Path(parsed.to)
    lines = []
    for recording in kept.read_kept(Path(parsed.folder), sealing.read_key(Path(parsed.key))):
        files.write_bytes(target / f"{recording.name}.flac", recording.flac)
        about = {
            "id": recording.name,
            "audio": f"{recording.name}.flac",
            "text": recording.recognition.text,
            "words": [word.model_dump() for word in recording.recognition.words],
            "model": recording.model,
            "key": recording.caller,
            "request_id": recording.request_id,
            "at": recording.at.isoformat(),
            "expires_at": recording.expires_at.isoformat(),
        }
        lines.append(json.dumps(about, ensure_ascii=False) + "\n")
    files.write_text(target / "kept.jsonl", "".join(lines))
    print(f"{len(lines)} recordings in {target}; delete them when you are done")
