"""The look: tokens, theme, style sheet and icons. Widgets say what they are, and the look decides how that appears."""
