"""Whether a model fits this machine, asked of the engine and never guessed."""
