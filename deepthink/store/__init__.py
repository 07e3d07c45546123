"""Everything that is kept under results/, and which process may write it: no torch."""
