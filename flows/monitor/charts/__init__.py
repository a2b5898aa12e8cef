"""Charts of what `nextbest.flows.monitor` measures, in one visual language; needs Altair.

Titles say what was found, subtitles how to read it. Bands and bars are 95% intervals. Colours can
be told apart by people who do not see all of them, and lines are named where they end.
"""
