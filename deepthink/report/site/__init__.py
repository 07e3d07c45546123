"""The page site/index.html: every number of the study to question, in one file without a network.

`methods` says what is shown, `variants`, `curves`, `pairs`, `prices` and `examples` compute it with
the functions of the tables, `content` puts it together, and `html` writes it into one page.
"""
