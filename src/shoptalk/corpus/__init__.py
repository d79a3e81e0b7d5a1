"""Stages 10 to 50: from a list of terms to spoken, augmented, leak-free data.

- `lexicon`: 10: terms from files, checked, and the draw of those held out
- `term_files`: 10: the forms that a lexicon is read from and written in
- `pronunciation`: which IPA can be spoken, and what each term sounds like
- `tiers`: 10: who decides how a term is spoken
- `overrides`: 10: what people found right when they listened
- `respelling`: pronunciations in English letters, as IPA
- `stems`: pronunciations of drug names by their endings
- `term_imports`: 10: rows of others' lists as terms
- `rxnorm`: 10: names of medicines from RxNorm
- `icd10`: 10: names of conditions from ICD-10-CM
- `mining`: 10: terms found in texts
- `general_english`: 10: how common a word is
- `misses`: 10: terms as an evaluation found them
- `weights`: 10: how many sentences a term gets
- `carriers`: 20: carrier sentences with slots
- `transcripts`: 20: carriers filled, checked and split
- `dictations`: 20: whole dictations by a large model
- `answers`: 20: what a large model answers instead of a dictation
- `verbalise`: 20: written text as it is spoken, and the way back
- `numerals`: sentences with numbers, for the training of a base
- `voices`: 30: who speaks which sentence
- `speech`: 30: transcripts spoken
- `augmentation`: 40: noisy copies of the training speech
- `dataset`: 50: manifests, leak checks, fixed test lists
- `splits`: near duplicates and draws, for all stages
"""
