"""The engine as the window sees it: the client of the child that holds the model, its queue and states, its
rescue after a death.
"""
