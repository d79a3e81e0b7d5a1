"""Stages 10 to 50: from a list of terms to spoken, augmented, leak-free data."""
