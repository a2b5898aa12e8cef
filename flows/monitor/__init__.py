"""What data scientists look at: decisions with what came of them, features over time, customers.

Tables are Arrow's, numbers NumPy's; `nextbest.flows.monitor.charts` draws them with Altair, and the
notebooks in ``deploy/notebooks`` put both on a page. Everything is read from a data directory, a
bounded number of newest rows, while a run may be adding to it.
"""
