"""The frame around the pages: rail, top bar, model picker, strip of jobs, performance panel, the question
before an end.
"""
