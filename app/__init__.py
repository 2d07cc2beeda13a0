"""What Bantam does. No Qt, no processes: plain functions that a test, a terminal command and the child all call."""

__version__ = "0.1.0"
