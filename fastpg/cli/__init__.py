"""What the commands share: words become settings, settings a run, errors one line."""
