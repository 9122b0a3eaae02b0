"""Reports of runs as one HTML file: curves, weights, saliency and a game."""
