"""One job or one suite, from config to record. Read jobs.py first."""
