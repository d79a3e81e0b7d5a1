"""What the gate decided, for people: lines for the console, one self-contained page, and a banner for the report."""

from shoptalk.core.pages import GATE_BEGIN, GATE_END, environment
from shoptalk.release.gate import Verdict


def console_table(verdict: Verdict) -> str:
    """One line for each check, the reason below those that failed."""
    what_width = max(len(check.what) for check in verdict.checks)
    measured_width = max(len(check.measured) for check in verdict.checks)
    lines: list[str] = []
    for check in verdict.checks:
        state = "passed" if check.passed else "FAILED"
        lines.append(f"{state}  {check.what:{what_width}}  {check.measured:{measured_width}}  {check.wanted}")
        if not check.passed:
            lines.append(f"        {check.why}")
    lines.append(f"{headline(verdict)} by {verdict.policy}")
    return "\n".join(lines)


def headline(verdict: Verdict) -> str:
    """``Refused: 2 of 9 checks failed``, or that all were met."""
    failed = sum(not check.passed for check in verdict.checks)
    if verdict.passed:
        return f"Passed: all {len(verdict.checks)} checks met"
    return f"Refused: {failed} of {len(verdict.checks)} checks failed"


def html(verdict: Verdict) -> str:
    """One self-contained page, failed checks first; all texts are escaped."""
    checks = sorted(verdict.checks, key=lambda check: check.passed)
    template = environment(__package__).get_template("gate.html.j2")
    page: str = template.render(
        verdict=verdict, headline=headline(verdict), checks=checks, confidence=f"{100 * verdict.confidence:g} %"
    )
    return page


def with_banner(report: str, verdict: Verdict) -> str:
    """The report's page with the gate's answer between its marks; unchanged where it has no marks."""
    before, begin, rest = report.partition(GATE_BEGIN)
    _, end, after = rest.partition(GATE_END)
    if not begin or not end:
        return report
    colour = "better" if verdict.passed else "worse"
    banner = f'<p class="banner {colour}"><strong>{headline(verdict)}</strong> (<a href="gate.html">why</a>)</p>'
    return f"{before}{begin}{banner}{end}{after}"
