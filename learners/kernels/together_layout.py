"""Where `together` finds what in the table of several models."""

(
    ARMS,
    NUMBERS,  # with the intercept
    CONTEXTS,
    SEGMENTS,
    FEATURES,
    CANDIDATES,
    SLOTS,
    MOST,  # the most experts of a model
    HEAD,
) = range(9)
(
    EXPERTS,
    TABLE,
    DENSE,
    ACTION,
    MOMENTS,
    HEIGHT,  # rows of segments; -1: the model has no levels
    WEIGHTS,
    UNSEEN,
    PERSONS,
    PLACE,
) = range(10)
