"""From a task's config to examples and token ids, and from scores to predictions: no model."""
