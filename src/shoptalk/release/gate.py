"""The gate: a run's scores held against a policy, each check with its reason in plain sentences."""

from collections.abc import Iterator
from typing import NamedTuple

from shoptalk.core.scores import Change, Part, Rate, Scores
from shoptalk.core.sets import GENERAL, LONG, NOISY, TAUGHT, UNTAUGHT
from shoptalk.release.gate_policy import (
    PER_1000_WORDS,
    RISING,
    CalibrationRule,
    Metric,
    Policy,
    SetRule,
    SilenceRule,
    SlicesRule,
    SpeedRule,
)

ROUNDING = 1e-9
"""Of float arithmetic: 0.3 − 0.1 must satisfy a bound of 0.2."""

LABELS: dict[Metric, str] = {
    "term_error": "Term error rate",
    "recall": "Term recall",
    "precision": "Term precision",
    "f1": "Term F1",
    "false_insertions": "False insertions of terms",
    "wer": "Word error rate",
    "cer": "Character error rate",
    "sentence_error": "Sentences with an error",
    "case": "Wrong capitals",
    "punctuation": "Punctuation errors",
    "numbers": "Wrong numbers",
    "invented_numbers": "Invented numbers",
}

CURES = {
    NOISY: "set evaluate.snr_db",
    LONG: "set evaluate.long_form_s",
    TAUGHT: "run `shoptalk evaluate`",
    UNTAUGHT: "set lexicon.untaught",
    GENERAL: "run `shoptalk evaluate`",
}
"""What gives a set that is missing; any other is imported."""


class Check(Part):
    """One demand of the policy and what became of it."""

    rule: str
    """Key of the policy, e.g. ``general.worse_by_at_most``."""
    what: str
    passed: bool
    measured: str
    """For people. Of a difference to the base it is the gain: plus is better, whatever the metric."""
    value: float | None = None
    """With `low` and `high`: the figure itself, or after minus before; all None where nothing was measured."""
    low: float | None = None
    high: float | None = None
    wanted: str
    why: str
    """Plain sentences."""


class Verdict(Part):
    """What the gate decided about one run's scores under one policy."""

    passed: bool
    checks: tuple[Check, ...]
    recipe: str
    policy: str
    """File name."""
    policy_sha256: str
    scores_sha256: str
    judged_at: str
    """UTC, ISO 8601."""
    confidence: float


class _Finding(NamedTuple):
    passed: bool
    rate: Rate | None
    measured: str
    why: str


def judge(scores: Scores, policy: Policy) -> tuple[Check, ...]:
    """Every check of the policy, in its order; what was not measured has not passed."""
    checks: list[Check] = []
    for key in ("domain", "general", "numbers", "false_insertions"):
        for rule in getattr(policy, key):
            checks += _set_checks(scores, key, rule)
    if policy.categories:
        checks += [_slices_check(scores, policy.categories, by) for by in policy.categories.by]
    if policy.silence:
        checks.append(_silence_check(scores, policy.silence))
    if policy.calibration:
        checks.append(_calibration_check(scores, policy.calibration))
    if policy.speed:
        checks.append(_speed_check(scores, policy.speed))
    return tuple(checks)


# --- one metric of one set -------------------------------------------------------------------------------------


def _set_checks(scores: Scores, key: str, rule: SetRule) -> Iterator[Check]:
    what = f"{LABELS[rule.metric]}, set “{rule.set}”"
    change = _change(scores, rule)
    for name in ("better_by", "worse_by_at_most", "not_worse", "at_most", "at_least"):
        bound = getattr(rule, name)
        if bound is None or bound is False:
            continue
        if isinstance(change, str):
            finding = _not_measured(change)
        elif name == "not_worse":
            finding = _not_worse(change, rule.metric)
        elif name in ("better_by", "worse_by_at_most"):
            finding = _against_base(scores, rule, change, -bound if name == "better_by" else bound)
        else:
            finding = _itself(scores, rule, change.after, bound)
        yield _check(f"{key}.{name}", what, finding, _wanted(name, bound, rule))


def _change(scores: Scores, rule: SetRule) -> Change | str:
    """The measured change, or why there is none."""
    test_set = scores.sets.get(rule.set)
    if test_set is None:
        cure = CURES.get(rule.set, f"import a set {rule.set} and name it in evaluate.tests")
        return f"there is no set “{rule.set}” in these scores; {cure}"
    if rule.metric in ("term_error", "recall", "precision", "f1"):
        if test_set.terms is None:
            return f"no reference of set “{rule.set}” has one of the terms; add sentences that have them"
        name = "error" if rule.metric == "term_error" else rule.metric
        change: Change = getattr(test_set.terms, name)
    else:
        change = getattr(test_set, rule.metric)
    if change.difference.value is None:
        return f"set “{rule.set}” has nothing to count it in; choose another set or metric"
    if (rule.with_confidence or rule.not_worse) and change.difference.high is None:
        return (
            f"{test_set.clusters} sentence frames or speakers in set “{rule.set}” are too few for an interval; "
            "add recordings, or write with_confidence: false"
        )
    return change


