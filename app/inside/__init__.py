"""Looking inside a model: its tensors, how their weights lie, what storing them smaller would do to them."""
