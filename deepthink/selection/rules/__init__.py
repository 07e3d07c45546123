"""Which demonstrations to show: one module per rule, loaded by its file name.

A selector is a module with `select(pool, count, rng, **options)`. It returns the indices of `count`
different examples of the pool, in the order in which they are to be read; a `Selection` may say
more. Its options are the arguments after `rng`, and their annotations say which values they take.
The config names their values beside the selector's name. Files that begin with `_` are shared
parts.

A line "Not measured" in a docstring names the options that have the same value in all committed
records, so that nothing is known of what they change.

Options that several rules have, since their sources leave them open:

balance: "equal" runs a rule in every class by itself, for the same number of examples of each;
    the paper's numbers of demonstrations are multiples of the numbers of classes (§4.3), and a
    prompt that lacks a label tests something else. "proportional" follows the classes' sizes,
    "none" runs the rule once over the whole pool.
arrangement: no source says in which order chosen demonstrations are read. "shuffle" draws one by
    the seed, since a model favours the labels it read last, which would decide between methods;
    "picked" keeps the order of choice, the classes taking turns; "class_block" puts class after
    class; "pool" sorts by place in the pool.
variant: "paper" is the method as its authors define it; "reference_library" does what the coreset
    library DeepCore does where that differs, since the published rows probably come from it.
center: "none" takes hidden states as they are, as DeepCore does; "mean" and "zscore" remove what
    all prompts have in common, which in language models is most of a state.
"""