def _against_base(scores: Scores, rule: SetRule, change: Change, limit: float) -> _Finding:
    """`limit`: the most that the metric may be worse by; negative where it must be better."""
    value, high = _worse_by(change, rule.metric)
    judged = high if rule.with_confidence and high is not None else value
    passed = judged <= limit + ROUNDING
    amount = _amount(abs(judged), rule.metric, difference=True)
    asked = _amount(abs(limit), rule.metric, difference=True)
    if limit < 0:
        statement = f"it is better by at least {amount}" if judged < -ROUNDING else "no improvement is shown"
        demand = f"{asked} was asked for."
    else:
        statement = "it is not worse" if judged <= ROUNDING else f"it may be worse by {amount}"
        demand = f"up to {asked} is allowed."
    basis = f"With {_sure(scores)}" if rule.with_confidence else "As measured,"
    why = f"{_sides(change, rule.metric)} {basis} {statement}; {demand}"
    return _Finding(passed, change.difference, _gain(change, rule.metric), why)


def _worse_by(change: Change, metric: Metric) -> tuple[float, float | None]:
    """How much worse than the base, measured and at the unfavourable end of the interval."""
    rate = change.difference
    value = rate.value or 0.0
    if metric in RISING:
        return -value, None if rate.low is None else -rate.low
    return value, rate.high


def _not_worse(change: Change, metric: Metric) -> _Finding:
    explanations = {
        "worse": "Chance does not explain this loss.",
        "better": "Chance does not explain this gain.",
        "unclear": "Chance can explain the difference.",
    }
    why = f"{_sides(change, metric)} {explanations[change.verdict]}"
    return _Finding(change.verdict != "worse", change.difference, _gain(change, metric), why)


def _itself(scores: Scores, rule: SetRule, after: Rate, bound: float) -> _Finding:
    rising = rule.metric in RISING
    judged = after.value
    if rule.with_confidence:
        judged = after.low if rising else after.high
    if after.value is None or judged is None:
        return _not_measured(f"the recordings of set “{rule.set}” are too few for an interval; add some")
    if rising:
        passed = judged >= bound - ROUNDING
        limit, edge = "at least", "no less than"
    else:
        passed = judged <= bound + ROUNDING
        limit, edge = "at most", "no more than"
    basis = f", and with {_sure(scores)} {edge} {_amount(judged, rule.metric)}" if rule.with_confidence else ""
    measured = f"{LABELS[rule.metric]} after tuning: {_amount(after.value, rule.metric)}{basis}"
    why = f"{measured}; {limit} {_amount(bound, rule.metric)} was asked for."
    return _Finding(passed, after, _shown(after, rule.metric), why)


# --- groups, and the model as a whole --------------------------------------------------------------------------


class _Group(NamedTuple):
    name: str
    change: Change
    metric: Metric

    @property
    def worse_by(self) -> float:
        return _worse_by(self.change, self.metric)[0]


def _slices_check(scores: Scores, rule: SlicesRule, by: str) -> Check:
    what, wanted = f"Groups by {by}, set “{rule.set}”", "no group significantly worse"
    allowed = float("inf")
    if rule.worse_by_at_most is not None:
        allowed = rule.worse_by_at_most + ROUNDING
        wanted += f", none by more than {_amount(rule.worse_by_at_most, 'recall', difference=True)}"
    groups = _groups(scores, rule.set, by)
    if not groups:
        cure = f"set “{rule.set}” has no groups by {by} in these scores; its recordings must name their {by}"
        return _check(f"categories.{by}", what, _not_measured(cure), wanted)
    too_small = [group.name for group in groups if group.change.difference.low is None]
    if too_small:
        cure = f"too few recordings to judge {', '.join(too_small)}; add some"
        return _check(f"categories.{by}", what, _not_measured(cure), wanted)

    lost = [group for group in groups if group.change.verdict == "worse" or group.worse_by > allowed]
    worst = max(lost or groups, key=lambda group: round(group.worse_by, 9))
    statement = f"None of {len(groups)} groups lost more than is allowed."
    if lost:
        statement = f"Worse than allowed: {', '.join(group.name for group in lost)}."
    why = f"{statement} Of these, {worst.name} did worst. {_sides(worst.change, worst.metric)}"
    shown = f"{worst.name}: {_gain(worst.change, worst.metric)}"
    return _check(f"categories.{by}", what, _Finding(not lost, worst.change.difference, shown, why), wanted)


def _groups(scores: Scores, name: str, by: str) -> list[_Group]:
    """The groups of a set: their recall where they have terms, their word error rate elsewhere."""
    groups: list[_Group] = []
    for part in scores.slices:
        if part.by != by or part.set != name:
            continue
        if part.terms:
            groups.append(_Group(part.name, part.terms.recall, "recall"))
        elif part.wer:
            groups.append(_Group(part.name, part.wer, "wer"))
    return groups


