"""The two-layer network: what it sees, its weights, its optimizers."""
