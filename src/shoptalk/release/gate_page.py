"""What the gate said, for people: lines for the console, one self-contained page, and a banner for the report."""

from shoptalk.core.pages import GATE_BEGIN, GATE_END, environment
from shoptalk.release.gate import Verdict


def console_table(verdict: Verdict) -> str:
    """One line for each check, the reason below those that failed."""
    width, middle = (max(len(text) for text in texts) for texts in
                     zip(*((one.what, one.measured) for one in verdict.checks), strict=True))  # fmt: skip
    lines = []
    for one in verdict.checks:
        state = "passed" if one.passed else "FAILED"
        lines.append(f"{state}  {one.what:{width}}  {one.measured:{middle}}  {one.wanted}")
        lines += [] if one.passed else [f"        {one.why}"]
    return "\n".join([*lines, f"{headline(verdict)} by {verdict.policy}"])


def headline(verdict: Verdict) -> str:
    """``Refused: 2 of 9 checks failed``, or that all were met."""
    failed = sum(not one.passed for one in verdict.checks)
    if verdict.passed:
        return f"Passed: all {len(verdict.checks)} checks met"
    return f"Refused: {failed} of {len(verdict.checks)} checks failed"


def html(verdict: Verdict) -> str:
    """One self-contained page, failed checks first; all texts are escaped."""
    checks = sorted(verdict.checks, key=lambda one: one.passed)
    page: str = environment(__package__).get_template("gate.html.j2").render(
        verdict=verdict, headline=headline(verdict), checks=checks, confidence=f"{100 * verdict.confidence:g} %"
    )  # fmt: skip
    return page


def with_banner(report: str, verdict: Verdict) -> str:
    """The report's page with the gate's word between its marks; as it was where it has no marks."""
    before, begin, rest = report.partition(GATE_BEGIN)
    _, end, after = rest.partition(GATE_END)
    if not begin or not end:
        return report
    colour = "better" if verdict.passed else "worse"
    told = f'<p class="banner {colour}"><strong>{headline(verdict)}</strong> (<a href="gate.html">why</a>)</p>'
    return f"{before}{begin}{told}{end}{after}"
