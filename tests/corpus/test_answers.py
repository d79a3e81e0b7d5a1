"""What large models answer instead of a dictation is told by its kind; dictations pass."""

from collections import Counter

import pytest

from shoptalk.corpus.answers import fault, told

WELL = "The cough was better on metformin. There was no fever."
BAD = [
    ("", "empty"),
    (" \n", "empty"),
    ("I'm sorry, but I can't write medical records about metformin. Please ask someone else.", "refusal"),
    ("I’m unable to do this. Metformin was given.", "refusal"),
    ("As an AI language model, I do not write notes. He is on metformin.", "refusal"),
    ("I cannot provide this. Please consult a licensed physician.", "refusal"),
    (f"Sure! {WELL}", "remark"),
    (f"Certainly, here is the dictation. {WELL}", "remark"),
    (f"Here are two sentences for your note. {WELL}", "remark"),
    (f"Okay — {WELL}", "remark"),
    (f"{WELL} Let me know if you need more!", "remark"),
    (f"{WELL} I hope this helps.", "remark"),
    (f"{WELL} Would you like another version?", "remark"),
    ("1. The cough was better.\n2. There was no fever.", "list"),
    ("1) The cough was better. 2) There was no fever.", "list"),
    ("(a) The cough was better.\n(b) There was no fever.", "list"),
    ("- The cough was better.\n- There was no fever.", "list"),
    ("• The cough was better.\n• There was no fever.", "list"),
    ("Sentence 1: The cough was better.\nSentence 2: There was no fever.", "list"),
    ("i. The cough was better.\nii. There was no fever.", "list"),
    (f"**Plan** {WELL}", "markup"),
    (f"# Plan\n{WELL}", "markup"),
    (f"```\n{WELL}\n```", "markup"),
    (f"<think>hmm</think>{WELL}", "markup"),
    (f"<p>{WELL}</p>", "markup"),
    ('{"text": "The cough was better."}', "markup"),
    ("| a | b |\n|---|---|\n| The cough | was better. |", "markup"),
    ("[Name] was better. There was no fever.", "markup"),
    ("The cough was better &amp; gone. There was no fever.", "markup"),
    (f"Plan: {WELL}", "heading"),
    (f"The cough was better. Assessment: {WELL}", "heading"),
    (f'"{WELL}"', "quotation marks"),
    (f"“{WELL}”", "quotation marks"),
    (f"'{WELL}'", "quotation marks"),
    (f"John Doe was seen. {WELL}", "placeholder"),
    ("Der Husten war unter Metformin besser. Es wurde kein Fieber mit der Lunge und ohne Befund gesehen.",
     "another language"),
    ("El paciente fue tratado con metformin por la noche. No se encontró fiebre en los pulmones.", "another language"),
    ("Кашель прошёл. Температуры нет.", "another language"),
    ("患者服用二甲双胍后好转。 没有发烧.", "another language"),
    (f"{WELL} 😀", "signs that nobody speaks"),
    (f"→ {WELL}", "signs that nobody speaks"),
    ("The cough was better on metformin. Afterwards the patient was started on a new med", "cut off"),
    ("The cough was better on metformin. Afterwards,", "cut off"),
    ("The cough was better. The cough was better. There was no fever.", "repeated sentence"),
]  # fmt: skip
GOOD = [
    WELL,
    "He left against medical advice. The wound was not a problem.",
    "Here he was given 500 mg of metformin at 8:05. Sure of the diagnosis, we went on.",
    "I am aware of the 7.4% rise (from 6.8%). Her pressure was 120/80 & stable.",
    "The HR was < 60 and SpO2 > 95%. ± 2 mg is fine.",
    "We can't rule out sepsis. I cannot feel the spleen.",
    "Sjögren's syndrome is likely. It is not caused by metformin.",
    "Of course the family is worried. No fever was found!",
    "Give 2 1/2 tablets. Two days ago (on Monday) she fell.",
    "Please call if you have any fever.\nThe sentence was not finished by the patient.",
]


@pytest.mark.parametrize(("answer", "kind"), BAD)
def test_what_is_no_dictation_is_told_by_its_kind(answer: str, kind: str) -> None:
    assert fault(answer) == kind


@pytest.mark.parametrize("answer", GOOD)
def test_dictations_pass(answer: str) -> None:
    assert fault(answer) == ""


def test_the_commonest_kind_is_told_first() -> None:
    assert told(Counter({"cut off": 3, "refusal": 12})) == "12 refusal, 3 cut off"
