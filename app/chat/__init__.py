"""Conversations: what was said, kept so that nothing is lost."""
