"""A training run: its loop, folder, checkpoints, metrics and display."""
