"""The terminal commands, one a file: `configure(parser)` declares the arguments and sets `run`."""
