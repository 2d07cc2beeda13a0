"""Recovery: a pruned model is trained for a short time to answer as the model it was cut from does.

`recover.py` is the operation, `plan.py` says before what it takes. Only the child and the terminal
import more than the messages.
"""
