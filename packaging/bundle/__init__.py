"""Makes the programs that are installed without Python: the steps of `packaging/build.py`."""
