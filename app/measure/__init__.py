"""What a model is worth: quality on a text, and the ledger of all that was measured."""
