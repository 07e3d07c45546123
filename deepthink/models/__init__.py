"""From a model's config to its checked files and the loaded model: no tasks, no records."""
