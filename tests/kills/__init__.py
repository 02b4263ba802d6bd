"""Every command is killed at every file operation, meets a full disk at each, and goes on when it is called again."""
