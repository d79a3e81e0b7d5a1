"""The gate: a run's scores held against a policy, each check with its reason in plain sentences."""

from collections.abc import Iterator
from typing import NamedTuple

from shoptalk.core.scores import Change, Part, Rate, Scores, Slice
from shoptalk.core.sets import GENERAL, LONG, NOISY, TAUGHT, UNTAUGHT
from shoptalk.release.gate_policy import PER_1000_WORDS, RISING, Metric, Policy, SetRule, SlicesRule

ROUNDING = 1e-9
"""Of float arithmetic: 0.3 − 0.1 must satisfy a bound of 0.2."""

LABELS: dict[Metric, str] = {
    "term_error": "Terms missed", "recall": "Terms heard", "precision": "Heard terms that were said",
    "f1": "F1 of terms", "false_insertions": "Terms nobody said", "wer": "Word errors", "cer": "Letter errors",
    "sentence_error": "Sentences with an error", "case": "Wrong capitals", "punctuation": "Punctuation errors",
    "numbers": "Numbers heard wrong", "invented_numbers": "Numbers nobody said",
}  # fmt: skip

CURES = {
    NOISY: "set evaluate.snr_db", LONG: "set evaluate.long_form_s", TAUGHT: "run `shoptalk evaluate`",
    UNTAUGHT: "set lexicon.untaught", GENERAL: "run `shoptalk evaluate`",
}  # fmt: skip
"""What gives a set that is missing; any other is imported."""


class Check(Part):
    """One demand of the policy and what became of it."""

    rule: str
    """Key of the policy, e.g. ``general.worse_by_at_most``."""
    what: str
    passed: bool
    measured: str
    """For people; the same in numbers: `value`, `low`, `high`, all None where nothing was measured."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    wanted: str
    why: str
    """Plain sentences."""


class Verdict(Part):
    """What the gate said of one run's scores under one policy."""

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
    found: list[Check] = []
    for key in ("domain", "general", "numbers", "false_insertions"):
        for rule in getattr(policy, key):
            found += _set_checks(scores, key, rule)
    if policy.categories:
        found += [_slices_check(scores, policy.categories, by) for by in policy.categories.by]
    return (*found, *_whole_model(scores, policy))


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
    one = scores.sets.get(rule.set)
    if one is None:
        cure = CURES.get(rule.set, f"import a set {rule.set} and name it in evaluate.tests")
        return f"there is no set “{rule.set}” in these scores; {cure}"
    if rule.metric in ("term_error", "recall", "precision", "f1"):
        if one.terms is None:
            return f"none of the terms is said in set “{rule.set}”; add sentences that say them"
        change: Change = getattr(one.terms, "error" if rule.metric == "term_error" else rule.metric)
    else:
        change = getattr(one, rule.metric)
    if change.difference.value is None:
        return f"set “{rule.set}” holds nothing to count it in; choose another set or metric"
    if (rule.with_confidence or rule.not_worse) and change.difference.high is None:
        return (
            f"no interval can be told from {one.clusters} sentence frames or speakers in set “{rule.set}”; "
            "add recordings, or write with_confidence: false"
        )
    return change


def _against_base(scores: Scores, rule: SetRule, change: Change, limit: float) -> _Finding:
    """`limit`: the most that the metric may be worse by; negative where it must be better."""
    value, high = _worse_by(change, rule.metric)
    far = high if rule.with_confidence and high is not None else value
    passed = far <= limit + ROUNDING
    by, asked = (_amount(abs(one), rule.metric, difference=True) for one in (far, limit))
    if limit < 0:
        told = f"it is better by at least {by}" if far < -ROUNDING else "no improvement is shown"
        end = f"{asked} was asked for."
    else:
        told = "it is not worse" if far <= ROUNDING else f"it may be worse by {by}"
        end = f"up to {asked} is allowed."
    sure = f"With {_sure(scores)}" if rule.with_confidence else "As measured,"
    why = f"{_sides(change, rule.metric)} {sure} {told}; {end}"
    return _Finding(passed, change.difference, _shown(change.difference, rule.metric, difference=True), why)


