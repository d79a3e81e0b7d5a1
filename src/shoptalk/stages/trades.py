"""20: what a language model adds for trades and categories that nothing ships for: proposals and planned carriers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

from shoptalk.core import files
from shoptalk.core.errors import CoverageError
from shoptalk.core.progress import say
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import UNSORTED, Term
from shoptalk.corpus import proposals
from shoptalk.corpus.carriers import Carrier
from shoptalk.corpus.domain_texts import DomainTexts, read_texts
from shoptalk.corpus.planned_carriers import Writer, by_hand, plan, uncovered, write_planned
from shoptalk.corpus.proposals import CLINICAL, Proposal, Proposed, is_clinical, propose, proposed
from shoptalk.corpus.transcripts import compose
from shoptalk.stages.products import kept_of, once
from shoptalk.stages.run import StageRun

ROUNDS = 3
"""So often are carriers added where terms are still short of sentences."""
GROWTH = 1.4
"""By so much a category grows in each round."""
SHIPPED = "shipped:"


def settled(run: StageRun, terms: Sequence[Term], bank: Sequence[Carrier], llm: Callable[[], Llm]) -> Proposed:
    """Trade, categories and contexts: as the recipe and the list have them, and the rest as the model proposes it."""
    section = run.recipe.transcripts
    trade = section.trade or known_trade(terms, bank)
    if trade and not needs_proposals(trade, terms, usable_bank(bank, trade), section):
        return proposed((), trade=trade, contexts=section.contexts)
    path = run.folder / "20-proposals.jsonl"
    own = sorted({carrier.category for carrier in bank if not carrier.source.startswith(SHIPPED)})

    def asked(done: frozenset[str]) -> Iterator[Proposal]:
        before = kept_of(path, Proposal, done)
        refused: Counter[str] = Counter()
        return propose(
            llm(),
            terms,
            trade=trade,
            contexts=section.contexts,
            offered=own,
            seed=run.recipe.seed,
            refused=refused,
            done=before,
        )

    once(path, asked, signature=run.signature())
    settled_on = proposed(tuple(files.read(path, Proposal)), trade=trade, contexts=section.contexts)
    say(f"trade: {settled_on.trade}; contexts: {'; '.join(settled_on.contexts)}")
    by_category: dict[str, list[str]] = {}
    for term in terms:
        if term.id in settled_on.categories:
            by_category.setdefault(settled_on.categories[term.id], []).append(term.text)
    for category, texts in by_category.items():
        say(f"category {category}: {', '.join(texts)}")
    return settled_on


def known_trade(terms: Sequence[Term], bank: Sequence[Carrier]) -> str:
    """A clinic, where the lexicon has a category of the shipped carriers; else empty."""
    shipped = {carrier.category for carrier in bank if carrier.source.startswith(SHIPPED)}
    return CLINICAL if any(term.category in shipped for term in terms) else ""


def usable_bank(bank: Sequence[Carrier], trade: str) -> list[Carrier]:
    """The carriers that fit a trade: those that ship are of clinics."""
    if is_clinical(trade):
        return list(bank)
    return [carrier for carrier in bank if not carrier.source.startswith(SHIPPED)]


def needs_proposals(trade: str, terms: Sequence[Term], bank: Sequence[Carrier], section: TranscriptsSection) -> bool:
    """Whether something is left open that only the model can fill in."""
    if any(term.category == UNSORTED for term in terms):
        return True
    is_asked = bool(uncovered(terms, bank)) or section.live_carriers > 0
    return is_asked and not section.contexts and not is_clinical(trade)


def needs_llm(terms: Sequence[Term], bank: Sequence[Carrier], section: TranscriptsSection) -> bool:
    """Whether stage 20 has to ask a language model at all."""
    trade = section.trade or known_trade(terms, bank)
    if not trade or section.live_carriers:
        return True
    return bool(uncovered(terms, usable_bank(bank, trade)))


def placed(terms: Sequence[Term], proposed_for: Proposed) -> list[Term]:
    return proposals.placed(terms, proposed_for.categories)


def planned_carriers(
    run: StageRun,
    terms: Sequence[Term],
    bank: Sequence[Carrier],
    llm: Callable[[], Llm],
    *,
    proposed_for: Proposed,
    made: Sequence[Carrier],
    refused: Counter[str],
) -> Iterator[Carrier]:
    """The carriers that the plan asks for, without those `made`; more where terms are then short of sentences.

    `CoverageError` if they are short in the end; it names the categories, and what to write by hand.
    """
    section, seed = run.recipe.transcripts, run.recipe.seed
    counts = plan(terms, uncovered(terms, bank), section)
    if not has_usual_prompts(section, proposed_for):
        counts |= extra_counts(terms, counts, section)
    if not counts:
        return
    texts = DomainTexts(read_texts([run.resolve(path) for path in section.texts]))
    writer = Writer(llm(), proposed_for, terms, bank, texts, seed, refused)
    before = list(made)
    for _ in range(ROUNDS):
        say("carriers planned: " + ", ".join(f"{count} of {category}" for category, count in counts.items()))
        for carrier in write_planned(writer, counts, done=tuple(before)):
            before.append(carrier)
            yield carrier
        problems = compose(terms, [*bank, *before], section, seed=seed)[1]
        short = [problem for problem in problems if problem.term_id != "*"]
        if not short:
            return
        category_of = {term.id: term.category for term in terms}
        lacking = {category_of[problem.term_id] for problem in short} & counts.keys()
        counts = {
            category: ceil(GROWTH * count) if category in lacking else count for category, count in counts.items()
        }
    told = [by_hand(writer, category, "wrote too few sentences") for category in sorted(lacking)]
    missing = [f"{problem.term_id}: {problem.message}" for problem in short]
    raise CoverageError("terms that could not be covered:\n  " + "\n  ".join([*told, *missing]))


def has_usual_prompts(section: TranscriptsSection, proposed_for: Proposed) -> bool:
    """Whether `live_carriers` are asked for by the sections and specialties of notes: in a clinic, unless more is said.

    A recipe that names its trade or has texts gets them by contexts, as every other trade does.
    """
    return proposed_for.is_clinical and not (section.trade or section.texts)


def extra_counts(terms: Sequence[Term], planned: Mapping[str, int], section: TranscriptsSection) -> dict[str, int]:
    """`live_carriers`, shared out among the categories that a bank covers."""
    covered = [category for category in dict.fromkeys(term.category for term in terms) if category not in planned]
    if not (covered and section.live_carriers):
        return {}
    share, rest = divmod(section.live_carriers, len(covered))
    return {category: share + (place < rest) for place, category in enumerate(covered)}
