"""The models on disk: what they are and where they came from."""
