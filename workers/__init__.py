"""How the work runs without freezing the window: the child process, its protocol, queues and threads."""
