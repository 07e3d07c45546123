"""How a memory is refined: one file per refinement.

    refine(shown, **options) -> Iterator[Memory]

shown: a `deepthink.engine.demonstrations.Demonstrations`. It reads the demonstrations beside any
memory, and says how well a memory predicts them.
options: arguments with names and annotations, which are checked before a model is loaded.

It yields memories without end. The first must be the plain reading, `shown.read()`, so that t = 1
is in-context learning for every refinement. Each further memory is that after one more iteration.
T is decided outside: `deepthink.engine.thinking.refined` takes T memories, numbers them and checks
them. Each must have the model's layers and the demonstrations' L slots, must be finite, and must
not change after it was yielded. A refinement raises UserError for an option that is out of range.

For example, this is gradient descent on the memory:

    def refine(shown: Demonstrations, rate: float = 0.1) -> Iterator[Memory]:
        memory = shown.read()
        while True:
            yield memory
            leaves = memory.leaves()
            loss = shown.loss(leaves, hide=shown.leave_one_out, targets=shown.answers, apart=True)
            memory = memory.plus(leaves.gradient(loss), -rate)

Files whose names begin with `_` are parts that refinements import.
"""
