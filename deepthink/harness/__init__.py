"""EleutherAI's lm-evaluation-harness, with a model that thinks over a task's demonstrations."""
