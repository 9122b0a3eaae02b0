"""Rollouts: games played into a buffer, in compiled code or step by step."""
