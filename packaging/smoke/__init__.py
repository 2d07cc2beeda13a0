"""Installs the package into an empty Debian and uses it: the parts of `packaging/smoke_test.py`."""
