"""Test sets: imported from others, made from what is there (noisy, silent, long), and the clips they consist of."""
