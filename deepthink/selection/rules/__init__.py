"""Which demonstrations are shown: one file per rule.

    select(pool, count, rng, **options) -> list[int] | Selection | list[Selection]

pool: a `deepthink.selection.pool.Pool`, the examples to choose from and their signals. A signal
calls the model when it is first used.
count: how many demonstrations to choose.
rng: a generator that depends on the job's seed alone. The same seed must give the same choice.
options: arguments with names and annotations, which are checked before a model is loaded. The
config gives their values beside the rule's name.

It returns the indices of `count` different examples of the pool, in reading order. A `Selection`
adds values and notes for the record. A list of one `Selection` for each of `pool.queries`, in their
order, gives each query demonstrations of its own. A rule sees the texts of the queries, and not
their labels. It raises UserError for a pool from which it cannot choose.

A rule that draws nothing, not even the reading order, says `SEEDED = False`. Jobs that differ in
their seed alone are then one job.

For example, this chooses the shortest examples:

    def select(pool, count, rng):
        return sorted(range(len(pool)), key=lambda i: len(pool.examples[i].text))[:count]

Files whose names begin with `_` are parts that rules import. A line "Not measured" in a docstring
names the options that have the same value in all committed records, so that their effect is not
known.

Several rules have the following options, since their sources leave them open:

balance: "equal" runs a rule in every class by itself, for the same number of examples of each;
    the paper's numbers of demonstrations are multiples of the numbers of classes (§4.3), and a
    prompt that lacks a label tests something else. "proportional" follows the classes' sizes,
    "none" runs the rule once over the whole pool.
arrangement: no source gives the reading order of the chosen demonstrations. "shuffle" draws it by
    the seed, since a model favours the labels that it read last, and a fixed order would favour
    some rules; "picked" keeps the order of choice, where classes take turns; "class_block" puts
    class after class; "pool" sorts by place in the pool.
variant: "paper" is the method as its authors define it; "reference_library" does what the coreset
    library DeepCore does where that differs, since the published rows probably come from it.
center: "none" takes hidden states as they are, as DeepCore does; "mean" and "zscore" remove what
    all prompts have in common, which in language models is most of a state.
"""
