"""A small test, written out: two taught drugs, one untaught, general sentences by three speakers."""

from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Scores
from shoptalk.scoring.evaluate import evaluate

TERMS = (
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="hba1c", text="HbA1c", category="lab", variants=("A1c",)),
    Term(id="apixaban", text="apixaban", category="drug", taught=False),
)

# (set, id, cluster, terms, reference, before, after)
ROWS = (
    (
        "taught",
        "t1",
        "start",
        "metformin",
        "Start metformin 500 mg.",
        "start met forming 500 mg",
        "Start metformin 500 mg.",
    ),
    ("taught", "t2", "hold", "metformin", "Hold metformin today.", "hold met forming today", "Hold metformin today."),
    ("taught", "t3", "stop", "metformin", "Stop the metformin.", "stop the metal man", "Stop the met for men."),
    ("taught", "t4", "high", "hba1c", "The HbA1c is high.", "the h b a one c is high", "The HbA1c is high."),
    ("taught", "t5", "check", "hba1c", "Check an A1c today.", "check an avian see today", "Check an A1c today."),
    (
        "untaught",
        "u1",
        "start",
        "apixaban",
        "Start apixaban tonight.",
        "start a pixie ban tonight",
        "Start metformin tonight.",
    ),
    ("untaught", "u2", "hold", "apixaban", "Hold apixaban today.", "hold apixaban today", "Hold apixaban today."),
    (
        "general",
        "g1",
        "ann",
        "",
        "The weather is fine today.",
        "the weather is fine today",
        "the weather is fine today",
    ),
    ("general", "g2", "bob", "", "He bought a new car.", "he bought a blue car", "he bought a new car"),
    ("general", "g3", "cid", "", "They met for lunch.", "they met for lunch", "they metformin lunch"),
)


def hypotheses(side: int) -> list[Hypothesis]:
    return [
        Hypothesis(
            id=row[1], set=row[0], cluster=row[2], term_ids=tuple(row[3].split()), reference=row[4], heard=row[5 + side]
        )
        for row in ROWS
    ]


def sample_scores() -> Scores:
    config = EvaluateSection(bootstrap=200)
    return evaluate(hypotheses(0), reversed(hypotheses(1)), TERMS, config, seed=5, known=frozenset({"hba1c"}))
