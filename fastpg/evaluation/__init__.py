"""How well a trained policy plays."""
