"""What a language model proposes for a list of terms: the trade, categories, and where such sentences are said.

Small models are wrong often, so each answer is checked, asked for again with another seed, and put to a vote.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shoptalk.core.errors import LlmAnswerError, ProposalError
from shoptalk.core.protocols import Llm
from shoptalk.core.records import UNSORTED, Record, Term
from shoptalk.core.terms import Index, index_of, occurrences_of_all
from shoptalk.corpus.answers import told
from shoptalk.corpus.splits import draw_key

ATTEMPTS = 6
"""Answers that are asked for until one passes."""
VOTES = 3
"""Usable answers among which the commonest counts."""
SHOWN_WORDS = 36
"""Terms that a prompt names at most."""
BATCH = 8
"""Terms that are put into categories by one prompt."""
MOST_CATEGORIES, MOST_CONTEXTS = 6, 6
SMALL_PART = 0.04
"""A category that gets fewer than two terms of the sample, or a smaller part of it, is given up."""

CLINICAL = "a clinic"
CLINIC_CATEGORIES = ("drug", "lab", "procedure", "condition", "anatomy", "role")
CLINIC_CONTEXTS = (
    "a doctor dictates a note",
    "a nurse hands over to the next shift",
    "a doctor writes the history of a patient",
    "a short line in a chart",
    "a doctor talks to a patient",
    "a patient answers a doctor",
    "a doctor explains it to a family in plain words",
    "a pharmacist calls the ward",
)
"""Where such sentences are said in a clinic."""
COMMON_CONTEXTS = (
    "an old hand explains it to a newcomer in plain words",
    "a worker leaves a short note for the next shift",
)
"""Of every other trade, beside those that the model proposes."""

_CLINICAL = re.compile(
    r"\b(?:clinic\w*|hospital\w*|medic\w*|doctors?|physicians?|nurs\w+|health\w*|pharmac\w*|ward|dent\w+|surg\w+|patients?"
    r"|\w+ology|\w*care unit|emergency (?:room|department))\b",
    re.IGNORECASE,
)
_WRITTEN = re.compile(
    r"\b(?:note|notes|writes?|chart|log|record|records|dictates?|report|types?|sign)\b", re.IGNORECASE
)
_NAME = re.compile(r"[a-z]{3,20}")
_VAGUE = frozenset(
    "category kind kinds word words word term terms thing things item items other others name none type".split()
)
_TRADE = re.compile(r"(?:an? |the )?[a-z][a-z' -]{2,40}")
_CONTEXT = re.compile(r"[a-z][a-z' ,-]{8,70}")
_LINE = re.compile(r"^\s*(?:[-*•]|\d+[.):])?\s*(.*?)\s*[.;,]?\s*$")

_CATEGORY_BY_HAND = "`category` beside each term, in a CSV file with the columns text and category"

_TRADE_SHOTS = (
    ("starboard, halyard, spinnaker, jib, reef knot", "a sailing boat"),
    ("subpoena, tort, affidavit, plaintiff", "a law office"),
    ("metformin, hernia repair, troponin, sarcoidosis", "a hospital"),
    ("hex bolt, plywood, claw hammer, two by four", "a hardware store"),
)
_KIND_SHOTS = (
    (
        "a hardware store",
        "claw hammer, hex bolt, plywood, two by four, wood screw, angle grinder, drywall, matte white",
        "tool, fastener, material, color",
    ),
    (
        "a sailing boat",
        "halyard, spinnaker, reef knot, jib, bowline, mainsheet, skipper, trimmer",
        "rope, sail, knot, role",
    ),
)
_PLACING_SHOTS = (
    (
        "tool, fastener, material, color",
        ("hex bolt", "plywood", "matte white", "angle grinder"),
        ("fastener", "material", "color", "tool"),
    ),
    ("rope, sail, knot, role", ("jib", "skipper", "bowline", "mainsheet"), ("sail", "role", "knot", "rope")),
)
_CONTEXT_SHOTS = (
    (
        "a hardware store",
        "a customer asks at the counter\na clerk answers a customer\na clerk calls the warehouse\n"
        "two clerks fill the shelves\na customer brings something back",
    ),
    (
        "a sailing boat",
        "the skipper calls to the crew\na sailor answers the skipper\nthe crew gets the boat ready\n"
        "a sailor writes the log\ntwo sailors talk on the pier",
    ),
    (
        "a bakery kitchen",
        "the head baker tells an apprentice what to do\nan apprentice asks the head baker\n"
        "two bakers share the work of the night\na baker takes an order on the phone\na driver picks up the bread",
    ),
)


class Proposal(Record):
    """One answer that passed (product part ``20-proposals.jsonl``)."""

    kind: Literal["trade", "category", "term", "context"]
    text: str
    """The trade, the name of a category, a term, or where and to whom such sentences are said."""
    category: str = ""
    """Of a term: the category that it was put in."""


@dataclass(frozen=True)
class Proposed:
    """All that was proposed, or that the recipe says."""

    trade: str
    categories: Mapping[str, str]
    """By the id of a term its category, for terms whose list gives none."""
    contexts: tuple[str, ...]

    @property
    def is_clinical(self) -> bool:
        return is_clinical(self.trade)


def is_clinical(trade: str) -> bool:
    """Whether a trade is one of medicine, by its words.

    >>> is_clinical("a dental practice"), is_clinical("a coffee bar")
    (True, False)
    """
    return _CLINICAL.search(trade) is not None


def is_written(context: str) -> bool:
    """Whether what is said there is a note rather than a turn of a conversation."""
    return _WRITTEN.search(context) is not None


def propose(
    llm: Llm,
    terms: Sequence[Term],
    *,
    trade: str = "",
    contexts: Sequence[str] = (),
    offered: Sequence[str] = (),
    seed: int,
    refused: Counter[str],
    done: Sequence[Proposal] = (),
) -> Iterator[Proposal]:
    """What the recipe and the list leave open, without what is `done`: trade, categories of terms, contexts.

    `offered` are categories that a bank of carriers covers; they are taken where the trade is a clinic or where there
    are any beside the shipped ones. `ProposalError` if the model gives no usable answer; it says why answers were
    refused and what to write by hand. An answer depends on (seed, question) only.
    """
    asking = _Asking(llm, seed, refused)
    known = list(done)
    for proposal in _steps(asking, terms, trade, tuple(contexts), tuple(offered), known):
        known.append(proposal)
        yield proposal


def proposed(proposals: Sequence[Proposal], *, trade: str = "", contexts: Sequence[str] = ()) -> Proposed:
    """The proposals with what the recipe says itself."""
    named = trade or next((each.text for each in proposals if each.kind == "trade"), CLINICAL)
    places = {each.id.removeprefix("term-"): each.category for each in proposals if each.kind == "term"}
    told_by_model = tuple(each.text for each in proposals if each.kind == "context")
    if contexts:
        return Proposed(named, places, tuple(contexts))
    if is_clinical(named):
        return Proposed(named, places, CLINIC_CONTEXTS)
    return Proposed(named, places, (*told_by_model, *COMMON_CONTEXTS))


def placed(terms: Sequence[Term], categories: Mapping[str, str]) -> list[Term]:
    """The terms with the categories that were proposed for them."""
    moved = []
    for term in terms:
        category = categories.get(term.id, term.category)
        moved.append(term.model_copy(update={"category": category}))
    return moved


@dataclass(frozen=True)
class _Asking:
    """The model with what every question needs."""

    llm: Llm
    seed: int
    refused: Counter[str]

    def answer(self, question: str, attempt: int, messages: Sequence[dict[str, str]], max_tokens: int) -> str:
        """The answer to a question; empty if the model gave none."""
        draw = int(draw_key(self.seed, "proposal", question, str(attempt))[:8], 16)
        try:
            return self.llm.complete(messages, seed=draw, max_tokens=max_tokens)
        except LlmAnswerError as error:
            self.refused[error.kind] += 1
            return ""

    def drawn(self, texts: Sequence[str], question: str, attempt: int, most: int) -> list[str]:
        """Up to `most` of the texts, others with each attempt."""
        ranked = sorted(texts, key=lambda text: draw_key(self.seed, question, str(attempt), text))
        return ranked[:most]

    @staticmethod
    def rotated(shots: Sequence[tuple[str, str]], attempt: int) -> list[tuple[str, str]]:
        """The examples in another order with each attempt: an answer leans on the last."""
        start = attempt % len(shots)
        return [*shots[start:], *shots[:start]]

    def usable(
        self, question: str, make: Callable[[int], list[dict[str, str]]], fault: Callable[[str], str], max_tokens: int
    ) -> Iterator[str]:
        """The answers that pass, of `ATTEMPTS` at most."""
        for attempt in range(ATTEMPTS):
            answer = self.answer(question, attempt, make(attempt), max_tokens).strip()
            kind = fault(answer)
            if kind:
                self.refused[f"{question.split(' ', 1)[0]}: {kind}"] += 1
            else:
                yield answer


def _steps(
    asking: _Asking,
    terms: Sequence[Term],
    trade: str,
    contexts: tuple[str, ...],
    offered: tuple[str, ...],
    known: list[Proposal],
) -> Iterator[Proposal]:
    """The answer to each question that `known` does not answer; the caller adds what is yielded to it."""
    words = [term.text for term in terms if term.taught] or [term.text for term in terms]
    if not trade:
        if not _of(known, "trade"):
            yield Proposal(id="trade", kind="trade", text=_trade(asking, terms, words))
        trade = _of(known, "trade")[0].text
    unplaced = [term for term in terms if term.category == UNSORTED]
    if unplaced:
        if not _of(known, "category"):
            given = {term.category for term in terms} - {UNSORTED}
            names = _categories(asking, trade, unplaced, given, offered)
            for name in names:
                yield Proposal(id=f"category-{name}", kind="category", text=name)
        names = [each.text for each in _of(known, "category")]
        placed_ids = frozenset(each.id.removeprefix("term-") for each in _of(known, "term"))
        for term, category in _places(asking, trade, unplaced, names, placed_ids):
            yield Proposal(id=f"term-{term.id}", kind="term", text=term.text, category=category)
    if not contexts and not is_clinical(trade) and not _of(known, "context"):
        for number, context in enumerate(_contexts(asking, trade, terms)):
            yield Proposal(id=f"context-{number}", kind="context", text=context)


def _of(proposals: Sequence[Proposal], kind: str) -> list[Proposal]:
    return [proposal for proposal in proposals if proposal.kind == kind]


# ---- the trade


def _trade(asking: _Asking, terms: Sequence[Term], words: Sequence[str]) -> str:
    """The answer that most others share words with."""
    index = index_of(terms)

    def make(attempt: int) -> list[dict[str, str]]:
        told_words = ", ".join(asking.drawn(words, "trade", attempt, 12))
        system = (
            "You are told words from a list. You name the place where people say them at work, in two to four words."
        )
        shots = [(f"Words: {shown}", answer) for shown, answer in _TRADE_SHOTS]
        return _chat(system, shots, f"Words: {told_words}")

    def fault(answer: str) -> str:
        first_line = _first_line(answer)
        if not _TRADE.fullmatch(first_line):
            return "no name of a place"
        if len(first_line.split()) > 6:
            return "too long"
        if occurrences_of_all(index, first_line):
            return "names a term"
        return ""

    answers = []
    for answer in asking.usable("trade", make, fault, 12):
        answers.append(_with_article(_first_line(answer)))
        if len(answers) == VOTES:
            break
    if not answers:
        raise ProposalError(_cure(asking, "named no trade", "`transcripts.trade` in the recipe, e.g. `a coffee bar`"))
    votes = Counter(word for answer in answers for word in set(answer.split()[1:]))
    return max(answers, key=lambda answer: (answers.count(answer), sum(votes[word] for word in answer.split()[1:])))


def _first_line(answer: str) -> str:
    return answer.strip().split("\n")[0].strip().rstrip(".").lower()


def _with_article(name: str) -> str:
    if re.match(r"(?:an?|the) ", name):
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


# ---- categories


def _categories(
    asking: _Asking, trade: str, unplaced: Sequence[Term], given: set[str], offered: Sequence[str]
) -> list[str]:
    """The names of categories: a clinic's, those that are there already, and what most words of a sample are put into.

    The model first lists kinds, then puts words into them or into others that it names. Kinds that got next to nothing
    are given up.
    """
    if is_clinical(trade):
        return list(CLINIC_CATEGORIES)
    fixed = list(dict.fromkeys((*sorted(given), *_heads(unplaced))))
    groups = {group[0].text: group for group in _groups(unplaced) if _head(group) not in fixed}
    sample = asking.drawn(list(groups), "sample", 0, SHOWN_WORDS)
    terms = {term.text.casefold() for term in unplaced}
    names = list(dict.fromkeys((*fixed, *offered, *_listed(asking, trade, sample, terms))))
    ballots = _ballots(asking, trade, sample, names, "sample", rounds=2)
    sizes = Counter(name for ballot in ballots.values() for name in ballot if name not in terms)
    least = max(2, SMALL_PART * len(sample))
    large = [name for name, size in sizes.most_common() if size >= least and name not in fixed]
    kept = [*fixed, *large[: max(1, MOST_CATEGORIES - len(fixed))]]
    if not kept:
        raise ProposalError(_cure(asking, "named no categories", _CATEGORY_BY_HAND))
    return kept


def _listed(asking: _Asking, trade: str, sample: Sequence[str], terms: Collection[str]) -> list[str]:
    """Of a few lists of kinds the one whose names the others have too."""

    def make(attempt: int) -> list[dict[str, str]]:
        shown = ", ".join(asking.drawn(sample, "categories", attempt, SHOWN_WORDS))
        system = "You sort the words of a trade into kinds that do not overlap. A kind is a plain singular noun."
        shots = [(f"Place: {place}\nWords: {words}", kinds) for place, words, kinds in _KIND_SHOTS]
        return _chat(system, shots, f"Place: {trade}\nWords: {shown}")

    def names_of(answer: str) -> list[str]:
        return [name for name in _names(answer) if name not in terms][:MOST_CATEGORIES]

    def fault(answer: str) -> str:
        return "" if len(names_of(answer)) >= 2 else "no list of kinds"

    lists = []
    for answer in asking.usable("categories", make, fault, 30):
        lists.append(names_of(answer))
        if len(lists) == VOTES:
            break
    votes = Counter(name for names in lists for name in names)
    return max(lists, key=lambda names: sum(votes[name] for name in names) / len(names), default=[])


def _names(answer: str) -> list[str]:
    """The names of kinds in an answer's first line."""
    names: list[str] = []
    for part in _first_line(answer).split(","):
        name = _singular(part.strip())
        if _is_name(name) and name not in names:
            names.append(name)
    return names


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _VAGUE


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name[:-1]
    return name


