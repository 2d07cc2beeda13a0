"""The best four bits: outliers folded away, an importance matrix, and rounding that makes up for its own errors."""
