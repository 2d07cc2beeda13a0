"""The page where recipes are made and run, and where models are compared."""