def _groups(terms: Sequence[Term]) -> list[list[Term]]:
    """Terms of several words that end in the same word are taken to be of one kind: oat milk, soy milk."""
    groups: dict[str, list[Term]] = defaultdict(list)
    for term in terms:
        words = term.text.lower().split()
        groups[words[-1] if len(words) > 1 else f"alone {term.id}"].append(term)
    return list(groups.values())


def _head(group: Sequence[Term]) -> str:
    """What the terms of a group end in; empty for a term of one word."""
    words = group[0].text.lower().split()
    return _singular(words[-1]) if len(words) > 1 else ""


def _heads(terms: Sequence[Term]) -> list[str]:
    """The last words that three terms or more share, the commonest first: they name kinds themselves."""
    whole = {term.text.casefold() for term in terms}
    counts: Counter[str] = Counter()
    for group in _groups(terms):
        head = _head(group)
        if len(group) >= 3 and head not in whole and _is_name(head):
            counts[head] = len(group)
    return [head for head, _ in counts.most_common(MOST_CATEGORIES // 2)]


def _places(
    asking: _Asking, trade: str, unplaced: Sequence[Term], names: Sequence[str], done: Collection[str]
) -> Iterator[tuple[Term, str]]:
    """Each term that is not `done` with its category, batch by batch: of `VOTES` answers the commonest.

    A group whose last word is the name of a category is not asked for. Lists often have what belongs together side by
    side: where no answer takes an offered kind, one that two words of a batch share is taken. Otherwise a term stays
    unplaced.
    """
    asked = []
    for group in _groups(unplaced):
        if _head(group) in names:
            yield from ((term, _head(group)) for term in group if term.id not in done)
        else:
            asked.append(group)
    for start in range(0, len(asked), BATCH):
        batch = {group[0].text: group for group in asked[start : start + BATCH]}
        missing = [term for group in batch.values() for term in group if term.id not in done]
        if not missing:
            continue
        ballots = _ballots(asking, trade, list(batch), names, f"batch {start}", rounds=VOTES)
        shared = Counter(name for ballot in ballots.values() for name in ballot)
        for word, group in batch.items():
            category = _chosen(ballots[word], names, shared)
            yield from ((term, category) for term in group if term.id not in done)


def _chosen(ballot: Counter[str], names: Sequence[str], shared: Mapping[str, int]) -> str:
    """The commonest of the offered kinds; without any, the commonest that another word of the batch was given, too."""
    offered = Counter({name: count for name, count in ballot.items() if name in names})
    others = Counter({name: count for name, count in ballot.items() if shared[name] > 1})
    for votes in (offered, others):
        if votes:
            return votes.most_common(1)[0][0]
    return UNSORTED


def _ballots(
    asking: _Asking, trade: str, words: Sequence[str], names: Sequence[str], question: str, *, rounds: int
) -> dict[str, Counter[str]]:
    """For each word the kinds that answers give it, how often; also kinds that were not offered."""
    ballots: dict[str, Counter[str]] = {word: Counter() for word in words}
    for attempt in range(rounds):
        undecided = [word for word in words if max(ballots[word].values(), default=0) <= rounds / 2]
        ranked = asking.drawn(undecided, question, attempt, len(undecided))
        for start in range(0, len(ranked), BATCH):
            batch = ranked[start : start + BATCH]
            messages = _placing_prompt(trade, batch, names)
            answer = asking.answer(f"{question} {batch[0]}", attempt, messages, 12 * len(batch))
            for word, name in _read_places(answer, batch).items():
                ballots[word][name] += 1
                if name not in names:
                    asking.refused["placing: another kind"] += 1
    return ballots


def _placing_prompt(trade: str, words: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
    system = "You put each word into one of the given kinds. You answer with the word and its kind."
    shots = []
    for kinds, shown, answers in _PLACING_SHOTS:
        lines = [f"{word}: {kind}" for word, kind in zip(shown, answers, strict=True)]
        shots.append((f"Kinds: {kinds}\nWords:\n" + "\n".join(shown), "\n".join(lines)))
    return _chat(system, shots, f"Place: {trade}\nKinds: {', '.join(names)}\nWords:\n" + "\n".join(words))


def _read_places(answer: str, words: Sequence[str]) -> dict[str, str]:
    """The kinds that an answer gives, for words that were asked for."""
    by_form = {word.casefold(): word for word in words}
    places: dict[str, str] = {}
    for line in answer.splitlines():
        word, _, kind = _LINE.sub(r"\1", line).rpartition(":")
        asked = by_form.get(word.strip().casefold())
        name = _singular(kind.strip().lower())
        if asked is not None and _is_name(name):
            places[asked] = name
    return places


# ---- contexts


def _contexts(asking: _Asking, trade: str, terms: Sequence[Term]) -> list[str]:
    """Where and to whom such sentences are said: the lines of the first answers that pass, without repeats."""
    index = index_of(terms)

    def make(attempt: int) -> list[dict[str, str]]:
        system = "You list who speaks to whom at a place, and on what occasion: a short line for each, in lower case."
        shots = [(f"Place: {place}", lines) for place, lines in _CONTEXT_SHOTS]
        return _chat(system, asking.rotated(shots, attempt), f"Place: {trade}")

    def fault(answer: str) -> str:
        return "" if len(_situations(answer, index)) >= 2 else "no list of situations"

    contexts: list[str] = []
    for answer in asking.usable("contexts", make, fault, 70):
        for line in _situations(answer, index):
            if line not in contexts and len(contexts) < MOST_CONTEXTS:
                contexts.append(line)
        if len(contexts) >= MOST_CONTEXTS - 2:
            return contexts
    if not contexts:
        cure = "`transcripts.contexts` in the recipe, e.g. `[a customer orders at the counter]`"
        raise ProposalError(_cure(asking, "named no situations", cure))
    return contexts


def _situations(answer: str, index: Index) -> list[str]:
    """The lines of an answer that tell who speaks to whom; none of the examples' and none that names a term."""
    shown = {line for _, lines in _CONTEXT_SHOTS for line in lines.splitlines()}
    situations = []
    for line in answer.splitlines():
        text = _LINE.sub(r"\1", line)
        text = text[:1].lower() + text[1:]
        has_length = 3 <= len(text.split()) <= 12
        if has_length and _CONTEXT.fullmatch(text) and text not in shown and not occurrences_of_all(index, text):
            situations.append(text)
    return situations


def _chat(system: str, shots: Sequence[tuple[str, str]], asked: str) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": system}]
    for question, answer in shots:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    messages.append({"role": "user", "content": asked})
    return messages


def _cure(asking: _Asking, what: str, by_hand: str) -> str:
    return (
        f"{asking.llm.name} {what} (refused: {told(asking.refused) or 'nothing'}); write {by_hand}, "
        "or take a larger model with `transcripts.llm`"
    )
