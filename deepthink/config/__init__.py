"""What a command may ask for, as one checked, frozen request: no torch, no models, no rows."""