def _silence_check(scores: Scores, rule: SilenceRule) -> Check:
    wanted = f"at most {rule.words_per_minute_at_most:g} a minute{_whole_interval(rule.with_confidence)}"
    finding = _not_measured("set evaluate.silence_s")
    if scores.silence:
        rate = scores.silence.words.after
        judged = rate.high if rule.with_confidence else rate.value
        if judged is not None:
            passed = judged <= rule.words_per_minute_at_most + ROUNDING
            shown = f"{rate.value or 0.0:.2f} a minute" + _range(rate, 1, 2)
            why = f"Words recognised in {scores.silence.minutes:.1f} minutes without speech: {rate.count}."
            finding = _Finding(passed, rate, shown, why)
    return _check("silence.words_per_minute_at_most", "Words recognised in silence", finding, wanted)


def _calibration_check(scores: Scores, rule: CalibrationRule) -> Check:
    finding = _not_measured("these scores have no confidences of words; run `shoptalk evaluate` again")
    calibration = scores.calibration
    if calibration:
        rate = Rate(value=calibration.ece, low=None, high=None, count=calibration.words)
        points = f"{100 * calibration.ece:.1f} points"
        why = f"The confidences of {calibration.words} words are off by {points} on average."
        finding = _Finding(calibration.ece <= rule.ece_at_most + ROUNDING, rate, points, why)
    wanted = f"at most {100 * rule.ece_at_most:.1f} points off"
    return _check("calibration.ece_at_most", "Calibration error of word confidence", finding, wanted)


def _speed_check(scores: Scores, rule: SpeedRule) -> Check:
    finding = _not_measured("run `shoptalk evaluate` again, which measures the speed")
    speed = scores.speed_after
    if speed is not None:
        rate = Rate(value=speed, low=None, high=None, count=0)
        why = f"One second of work recognised {speed:.1f} seconds of audio on the machine that evaluated."
        finding = _Finding(speed >= rule.audio_s_per_s_at_least, rate, f"{speed:.1f} s a second", why)
    wanted = f"at least {rule.audio_s_per_s_at_least:g} s of audio a second"
    return _check("speed.audio_s_per_s_at_least", "Speed", finding, wanted)


# --- words and figures -----------------------------------------------------------------------------------------


def _check(rule: str, what: str, finding: _Finding, wanted: str) -> Check:
    rate = finding.rate
    return Check(
        rule=rule,
        what=what,
        passed=finding.passed,
        measured=finding.measured,
        value=rate.value if rate else None,
        low=rate.low if rate else None,
        high=rate.high if rate else None,
        wanted=wanted,
        why=finding.why,
    )


def _not_measured(cure: str) -> _Finding:
    return _Finding(False, None, "not measured", f"Not measured: {cure}.")


def _wanted(name: str, bound: float, rule: SetRule) -> str:
    if name == "not_worse":
        return "not significantly worse"
    against_base = {"better_by": "better by at least", "worse_by_at_most": "worse by at most"}
    words = against_base.get(name, name.replace("_", " "))
    amount = _amount(bound, rule.metric, difference=name in against_base)
    return f"{words} {amount}{_whole_interval(rule.with_confidence)}"


def _whole_interval(with_confidence: bool) -> str:
    return ", whole interval" if with_confidence else ""


def _sides(change: Change, metric: Metric) -> str:
    before = _amount(change.before.value or 0.0, metric)
    after = _amount(change.after.value or 0.0, metric)
    return f"{LABELS[metric]}: {before} before tuning, {after} after."


def _sure(scores: Scores) -> str:
    return f"{100 * scores.confidence:g} % confidence"


def _amount(value: float, metric: Metric, *, difference: bool = False) -> str:
    if metric in PER_1000_WORDS:
        return f"{value:.2f} per 1,000 words"
    unit = "points" if difference else "%"
    return f"{100 * value:.1f} {unit}"


def _gain(change: Change, metric: Metric) -> str:
    """``gain +4.1 points [+2.0 to +6.3]``: plus is better, whatever the metric."""
    rate = change.difference
    if metric not in RISING:
        rate = Rate(value=_minus(rate.value), low=_minus(rate.high), high=_minus(rate.low), count=rate.count)
    unit = " per 1,000 words" if metric in PER_1000_WORDS else " points"
    return f"gain {_figures(rate, metric, unit, '+')}"


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _shown(rate: Rate, metric: Metric) -> str:
    return _figures(rate, metric, "" if metric in PER_1000_WORDS else " %", "")


def _figures(rate: Rate, metric: Metric, unit: str, sign: str) -> str:
    scale, digits = (1, 2) if metric in PER_1000_WORDS else (100, 1)
    value = round(scale * (rate.value or 0.0), digits) + 0.0  # no "-0.0"
    return f"{value:{sign}.{digits}f}{unit}" + _range(rate, scale, digits, sign)


def _range(rate: Rate, scale: int, digits: int, sign: str = "") -> str:
    if rate.low is None or rate.high is None:
        return ""
    low = round(scale * rate.low, digits) + 0.0  # no "-0.0"
    high = round(scale * rate.high, digits) + 0.0
    return f" [{low:{sign}.{digits}f} to {high:{sign}.{digits}f}]"
