"""Test sets: imported from others, made from what is there (noisy, silent, long), and the clips they consist of.

- `imported`: writing an imported set
- `sources`: rows of NeMo, CSV and other manifests, checked
- `primock57`: the consultations of PriMock57
- `catalogue`: known test sets and their licences
- `conditions`: sets that are made: noisy, silent, long
- `wordless`: sounds in which nobody speaks
- `clips`: the recordings of a test
"""
