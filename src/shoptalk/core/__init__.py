"""What every other package may use; it imports nothing of ours but itself."""
