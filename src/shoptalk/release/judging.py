"""A run's scores judged by a policy, and the verdict written beside them."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from shoptalk.core.errors import PolicyError, ScoringError, TextError
from shoptalk.core.files import write_text
from shoptalk.core.resources import locate
from shoptalk.core.scores import GATE, SCORES, Scores
from shoptalk.core.tables import decode
from shoptalk.release import gate_page
from shoptalk.release.gate import Verdict, judge
from shoptalk.release.gate_policy import read_policy

PAGE, REPORT = "gate.html", "report.html"


class Judgement(NamedTuple):
    """What was decided, and the page that tells it."""

    verdict: Verdict
    page: Path


def _text(rules: bytes, policy: Path) -> str:
    try:
        return decode(rules)
    except TextError as error:
        raise PolicyError(f"{policy}: {error}") from None


def judge_folder(folder: Path, policy: Path, *, recipe: str, now: datetime) -> Judgement:
    """Judge the scores in a folder and write what was decided beside them; the report gets a banner.

    `PolicyError` for a policy that is not there or wrong, `ScoringError` for scores of another version.
    """
    policy = locate(policy)
    if not policy.is_file():
        raise PolicyError(
            f"{policy}: no such policy; `shoptalk init` writes one, and recipes/gate.yaml and gate-strict.yaml ship"
        )
    rules, written = policy.read_bytes(), (folder / SCORES).read_bytes()
    try:
        scores = Scores.model_validate_json(written)
    except ValueError:
        raise ScoringError(f"{folder / SCORES}: written by another version; run `shoptalk evaluate` again") from None
    checks = judge(scores, read_policy(_text(rules, policy), str(policy)))
    verdict = Verdict(
        passed=all(check.passed for check in checks),
        checks=checks,
        recipe=recipe,
        policy=policy.name,
        policy_sha256=hashlib.sha256(rules).hexdigest(),
        scores_sha256=hashlib.sha256(written).hexdigest(),
        judged_at=now.isoformat(timespec="seconds"),
        confidence=scores.confidence,
    )
    write_text(folder / GATE, verdict.model_dump_json(indent=1) + "\n")
    write_text(folder / PAGE, gate_page.html(verdict))
    report = folder / REPORT
    if report.is_file():
        write_text(report, gate_page.with_banner(report.read_text(encoding="utf-8"), verdict))
    return Judgement(verdict, folder / PAGE)
