"""Learning algorithms, one file each: how a round is played, and what is learned from it."""