def _worse_by(change: Change, metric: Metric) -> tuple[float, float | None]:
    """How much worse than the base, measured and at the unfavourable end of the interval."""
    rate = change.difference
    value = rate.value or 0.0
    return (-value, None if rate.low is None else -rate.low) if metric in RISING else (value, rate.high)


def _not_worse(change: Change, metric: Metric) -> _Finding:
    told = {
        "worse": "That is a loss which chance does not explain.",
        "better": "That is a gain which chance does not explain.",
        "unclear": "A difference that chance can explain.",
    }[change.verdict]
    shown = _shown(change.difference, metric, difference=True)
    return _Finding(change.verdict != "worse", change.difference, shown, f"{_sides(change, metric)} {told}")


def _itself(scores: Scores, rule: SetRule, after: Rate, bound: float) -> _Finding:
    rising = rule.metric in RISING
    far = (after.low if rising else after.high) if rule.with_confidence else after.value
    if after.value is None or far is None:
        return _not_measured(f"no interval can be told in set “{rule.set}”; add recordings")
    passed = far >= bound - ROUNDING if rising else far <= bound + ROUNDING
    limit, edge = ("at least", "no less than") if rising else ("at most", "no more than")
    sure = f", and with {_sure(scores)} {edge} {_amount(far, rule.metric)}" if rule.with_confidence else ""
    why = f"{LABELS[rule.metric]} after tuning: {_amount(after.value, rule.metric)}{sure}; {limit} " \
          f"{_amount(bound, rule.metric)} was asked for."  # fmt: skip
    return _Finding(passed, after, _shown(after, rule.metric), why)


# --- groups, and the model as a whole --------------------------------------------------------------------------


def _slices_check(scores: Scores, rule: SlicesRule, by: str) -> Check:
    what, wanted = f"Groups by {by}, set “{rule.set}”", "no group significantly worse"
    if rule.worse_by_at_most is not None:
        wanted += f", none by more than {_amount(rule.worse_by_at_most, 'recall', difference=True)}"
    rows = [(one, *of) for one in scores.slices if one.by == by and one.set == rule.set and (of := _of_slice(one))]
    small = [one.name for one, change, _ in rows if change.difference.low is None]
    if not rows or small:
        cure = f"set “{rule.set}” has no groups by {by} in these scores; its recordings must tell their {by}"
        cure = f"too few recordings to judge {', '.join(small)}; add some" if small else cure
        return _check(f"categories.{by}", what, _not_measured(cure), wanted)
    margin = float("inf") if rule.worse_by_at_most is None else rule.worse_by_at_most + ROUNDING
    lost = [row for row in rows if row[1].verdict == "worse" or _worse_by(row[1], row[2])[0] > margin]
    worst, change, metric = max(lost or rows, key=lambda row: round(_worse_by(row[1], row[2])[0], 9))
    named = ", ".join(one.name for one, *_ in lost)
    told = f"Worse than allowed: {named}." if lost else f"None of {len(rows)} groups lost more than is allowed."
    why = f"{told} Of these, {worst.name} fared worst. {_sides(change, metric)}"
    shown = f"{worst.name}: {_shown(change.difference, metric, difference=True)}"
    return _check(f"categories.{by}", what, _Finding(not lost, change.difference, shown, why), wanted)


def _of_slice(one: Slice) -> tuple[Change, Metric] | None:
    """Recall where terms are said, word errors elsewhere."""
    if one.terms:
        return one.terms.recall, "recall"
    return (one.wer, "wer") if one.wer else None


