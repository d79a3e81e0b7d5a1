"""Reports say what the scores say, and hostile text stays text."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.scoring.sample import sample_scores

from shoptalk.core.errors import ScoringError
from shoptalk.core.pages import data_url
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Scores
from shoptalk.scoring.evaluate import evaluate
from shoptalk.scoring.publish import publish
from shoptalk.scoring.report import page
from shoptalk.scoring.report.page import Piece, html, pieces, shown
from shoptalk.scoring.report.tables import console_table, markdown

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def scores() -> Scores:
    return sample_scores()


@pytest.fixture(scope="module")
def hostile() -> Scores:
    term = Term(id="<b>", text="drug<img src=x onerror=alert(1)>|`*", category="a|b<i>")
    reference = f"Give drug {HOSTILE} now"
    rows = [Hypothesis(id=f"<{n}>", reference=reference, heard=HOSTILE * n, set="taught") for n in range(3)]
    other = [one.model_copy(update={"heard": f"{term.text} {one.heard}", "term_ids": ("<b>",)}) for one in rows]
    return evaluate(rows, other, [term], EvaluateSection(bootstrap=100), seed=1)


def test_a_page_of_many_terms_shows_the_worst_and_counts_the_rest(scores: Scores) -> None:
    [hba1c] = [row for row in scores.terms if row.id == "hba1c"]
    [metformin] = [row for row in scores.terms if row.id == "metformin"]
    assert metformin.scores.recall.after.value < hba1c.scores.recall.after.value
    better = []
    for number in range(page.MOST_TERMS):
        better.append(hba1c.model_copy(update={"id": f"x{number:03}", "text": f"name-{number:03}"}))
    many = scores.model_copy(update={"terms": (*better, metformin), "unfound": tuple(map(str, range(1_000)))})
    text = html(many)
    assert "metformin" in text and "name-298<" in text and "name-299<" not in text
    assert "Terms not shown here: 1." in text and "and 700 more" in text
    assert markdown(many).count("name-") == page.MOST_TERMS, "the Markdown has all"
    assert len(shown(many)) <= len(scores.examples) + page.MOST_TERMS


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order, or on anything that would be loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "link", "iframe")
        assert not {name for name, _ in attributes} & {"href", "onerror", "onclick"}
        assert all((value or "").startswith("data:audio/") for name, value in attributes if name == "src")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ("line", "circle", "polyline"), "only drawings close themselves"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("which", ["scores", "hostile"])
def test_html_is_well_formed_and_loads_nothing(which: str, request: pytest.FixtureRequest) -> None:
    scores = request.getfixturevalue(which)
    sounds = {name: data_url(np.zeros(1600, np.float32)) for name in shown(scores)}
    page = html(scores, title=f"T {HOSTILE}", sounds=sounds, facts={"base": HOSTILE})
    assert page.count("<audio") >= len(sounds) > 0
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page
    assert "http" not in page and "@import" not in page and "url(" not in page


def test_html_shows_the_headline_the_misheard_and_the_differences(scores: Scores) -> None:
    page = re.sub(r"\s+", " ", html(scores))
    assert ">80.0 %<" in page and ">20.0 %<" in page
    assert re.search(r"met forming <span[^>]*>\(2; 0\.\d\d\)</span>, metal man", page)
    assert "<del>metformin</del> <ins>met forming</ins>" in page
    assert page.index("Trained terms, worst first") < page.index("Held-out terms (control)") < page.index("Examples")


def test_markdown_keeps_its_tables_whole(scores: Scores, hostile: Scores) -> None:
    text = markdown(scores)
    assert "| Trained terms missed | 80.0 % " in text and "| metformin | 3 | 0.0 % | 66.7 % |" in text
    for report in (text, markdown(hostile)):
        assert "<script" not in report and "<img" not in report
        for table in re.findall(r"(?:^\|.*\|$\n?)+", report, re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_console_table_lines_up(scores: Scores) -> None:
    lines = console_table(scores).splitlines()
    assert lines[0].split() == ["before", "after", "difference"]
    taught = next(line for line in lines if line.startswith("Trained terms missed"))
    assert taught[lines[0].index("after") :].startswith("20.0 %") and taught.endswith("unclear")
    assert "10 test utterances (5 with trained terms, 2 with held-out terms, 3 general)" in lines[-1]


def test_pieces_join_neighbouring_differences() -> None:
    assert pieces("Start metformin 500 mg.", "start met forming 500 mg") == [
        Piece(True, "start", "start"),
        Piece(False, "metformin", "met forming"),
        Piece(True, "500 milligram", "500 milligram"),
    ]
    assert pieces("", "") == []


def test_published_summary_has_its_shape(scores: Scores) -> None:
    facts = {"cpu": "some", "cores": 2, "instruction_set": ["x86_64"]}
    summary = publish(scores, command="make demo", seconds=12.34, machine=facts, commit="abc", date="2026-11-23")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for name in ("term_error", "general_wer"):
        assert summary[name].keys() == {"before", "after"}
        assert all(rate.keys() == {"value", "low", "high"} for rate in summary[name].values())
    assert (summary["term_error"]["before"]["value"], summary["term_error"]["after"]["value"]) == (0.8, 0.2)
    assert (summary["test_utterances"], summary["seconds"], summary["machine"]) == (10, 12.3, facts)


def test_half_a_run_is_not_published(hostile: Scores) -> None:
    with pytest.raises(ScoringError, match="both"):
        publish(hostile, command="", seconds=1, machine={}, commit="", date="")
