"""One job or one suite, from config to record: no command line, no terminal. Start with jobs.py."""
