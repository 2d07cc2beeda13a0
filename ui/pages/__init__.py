"""One page of the rail a file."""
