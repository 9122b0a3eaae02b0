"""Learning algorithms, one file each: what an update makes of a batch of episodes."""
