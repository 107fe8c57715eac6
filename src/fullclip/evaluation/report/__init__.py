"""The report of evaluations: folders in; JSON lines, a Markdown table and one HTML page with the paper's figures out.

runs.py          folders -> Run, checked
published.py     a table of other models' accuracies, for the robustness lines
combine.py       averages and differences of results, with their intervals
comparisons.py   paired tests of two runs; wins, counted as the paper does
shifts.py        accuracies under shift, the lines through them, robustness
sections/        one part of the report each: runs -> a Section, or None where there is nothing to say
figures/         arrays -> SVG; knows nothing of runs
document.py      what a section is made of
markdown.py page.py  sections -> text
write.py         all of it, in order
"""
