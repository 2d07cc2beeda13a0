"""The page of the models on this disk: table, details, quantizing, measuring."""
