"""Recovery: a pruned model is trained for a short time to answer as the model it was cut from does.

`recover.py` is the operation, and says before what it takes. Only the child and the terminal import more than
the messages. A result is kept only where the KL divergence on text that nobody trained on has fallen. Text of the
teacher alone drives the model away from all other text, so a quarter of the bundled text is mixed in, and half of
each is held out.
"""
