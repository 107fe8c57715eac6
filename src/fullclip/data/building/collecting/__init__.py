"""Stage collect: (image address, text) pairs out of crawled pages, tables and folders, and the rules for what is left out.

Files in order: `works` tells inputs apart; `archives`, `messages`, `metadata`, `markup` and `pages` read them; `addresses`,
`images`, `texts` and `languages` hold the rules; `pairs` and `tabled` apply them; `collect` is the stage.
"""
