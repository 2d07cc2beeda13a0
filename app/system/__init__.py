"""What the operating system gives: paths, files, disk, processors and memory, how a process ended."""
