"""What may be asked for, and how command lines become one checked, frozen request."""
