"""Everything kept under results/, and who may write it: no torch."""
