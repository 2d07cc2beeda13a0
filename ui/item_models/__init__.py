"""Qt item models; a typed role returns the row as a dataclass."""
