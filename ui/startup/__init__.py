"""How the window starts: the display, the one window on a data folder, what is restored, what is told of the
last run.
"""
