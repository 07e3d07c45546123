"""Records in formats that others read: Every Eval Ever's, and one parquet table of everything."""
