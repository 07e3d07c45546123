"""How a memory is thought over: one refinement a file, found by the file's name.

A refinement is a function that yields memories without end:

    refine(shown: Demonstrations, **options) -> Iterator[Memory]

The first is the plain reading, `shown.read()`: t = 1 is in-context learning for all refinements.
Each further one is the memory after one more iteration. How many are taken, T, is decided outside,
by `deepthink.engine.thinking.refined`, which also numbers and checks them: all have the model's
layers and the demonstrations' L slots, are finite, and do not change once they were yielded.

`shown` reads the demonstrations beside any memory, and says how well a memory predicts them, see
`deepthink.engine.demonstrations`. Gradient descent on the memory, for example:

    def refine(shown: Demonstrations, rate: float = 0.1) -> Iterator[Memory]:
        memory = shown.read()
        while True:
            yield memory
            leaves = memory.leaves()
            loss = shown.loss(leaves, hide=shown.leave_one_out, targets=shown.answers, apart=True)
            memory = memory.plus(leaves.gradient(loss), -rate)

Options are named arguments with annotations, which are checked before a model is loaded.
"""