def _whole_model(scores: Scores, policy: Policy) -> Iterator[Check]:
    if rule := policy.silence:
        wanted = f"at most {rule.words_per_minute_at_most:g} a minute{', whole interval' * rule.with_confidence}"
        rate = scores.silence.words.after if scores.silence else None
        far = (rate.high if rule.with_confidence else rate.value) if rate else None
        finding = _not_measured("set evaluate.silence_s")
        if rate and scores.silence and far is not None:
            why = f"In {scores.silence.minutes:.1f} minutes in which nobody speaks, {rate.count} words were heard."
            shown = f"{rate.value or 0.0:.2f} a minute" + _range(rate, 1, 2)
            finding = _Finding(far <= rule.words_per_minute_at_most + ROUNDING, rate, shown, why)
        yield _check("silence.words_per_minute_at_most", "Words heard in silence", finding, wanted)
    if bound := policy.calibration:
        one, wanted = scores.calibration, f"at most {100 * bound.ece_at_most:.1f} points off"
        finding = _not_measured("these scores hold no confidences of words; run `shoptalk evaluate` again")
        if one:
            why = f"The confidences of {one.words} words are off by {100 * one.ece:.1f} points on average."
            rate = Rate(value=one.ece, low=None, high=None, count=one.words)
            finding = _Finding(one.ece <= bound.ece_at_most + ROUNDING, rate, f"{100 * one.ece:.1f} points", why)
        yield _check("calibration.ece_at_most", "Confidences that can be believed", finding, wanted)
    if fast := policy.speed:
        speed, wanted = scores.speed_after, f"at least {fast.audio_s_per_s_at_least:g} s of audio a second"
        finding = _not_measured("run `shoptalk evaluate` again, which measures speed as it listens")
        if speed is not None:
            why = f"One second of work recognised {speed:.1f} seconds of audio on the machine that evaluated."
            rate = Rate(value=speed, low=None, high=None, count=0)
            finding = _Finding(speed >= fast.audio_s_per_s_at_least, rate, f"{speed:.1f} s a second", why)
        yield _check("speed.audio_s_per_s_at_least", "Speed", finding, wanted)


# --- words and figures -----------------------------------------------------------------------------------------


def _check(rule: str, what: str, finding: _Finding, wanted: str) -> Check:
    rate = finding.rate
    value, low, high = (rate.value, rate.low, rate.high) if rate else (None, None, None)
    return Check(rule=rule, what=what, passed=finding.passed, measured=finding.measured, value=value, low=low,
                 high=high, wanted=wanted, why=finding.why)  # fmt: skip


def _not_measured(cure: str) -> _Finding:
    return _Finding(False, None, "not measured", f"Not measured: {cure}.")


def _wanted(name: str, bound: float, rule: SetRule) -> str:
    if name == "not_worse":
        return "not significantly worse"
    against_base = name in ("better_by", "worse_by_at_most")
    words = {"better_by": "better by at least", "worse_by_at_most": "worse by at most"}.get(name)
    amount = _amount(bound, rule.metric, difference=against_base)
    return f"{words or name.replace('_', ' ')} {amount}{', whole interval' * rule.with_confidence}"


def _sides(change: Change, metric: Metric) -> str:
    before, after = (_amount(rate.value or 0.0, metric) for rate in (change.before, change.after))
    return f"{LABELS[metric]}: {before} before tuning, {after} after."


def _sure(scores: Scores) -> str:
    return f"{100 * scores.confidence:g} % confidence"


def _amount(value: float, metric: Metric, *, difference: bool = False) -> str:
    if metric in PER_1000_WORDS:
        return f"{value:.2f} per 1,000 words"
    return f"{100 * value:.1f} {'points' if difference else '%'}"


def _shown(rate: Rate, metric: Metric, *, difference: bool = False) -> str:
    scale, digits = (1, 2) if metric in PER_1000_WORDS else (100, 1)
    value = round(scale * (rate.value or 0.0), digits) + 0.0  # no "-0.0"
    unit = "" if scale == 1 else " points" if difference else " %"
    sign = "+" if difference else ""
    return f"{value:{sign}.{digits}f}{unit}" + _range(rate, scale, digits, sign)


def _range(rate: Rate, scale: int, digits: int, sign: str = "") -> str:
    if rate.low is None or rate.high is None:
        return ""
    low, high = (f"{round(scale * end, digits) + 0.0:{sign}.{digits}f}" for end in (rate.low, rate.high))
    return f" [{low} to {high}]"
