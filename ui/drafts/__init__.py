"""Draft models in the window: choosing one, making one, what it gains."""
