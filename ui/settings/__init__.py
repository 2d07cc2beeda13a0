"""The settings and about pages."""
