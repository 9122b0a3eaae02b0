"""What the commands share: options, checks, resolving settings to a run, errors as one line."""
